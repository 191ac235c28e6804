"""Sessions in which nothing happens for long: one writer, its clocks in the test's hands."""

import msgspec
import pytest

from chatstream.core.errors import LogUnavailable
from chatstream.core.events import AnyEvent
from chatstream.core.ids import SessionId
from chatstream.core.limits import Limits
from chatstream.core.session import Completed
from chatstream.core.times import at_ms, rfc3339
from chatstream.engine.idle import LOOKED_AT_ONCE, REST_S
from chatstream.log.port import Topic
from chatstream.table import rows
from tests.given import NOW, accepted, asked, completed, created, scheduled
from tests.surroundings import Bench

LIMITS = Limits(erase_idle_days=30)
OLD = "2026-01-01T00:00:00.000Z"
"""Thirty days before LATER."""
LATER = "2026-01-31T00:00:00.000Z"


def old(session: str, time: str = OLD) -> list[AnyEvent]:
    """A session that was answered, and has rested since."""
    return [
        msgspec.structs.replace(event, session=SessionId(session))
        for event in (accepted(1, time=time), completed(2, 1, time=time))
    ]


def bench_with(*events: AnyEvent, limits: Limits = LIMITS) -> Bench:
    bench = Bench(events, limits=limits)
    bench.around.time = LATER
    return bench


def asked_for(bench: Bench) -> list[tuple[str, str]]:
    """Whose erasure was asked for since the last time, and the condition."""
    found = []
    for topic, partition, key, value, headers in bench.around.aside:
        assert (topic, partition, headers) == (Topic.MESSAGES, 0, ())
        fields = msgspec.json.decode(value or b"")
        assert fields.pop("type") == "erase"
        found.append(((key or b"").decode(), fields.pop("idle_since")))
        assert fields == {}
    return found


def come_back(bench: Bench) -> None:
    """What was asked for is read, in order, and what follows is confirmed."""
    commands, bench.around.aside = bench.around.aside, []
    for _, _, key, value, _ in commands:
        bench.take(value, key=key)
    bench.ack_all()


def rest(bench: Bench) -> None:
    bench.around.clock += REST_S
    bench.writer.tick()


def test_a_session_that_rests_as_long_as_was_said_is_erased_and_one_that_rests_a_moment_less_is_not() -> None:
    bench = bench_with(*old("s1"), *old("s2", rfc3339((at_ms(OLD) or 0) + 1)))
    bench.writer.tick()
    assert asked_for(bench) == [("s1", OLD)]
    come_back(bench)
    assert bench.around.events[-1].session == "s1"
    assert rows.read_head(bench.table, SessionId("s1")).erased
    assert not rows.read_head(bench.table, SessionId("s2")).erased
    assert not any(b"s1" in key for key in bench.rows if key != rows.head_key(SessionId("s1")))


def test_nothing_is_erased_unless_somebody_asked_for_it() -> None:
    bench = bench_with(*old("s1", NOW), limits=Limits())
    bench.around.time = "2099-01-01T00:00:00.000Z"
    bench.writer.tick()
    assert asked_for(bench) == []


@pytest.mark.parametrize(
    "busy",
    [
        [accepted(1, time=OLD)],
        [accepted(1, time=OLD), asked(2, 1, "pay#1", time=OLD)],
        [scheduled(1, "2027-01-01T00:00:00.000Z", time=OLD)],
        [created("other", 5, time=OLD)],
    ],
    ids=["running", "parked", "scheduled", "copying"],
)
def test_a_session_that_waits_for_something_is_left_alone(busy: list[AnyEvent]) -> None:
    bench = bench_with(*busy)
    bench.writer.tick()
    assert asked_for(bench) == []


def test_what_was_said_meanwhile_keeps_the_session() -> None:
    bench = bench_with(*old("s1"))
    bench.writer.tick()
    bench.take("still here", key=b"s1")
    bench.ack_all()
    bench.around.time = "2026-01-31T00:00:01.000Z"
    bench.finish(3, Completed(text="so am I"), session=SessionId("s1"))
    bench.ack_all()
    come_back(bench)
    assert not rows.read_head(bench.table, SessionId("s1")).erased
    rest(bench)
    assert asked_for(bench) == []


def test_what_was_said_meanwhile_and_is_not_confirmed_yet_keeps_it_too() -> None:
    bench = bench_with(*old("s1"))
    bench.writer.tick()
    (_, _, key, value, _) = bench.around.aside.pop()
    bench.take("still here", key=b"s1")
    bench.take(value, key=key)
    bench.ack_all()
    assert rows.read_head(bench.table, SessionId("s1")).running is not None


def test_it_is_asked_once_until_that_is_decided_or_given_up() -> None:
    bench = bench_with(*old("s1"))
    bench.writer.tick()
    bench.writer.tick()
    assert len(asked_for(bench)) == 1
    rest(bench)
    assert len(asked_for(bench)) == 2


def test_what_is_asked_twice_is_done_once_and_is_no_dead_letter() -> None:
    bench = bench_with(*old("s1"))
    bench.writer.tick()
    bench.restart()
    bench.around.time = LATER
    bench.writer.tick()
    bench.around.aside *= 2
    come_back(bench)
    assert [event.session for event in bench.around.events] == ["s1"]
    assert bench.around.aside == []
    assert bench.writer.inputs.position.offset == bench.inbound - 1


def test_whoever_asks_with_the_condition_is_answered_also_when_it_is_erased_already() -> None:
    bench = bench_with(*old("s1"))
    bench.take(f'{{"type":"erase","idle_since":"{OLD}"}}', key=b"s1", waiter="w1")
    bench.take(f'{{"type":"erase","idle_since":"{OLD}"}}', key=b"s1", waiter="w2")
    bench.ack_all()
    assert [line for line in bench.told() if line.startswith("answer")] == [
        "answer w1 accepted 3 at 0",
        "answer w2 refused session-erased",
    ]


def test_an_erase_that_says_no_condition_is_still_a_dead_letter_of_an_erased_session() -> None:
    bench = bench_with(*old("s1"))
    bench.writer.tick()
    come_back(bench)
    bench.take('{"type":"erase"}', key=b"s1")
    assert [topic for topic, *_ in bench.around.aside] == [Topic.DEAD_LETTERS]


def test_no_more_are_looked_at_in_one_go_than_may_be_and_all_are_found() -> None:
    count = LOOKED_AT_ONCE + 1
    bench = bench_with(*(event for n in range(count) for event in old(f"s{n:03d}")))
    bench.writer.tick()
    assert len(asked_for(bench)) == LOOKED_AT_ONCE
    come_back(bench)
    bench.writer.tick()
    assert len(asked_for(bench)) == 1
    come_back(bench)
    assert all(rows.read_head(bench.table, SessionId(f"s{n:03d}")).erased for n in range(count))


def test_old_sessions_that_wait_hide_no_others() -> None:
    waiting = [
        msgspec.structs.replace(
            scheduled(1, "2027-01-01T00:00:00.000Z", time="2025-06-01T00:00:00.000Z"), session=SessionId(f"w{n}")
        )
        for n in range(LOOKED_AT_ONCE + 5)
    ]
    bench = bench_with(*waiting, *old("s1"))
    bench.writer.tick()
    assert asked_for(bench) == []
    bench.writer.tick()
    assert asked_for(bench) == [("s1", OLD)]


def test_a_walk_that_is_through_begins_again_after_a_rest() -> None:
    bench = bench_with(*old("s1", "2026-01-01T00:00:30.000Z"))
    bench.writer.tick()
    bench.around.time = "2026-01-31T00:00:30.000Z"
    bench.writer.tick()
    assert asked_for(bench) == []
    rest(bench)
    assert asked_for(bench) == [("s1", "2026-01-01T00:00:30.000Z")]


def test_a_log_that_takes_nothing_just_now_ends_nothing() -> None:
    bench = bench_with(*old("s1"))
    bench.around.aside_fails = LogUnavailable("not now")
    bench.writer.tick()
    assert asked_for(bench) == []
    bench.around.aside_fails = None
    rest(bench)
    assert asked_for(bench) == [("s1", OLD)]
    assert not bench.writer.over
