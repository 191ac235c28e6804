"""What of a conversation the model sees."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from chatstream.core.events import AnyEvent, MessageAccepted
from chatstream.core.ids import Seq
from chatstream.core.prompt import EVENTS_MOST, MESSAGE_BYTES, Said, is_blank, window
from tests.given import accepted, cancelled, completed, failed, refused, restarted, resumed

MANY = 100_000


def see(events: Sequence[AnyEvent], turn: int, budget_tokens: int = MANY) -> list[Said]:
    messages = {event.seq: event for event in events if isinstance(event, MessageAccepted)}
    return window(reversed(events), messages[Seq(turn)], budget_tokens, messages.get).said


def texts(said: list[Said]) -> list[str]:
    return [f"{one.role[0]}:{one.text}" for one in said]


def stopped(end: AnyEvent) -> list[AnyEvent]:
    return [accepted(1, "one"), end, accepted(3)]


def pairs(count: int, text: str = "x") -> list[AnyEvent]:
    """That many answered turns, and one more message, which is not answered yet."""
    events: list[AnyEvent] = []
    for seq in range(1, 2 * count + 1, 2):
        events += [accepted(seq, f"{text}{seq}"), completed(seq + 1, seq, f"{text}{seq + 1}")]
    return [*events, accepted(2 * count + 1, "now")]


def test_the_first_message_has_no_history() -> None:
    assert see([accepted(1)], 1) == []


def test_history_is_in_order_and_without_the_message_itself() -> None:
    assert see(pairs(2), 5) == [
        Said(role="user", text="x1"),
        Said(role="assistant", text="x2"),
        Said(role="user", text="x3"),
        Said(role="assistant", text="x4"),
    ]


def test_turns_stand_in_the_order_in_which_they_ended() -> None:
    events: list[AnyEvent] = [
        accepted(1, "one"),
        accepted(2, "two"),
        accepted(3, "three", on_busy="interrupt"),
        cancelled(4, 1, "half"),
        completed(5, 3, "3!"),
        accepted(6, "four"),
        completed(7, 2, "2!"),
    ]
    assert texts(see(events, 6)) == ["u:one", "a:half", "u:three", "a:3!", "u:two", "a:2!"]


def test_a_waiting_turn_and_later_messages_are_not_seen() -> None:
    events: list[AnyEvent] = [accepted(1, "one"), accepted(2, "two"), accepted(3, "three"), refused(4), completed(5, 1, "1!")]
    assert texts(see(events, 2)) == ["u:one", "a:1!"]


def test_of_a_failed_turn_only_the_user_is_seen() -> None:
    events: list[AnyEvent] = [accepted(1, "one"), resumed(2, 1), failed(3, 1), accepted(4)]
    assert texts(see(events, 4)) == ["u:one"]


def test_of_a_cancelled_turn_the_partial_text_is_seen_if_there_is_any() -> None:
    assert texts(see(stopped(cancelled(2, 1, "half")), 3)) == ["u:one", "a:half"]
    assert texts(see(stopped(cancelled(2, 1)), 3)) == ["u:one"]


def test_what_is_blank_is_left_out() -> None:
    blank = [{"type": "text", "text": " \n"}]
    image = {"type": "image", "source": {}}
    events: list[AnyEvent] = [
        accepted(1, "one"),
        completed(2, 1, " ", content=blank),
        accepted(3, " "),
        completed(4, 3, "to nothing"),
        accepted(5, "", content=[*blank, image]),
        completed(6, 5, "nice", content=[{"type": "text", "text": "nice"}, *blank]),
        accepted(7),
    ]
    assert see(events, 7) == [
        Said(role="user", text="one"),
        Said(role="user", text="", content=[image]),
        Said(role="assistant", text="nice", content=[{"type": "text", "text": "nice"}]),
    ]
    assert is_blank({"type": "text"})
    assert not is_blank({"type": "text", "text": 5})
    assert not is_blank({"type": "tool_use"})


def test_a_turn_whose_message_is_gone_is_left_out() -> None:
    events = pairs(2)
    assert texts(window(reversed(events), accepted(5), MANY, {Seq(3): accepted(3, "x3")}.get).said) == ["u:x3", "a:x4"]


def test_a_regenerated_answer_takes_the_place_of_the_first() -> None:
    events: list[AnyEvent] = [
        *pairs(2)[:-1],
        restarted(5, 1),
        completed(6, 1, "better", version=2),
        restarted(7, 1, 3),
        completed(8, 1, "best", version=3),
        accepted(9),
    ]
    assert texts(see(events, 9)) == ["u:x1", "a:best", "u:x3", "a:x4"]


def test_a_failed_turn_that_was_retried_has_its_answer_in_the_first_place() -> None:
    events: list[AnyEvent] = [
        accepted(1, "one"),
        failed(2, 1),
        accepted(3, "two"),
        completed(4, 3, "2!"),
        restarted(5, 1),
        completed(6, 1, "1!", version=2),
    ]
    assert texts(see([*events, accepted(7)], 7)) == ["u:one", "a:1!", "u:two", "a:2!"]


def test_a_second_try_that_came_to_nothing_does_not_take_the_answer_away() -> None:
    events = [*pairs(1)[:-1], restarted(3, 1), failed(4, 1, version=2), restarted(5, 1, 3), cancelled(6, 1, "ha", version=3)]
    assert texts(see([*events, accepted(7)], 7)) == ["u:x1", "a:x2"]


def test_a_restarted_turn_sees_only_what_ended_before_it_did() -> None:
    events: list[AnyEvent] = [
        *pairs(1)[:-1],
        accepted(3, "again"),
        accepted(4, "waits"),
        failed(5, 3),
        completed(6, 4, "later"),
        restarted(7, 3),
        failed(8, 3, version=2),
        accepted(9, "much later"),
        completed(10, 9, "much later too"),
        restarted(11, 3, 3),
    ]
    assert texts(see(events, 3)) == ["u:x1", "a:x2"]
    # However little fits: what came after must not push out what came before.
    least = -(-(len("again") + len("x1") + len("x2") + 3 * MESSAGE_BYTES) // 4)
    assert texts(see(events, 3, least)) == ["u:x1", "a:x2"]
    assert see(events, 3, least - 1) == []


def tokens(size_bytes: int, messages: int) -> int:
    """Tokens of so many bytes in so many messages, at four bytes a token."""
    size_bytes += messages * MESSAGE_BYTES
    assert size_bytes % 4 == 0
    return size_bytes // 4


def test_the_newest_pairs_that_fit_are_kept_and_none_is_split() -> None:
    events: list[AnyEvent] = [
        accepted(1, "a" * 40),
        completed(2, 1, "b" * 40),
        accepted(3, "c" * 40),
        completed(4, 3, "d" * 40),
        accepted(5, "n" * 40),
    ]
    both, one = tokens(200, 5), tokens(120, 3)
    assert len(see(events, 5, both)) == 4
    assert texts(see(events, 5, both - 1)) == ["u:" + "c" * 40, "a:" + "d" * 40]
    assert texts(see(events, 5, one)) == ["u:" + "c" * 40, "a:" + "d" * 40]
    assert see(events, 5, one - 1) == []


def test_nothing_older_is_shown_behind_a_pair_that_does_not_fit() -> None:
    events: list[AnyEvent] = [*pairs(1)[:-1], accepted(3, "big" * 1_000), completed(4, 3, "!"), accepted(5)]
    assert see(events, 5, 500) == []


@pytest.mark.parametrize("budget_tokens", [1, 0, -1])
def test_no_room_at_all_is_an_empty_history_and_no_error(budget_tokens: int) -> None:
    assert see(pairs(3), 7, budget_tokens) == []


def test_a_message_that_fills_the_budget_by_itself_has_no_history() -> None:
    events: list[AnyEvent] = [*pairs(3)[:-1], accepted(7, "x" * 400_000)]
    assert see(events, 7) == []


def fill(usage: Any, reply: str = "r" * 320) -> int:
    """How many of 100 turns fit into 4,000 tokens after a reply with such a usage."""
    events: list[AnyEvent] = []
    for seq in range(1, 200, 2):
        events += [accepted(seq, "q" * 320), completed(seq + 1, seq, "r" * 320)]
    events += [accepted(201, "q"), completed(202, 201, reply, usage=usage), accepted(203, "q")]
    return (len(see(events, 203, 4_000)) - 2) // 2


def test_tokens_are_estimated_by_what_the_newest_reply_has_cost() -> None:
    at_four = fill(None)
    assert fill({"output_tokens": 80}) == at_four
    assert fill({"output_tokens": 160}) == pytest.approx(at_four / 2, abs=1)
    assert fill({"output_tokens": 40}) == pytest.approx(at_four * 2, abs=1)


def test_an_absurd_usage_is_cut_to_what_can_be() -> None:
    assert fill({"output_tokens": 16}) == fill({"output_tokens": 40})
    assert fill({"output_tokens": 10**9}) == fill({"output_tokens": 214})


@pytest.mark.parametrize("output_tokens", [None, True, "80", -5, 0, 15, [80]])
def test_a_usage_that_tells_nothing_is_passed_over(output_tokens: object) -> None:
    assert fill({"output_tokens": output_tokens}) == fill(None)
    assert fill({}) == fill(None)


def test_the_newest_reply_that_tells_its_usage_counts_also_for_newer_ones() -> None:
    def turns(usage: Any) -> list[AnyEvent]:
        return [
            accepted(1, "q" * 400),
            completed(2, 1, "r" * 400, usage=usage),
            accepted(3, "q" * 400),
            completed(4, 3, "r" * 400),
            accepted(5, "q"),
        ]

    assert len(see(turns(None), 5, 500)) == 4
    assert len(see(turns({"output_tokens": 200}), 5, 500)) == 2


def test_blocks_weigh_as_their_json() -> None:
    image = [{"type": "image", "data": "x" * 4_000}]
    events: list[AnyEvent] = [accepted(1, "", content=image), completed(2, 1, "nice"), accepted(3)]
    assert len(see(events, 3, 1_100)) == 2
    assert see(events, 3, 900) == []


def counted(events: Sequence[AnyEvent], looks: list[int]) -> Iterator[AnyEvent]:
    for event in reversed(events):
        looks.append(event.seq)
        yield event


def test_no_event_is_read_beyond_what_fits() -> None:
    events = pairs(5_000)
    messages = {event.seq: event for event in events if isinstance(event, MessageAccepted)}
    looks: list[int] = []
    said = window(counted(events, looks), messages[Seq(10_001)], 1_000, messages.get).said
    assert 0 < len(said) < 300
    assert len(looks) < len(said) + 5


def test_a_session_of_nothing_but_refusals_is_not_read_to_its_start() -> None:
    events: list[AnyEvent] = [refused(seq) for seq in range(1, EVENTS_MOST + 200)]
    events.append(accepted(EVENTS_MOST + 200))
    looks: list[int] = []
    assert window(counted(events, looks), accepted(EVENTS_MOST + 200), 100, lambda _: None).said == []
    assert len(looks) == EVENTS_MOST + 100


def test_a_restarted_turn_whose_first_end_is_out_of_reach_has_no_history() -> None:
    events: list[AnyEvent] = [*pairs(1), failed(4, 3)]
    events += [refused(seq) for seq in range(5, EVENTS_MOST + 200)]
    events += [restarted(EVENTS_MOST + 200, 3), failed(EVENTS_MOST + 201, 3, version=2), restarted(EVENTS_MOST + 202, 3, 3)]
    assert see(events, 3, 100) == []
