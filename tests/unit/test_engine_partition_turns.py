"""The writer and its turns: interrupts, cancels, replies that are too large, and what it takes up after a restart."""

import msgspec
import pytest

from chatstream.core import codec
from chatstream.core.events import AnyEvent, MessageAccepted
from chatstream.core.ids import MessageId, Seq, SessionId, Version
from chatstream.core.limits import Limits
from chatstream.core.session import Completed, Failed, Partial
from chatstream.table import rows
from tests.given import ALICE, accepted, cancelled, completed, resumed
from tests.surroundings import Bench

M1, M2, M3 = (f'{{"text":"{n}","message_id":"m{n}"}}' for n in (1, 2, 3))


def interrupting(n: int) -> str:
    return f'{{"text":"{n}","message_id":"m{n}","on_busy":"interrupt"}}'


# -- interrupting and cancelling ----------------------------------------------------------------------------------


def test_an_interrupt_keeps_what_was_said_and_stops_the_call_once_it_is_confirmed() -> None:
    bench = Bench()
    bench.say(M1)
    bench.around.said_now = Partial("so far", {"output_tokens": 2})
    bench.take(interrupting(2), waiter="w2")
    assert bench.told() == ["append alice/2 message.accepted"]
    bench.ack()
    assert bench.told() == ["answer w2 accepted 2 at 1", "wake alice", "append alice/3 reply.cancelled", "stop alice"]
    assert bench.around.events[-1] == cancelled(3, 1, "so far", by=MessageId("m2"), usage={"output_tokens": 2})
    bench.ack()
    assert bench.told() == ["publish 3 reply.cancelled", "wake alice", "run alice/2"]


def test_two_interrupts_run_in_their_order_and_the_first_ended_the_turn() -> None:
    bench = Bench()
    bench.say(M1)
    bench.take(interrupting(2))
    bench.take(interrupting(3))
    bench.ack(2)
    assert bench.told()[-2:] == ["append alice/4 reply.cancelled", "stop alice"]
    assert bench.around.events[-1].turn == 1
    bench.ack()
    assert bench.told()[-1] == "run alice/2"
    bench.finish(2, Completed(text="two"))
    bench.ack()
    assert bench.told()[-1] == "run alice/3"


def test_an_interrupt_that_comes_while_another_is_carried_out_ends_the_turn_that_was_next() -> None:
    bench = Bench()
    bench.say(M1)
    bench.take(interrupting(2))
    bench.ack()
    bench.take(interrupting(3))
    bench.told()
    bench.ack(2)
    assert bench.told() == ["publish 3 reply.cancelled", "wake alice", "append alice/5 reply.cancelled", "stop alice"]
    assert bench.around.events[-1] == cancelled(5, 2, by=MessageId("m3"))
    bench.ack()
    assert bench.told()[-1] == "run alice/4"


def test_an_interrupts_end_is_appended_once_though_it_is_not_confirmed() -> None:
    bench = Bench()
    bench.say(M1)
    bench.take(interrupting(2))
    bench.ack()
    bench.take("waits")
    bench.told()
    bench.ack(2)
    assert bench.told() == ["publish 3 reply.cancelled", "wake alice", "run alice/2"]


def test_a_reply_that_comes_before_the_interrupts_end_wins() -> None:
    bench = Bench()
    bench.say(M1)
    bench.take(interrupting(2))
    bench.finish(1, Completed(text="done"))
    bench.told()
    bench.ack(2)
    assert bench.told() == ["publish 3 reply.completed", "wake alice", "run alice/2"]


def test_a_cancel_of_the_running_turn_keeps_what_was_said_and_stops_the_call() -> None:
    bench = Bench()
    bench.say(M1)
    bench.around.said_now = Partial("so far")
    bench.take('{"type":"cancel","command_id":"c1"}', waiter="w1")
    assert bench.told() == ["append alice/2 reply.cancelled", "stop alice"]
    assert bench.around.events[-1] == cancelled(2, 1, "so far", by=MessageId("c1"), command_id=MessageId("c1"))
    bench.ack()
    assert bench.told() == ["publish 2 reply.cancelled", "answer w1 accepted 2 at 0", "wake alice"]


def test_a_cancel_of_a_waiting_turn_leaves_the_call_alone() -> None:
    bench = Bench()
    bench.say(M1, M2, M3)
    bench.around.said_now = Partial("of turn 1")
    bench.take('{"type":"cancel","message_id":"m2"}')
    assert bench.told() == ["append alice/4 reply.cancelled"]
    end = bench.around.events[-1]
    assert (end.turn, end == cancelled(4, 2, by=MessageId("k-0-3"), command_id=MessageId("k-0-3"))) == (2, True)
    bench.ack()
    assert bench.told()[-1] == "run alice/1"


def test_a_cancel_finds_a_message_that_is_not_confirmed_yet() -> None:
    bench = Bench()
    bench.take(M1)
    bench.take('{"type":"cancel","message_id":"m1"}')
    assert bench.told() == ["append alice/1 message.accepted", "append alice/2 reply.cancelled", "stop alice"]
    bench.ack(2)
    assert bench.told() == ["publish 2 reply.cancelled", "wake alice"]


def test_what_a_cancelled_call_still_says_is_dropped() -> None:
    bench = Bench()
    bench.say(M1)
    bench.take('{"type":"cancel"}')
    bench.told()
    bench.finish(1, Completed(text="too late"))
    assert bench.told() == []


# -- sizes --------------------------------------------------------------------------------------------------------


def size_of_reply(text: str) -> int:
    return len(codec.write_event(completed(2, 1, text)))


def test_a_reply_at_the_limit_is_recorded_and_one_byte_more_is_a_failure() -> None:
    limits = Limits(event_bytes=size_of_reply("x" * 1_000))
    at = Bench(limits=limits)
    at.say(M1)
    at.finish(1, Completed(text="x" * 1_000))
    assert at.told() == ["append alice/2 reply.completed"]
    assert len(at.around.sent[-1][0].value or b"") == limits.event_bytes
    past = Bench(limits=limits)
    past.say(M1)
    past.finish(1, Completed(text="x" * 1_001, attempts=2))
    assert past.told() == ["append alice/2 reply.failed"]
    end = past.around.events[-1]
    assert codec.type_name(end) == "reply.failed"
    assert b'"code":"reply-too-large"' in (past.around.sent[-1][0].value or b"")


# -- after a restart ----------------------------------------------------------------------------------------------


def started(turn: int, version: int = 1, session: str = "alice") -> tuple[bytes, bytes]:
    """The row that says a call was made here."""
    return rows.RUNNING + session.encode(), rows.running_value(Seq(turn), Version(version))


def test_a_turn_in_which_the_process_died_is_resumed_and_run_again() -> None:
    bench = Bench([accepted(1), accepted(2)], local=[started(1)])
    bench.writer.start()
    assert bench.told() == ["append alice/3 turn.resumed"]
    assert bench.around.events == [resumed(3, 1)]
    bench.ack()
    assert bench.told() == ["wake alice", "run alice/1"]


def test_owed_turns_that_nobody_had_begun_just_run_in_the_order_of_their_sessions() -> None:
    given = [accepted(1), of("carol"), of("bob")]
    bench = Bench(given, local=[started(1, session="bob")])
    bench.writer.start()
    assert bench.told() == ["append bob/2 turn.resumed", "run alice/1", "run carol/1"]
    bench.ack()
    assert bench.told() == ["wake bob", "run bob/1"]


def of(session: str) -> MessageAccepted:
    return msgspec.structs.replace(accepted(1), session=SessionId(session))


@pytest.mark.parametrize("row", [started(2), started(1, version=2), started(1, session="nobody")])
def test_a_row_of_a_call_that_is_no_longer_owed_is_removed(row: tuple[bytes, bytes]) -> None:
    bench = Bench([accepted(1)], local=[row])
    bench.writer.start()
    assert bench.told() == ["run alice/1"]
    assert row[0] not in bench.rows


def test_the_row_of_a_call_goes_with_its_turns_end() -> None:
    bench = Bench([accepted(1)], local=[started(1)])
    bench.finish(1, Completed(text="hi"))
    bench.ack()
    assert started(1)[0] not in bench.rows


def test_a_turn_is_resumed_as_often_as_allowed_and_then_fails_as_a_crash_loop() -> None:
    limits = Limits(resumes=3)
    events: list[AnyEvent] = [accepted(1), resumed(2, 1, 1), resumed(3, 1, 2)]
    at = Bench(events, limits=limits, local=[started(1)])
    at.writer.start()
    assert at.around.events == [resumed(4, 1, 3)]
    past = Bench([*events, resumed(4, 1, 3), accepted(5)], limits=limits, local=[started(1)])
    past.writer.start()
    assert past.told() == ["append alice/6 reply.failed"]
    assert b'"code":"crash-loop"' in (past.around.sent[0][0].value or b"")
    past.ack()
    assert past.told() == ["publish 7 reply.failed", "wake alice", "run alice/5"]


def test_an_interrupt_that_was_confirmed_before_the_restart_is_carried_out() -> None:
    bench = Bench([accepted(1), accepted(2, on_busy="interrupt")])
    bench.writer.start()
    assert bench.told() == ["append alice/3 reply.cancelled", "stop alice"]
    bench.ack()
    assert bench.told()[-1] == "run alice/2"


def test_a_session_that_owes_nothing_is_left_alone() -> None:
    bench = Bench([accepted(1), completed(2, 1)])
    bench.writer.start()
    assert bench.told() == []


def test_turns_end_with_what_their_attempts_came_to() -> None:
    bench = Bench([accepted(1)])
    bench.writer.start()
    bench.finish(1, Failed(code="timeout", detail="late", attempts=5))
    assert bench.told() == ["run alice/1", "append alice/2 reply.failed"]
    assert ALICE in bench.around.sent[0][1].decode()


def test_a_turn_that_ends_while_its_cancel_is_on_its_way_has_one_end() -> None:
    bench = Bench()
    bench.say("hello")
    bench.take('{"type":"cancel"}')
    bench.finish(1, Completed(text="too late"))
    bench.ack_all()
    assert [line for line in bench.told() if line.startswith(("append", "publish"))] == [
        "append alice/2 reply.cancelled",
        "publish 2 reply.cancelled",
    ]


def test_a_cancel_that_comes_while_its_turn_has_just_ended_finds_nothing_running() -> None:
    bench = Bench()
    bench.say("hello")
    bench.finish(1, Completed(text="hi"))
    bench.take('{"type":"cancel"}', waiter="w")
    bench.ack_all()
    told = bench.told()
    assert "answer w refused not-running" in told
    assert not any("reply.cancelled" in line for line in told)


def test_a_resumed_turn_that_is_cancelled_before_its_resumption_is_confirmed_does_not_run() -> None:
    bench = Bench([accepted(1)], local=[(rows.running_key(ALICE), rows.running_value(Seq(1), Version(1)))])
    bench.writer.start()
    bench.take('{"type":"cancel"}')
    bench.ack_all()
    told = bench.told()
    assert [line.split()[-1] for line in told if line.startswith("append")] == ["turn.resumed", "reply.cancelled"]
    assert not any(line.startswith("run") for line in told)
