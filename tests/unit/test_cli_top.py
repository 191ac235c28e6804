"""The lines of `chatstream top`, from what a node was seen doing."""

from typing import Any

from chatstream.cli.top import COUNTED_MOST, SHOWN_MOST, Look, lines, numbers


def call(session: str, since_s: float, **more: Any) -> dict[str, Any]:
    return {
        "session": session,
        "turn": 1,
        "attempt": 1,
        "since_s": since_s,
        "pieces": 2,
        "retry_in_s": None,
        "reason": "",
    } | more


def look(at_s: float = 0.0, turns: float = 0.0, calls: int = 1, lag: int = 0) -> Look:
    partitions = [{"partition": n, "state": "active", "epoch": 3, "lag": n * lag, "detail": ""} for n in range(2)]
    node = {"node": "n1", "of": 4, "partitions": partitions, "calls": [call(f"s{n}", n) for n in range(calls)]}
    return Look(at_s, node, {"running": 1, "waiting": None}, {"chatstream_turns_ended_total": turns})


def test_numbers_are_read_by_their_names() -> None:
    text = '# HELP a b\na 1.0\nc_total{route="/v1/x y",status="200"} 2.0\n'
    assert numbers(text) == {"a": 1.0, 'c_total{route="/v1/x y",status="200"}': 2.0}


def test_the_first_look_has_totals_and_the_next_what_a_second_brought() -> None:
    assert "turns 7 since the start, requests 0 since the start" in lines(look(turns=7), None)
    assert "turns 2.5/s, requests 0.0/s" in lines(look(at_s=2.0, turns=12), look(turns=7))


def test_a_node_that_was_started_again_counts_from_nothing() -> None:
    assert "turns 0.0/s, requests 0.0/s" in lines(look(at_s=2.0, turns=1), look(turns=7))


def test_more_than_is_counted_or_listed_is_said_in_short() -> None:
    shown = lines(look(calls=SHOWN_MOST + 1), None)
    assert f"sessions 1 running, {COUNTED_MOST}+ waiting" in shown
    calls = [line for line in shown if line.startswith("  call ")]
    assert len(calls) == SHOWN_MOST
    assert calls[0].startswith(f"  call s{SHOWN_MOST} turn 1 attempt 1 20.0 s, 2 pieces")


def test_partitions_that_are_behind_are_listed() -> None:
    assert "  partition 1 active epoch 3 lag 5" in lines(look(lag=5), None)
    assert not any(line.startswith("  partition") for line in lines(look(), None))
