"""Given events, when a command comes, then exactly these events."""

import pytest

from chatstream.core.events import MessageAccepted, ReplyCancelled, ReplyCompleted, ReplyFailed
from chatstream.core.ids import MessageId, Seq, Version
from chatstream.core.session import (
    Completed,
    Duplicate,
    Failed,
    Interrupt,
    Nothing,
    Partial,
    Run,
    Running,
    Session,
    conclude,
    evolve,
    fits,
    interrupt,
    react,
    resume,
    status,
)
from tests.given import (
    ALICE,
    NOW,
    accepted,
    cancel,
    cancelled,
    completed,
    failed,
    given,
    many,
    message,
    place,
    refused,
    restarted,
    resumed,
    waiting,
    when,
)

LATER = "2026-01-02T03:04:06.000Z"


def test_the_first_message_is_accepted_and_runs() -> None:
    event = when(given(), message("hello", user="u1", metadata={"a": 1}), offset=7)
    assert event == accepted(1, "hello", id="m", user="u1", metadata={"a": 1}, input="0:7")
    assert isinstance(event, MessageAccepted)
    after = evolve(given(), event, place(7))
    assert after.running == Running(Seq(1), Version(1), MessageId("m"))
    assert (after.last_seq, after.last_input, after.messages, after.title, after.user) == (1, place(7), 1, "hello", "u1")
    assert (after.created, after.updated) == (NOW, NOW)
    assert react(after) == (Run(Seq(1), Version(1)),)


def test_messages_that_come_meanwhile_wait_in_order() -> None:
    session = given(accepted(1), accepted(2), accepted(3))
    assert waiting(session) == [2, 3]
    session = evolve(session, completed(4, 1))
    assert (session.running, waiting(session)) == (Running(Seq(2), Version(1), MessageId("m2")), [3])


def test_a_repeated_id_is_a_duplicate_whatever_the_command() -> None:
    assert when(given(accepted(1, id="m")), message(), known=1) == Duplicate(Seq(1))
    assert when(given(accepted(1)), cancel(1), known=5) == Duplicate(Seq(5))


def test_reject_refuses_only_while_a_turn_runs() -> None:
    assert when(given(accepted(1)), message(on_busy="reject")) == refused(2, "turn-in-progress")
    assert when(given(), message(on_busy="reject")) == accepted(1, id="m", on_busy="reject", input="0:100")


def test_a_refusal_takes_a_seq_and_nothing_else() -> None:
    before = given(accepted(1))
    after = evolve(before, refused(2), place(9))
    assert (after.last_seq, after.last_input, after.running, after.queue) == (2, place(9), before.running, ())
    assert evolve(given(), refused(1)).created == NOW


def test_the_queue_takes_1000_waiting_turns_and_not_one_more() -> None:
    almost = given(*many(1, 1_000))
    assert len(almost.queue) == 999
    event = when(almost, message())
    assert isinstance(event, MessageAccepted)
    full = evolve(almost, event)
    assert len(full.queue) == 1_000
    assert when(full, message()) == refused(1_002, "queue-full")
    assert when(full, message(on_busy="interrupt")) == refused(1_002, "queue-full")
    assert when(full, message(on_busy="reject")) == refused(1_002, "turn-in-progress")


def test_a_queue_of_no_length_still_lets_one_turn_run() -> None:
    assert isinstance(when(given(), message(), waiting_turns=0), MessageAccepted)
    assert when(given(accepted(1)), message(), waiting_turns=0) == refused(2, "queue-full")


def test_time_never_goes_back() -> None:
    session = given(accepted(1, time=LATER))
    event = when(session, message(), now=NOW)
    assert isinstance(event, MessageAccepted)
    assert event.time == LATER
    assert session.running is not None
    assert conclude(session, session.running, Failed(code="x"), NOW).time == LATER
    assert resume(session, session.running, NOW).time == LATER
    assert interrupt(session, session.running, MessageId("x"), Partial(), NOW).time == LATER


def test_interrupt_ends_the_running_turn_and_goes_first() -> None:
    session = given(accepted(1), accepted(2), accepted(3, on_busy="interrupt"))
    assert waiting(session) == [3, 2]
    assert react(session) == (Interrupt(Seq(1), Version(1), MessageId("m3")),)
    assert session.running is not None
    end = interrupt(session, session.running, MessageId("m3"), Partial("half", {"output_tokens": 2}), NOW)
    assert end == cancelled(4, 1, "half", by=MessageId("m3"), usage={"output_tokens": 2})
    session = evolve(session, end)
    assert react(session) == (Run(Seq(3), Version(1)),)
    assert waiting(session) == [2]
    assert session.output_tokens == 2


def test_several_interrupting_messages_run_in_their_order_before_the_others() -> None:
    session = given(accepted(1), accepted(2), accepted(3, on_busy="interrupt"), accepted(4, on_busy="interrupt"))
    assert waiting(session) == [3, 4, 2]
    assert react(session) == (Interrupt(Seq(1), Version(1), MessageId("m3")),)
    session = evolve(session, cancelled(5, 1))
    assert (waiting(session), session.first) == ([4, 2], 1)
    assert waiting(evolve(session, accepted(6, on_busy="interrupt"))) == [4, 6, 2]


def test_interrupt_on_an_idle_session_just_runs() -> None:
    assert react(given(accepted(1, on_busy="interrupt"))) == (Run(Seq(1), Version(1)),)


def test_cancel_ends_the_running_turn_with_what_it_has_said() -> None:
    session = given(accepted(1))
    said = Partial("half", {"input_tokens": 3, "output_tokens": 1})
    end = cancelled(2, 1, "half", by=MessageId("c"), command_id=MessageId("c"), usage=said.usage)
    assert when(session, cancel(), partial=said) == end
    assert when(session, cancel(1), partial=said) == end
    assert when(session, cancel(message_id="m1"), target=1, partial=said) == end
    after = evolve(session, end)
    assert (after.running, status(after), after.input_tokens, after.replies) == (None, "idle", 3, 0)


def test_cancel_takes_a_waiting_turn_out_of_the_queue() -> None:
    session = given(accepted(1), accepted(2), accepted(3, on_busy="interrupt"), accepted(4))
    for turn, left, first in ((2, [3, 4], 1), (3, [2, 4], 0), (4, [3, 2], 1)):
        end = when(session, cancel(turn), partial=Partial("of the running turn"))
        assert end == cancelled(5, turn, by=MessageId("c"), command_id=MessageId("c"))
        assert isinstance(end, ReplyCancelled)
        after = evolve(session, end)
        assert (waiting(after), after.first, after.running) == (left, first, session.running)


@pytest.mark.parametrize("command", [cancel(), cancel(1), cancel(7), cancel(-1), cancel(message_id="m1")])
def test_cancel_of_what_does_not_run_is_no_event(command: object) -> None:
    session = given(accepted(1), completed(2, 1))
    assert when(session, command, target=1) == Nothing("not-running")  # type: ignore[arg-type]  # parametrize erases it


def test_cancel_by_an_unknown_id_does_not_hit_the_running_turn() -> None:
    assert when(given(accepted(1)), cancel(message_id="other")) == Nothing("not-running")


def test_what_an_edit_took_back_while_it_waited_does_not_run_when_its_turn_comes() -> None:
    session = given(accepted(1), accepted(2), accepted(3, replaces=2), completed(4, 1), completed(5, 3))
    assert react(session) == (Interrupt(Seq(2), Version(1), MessageId("m3")),)


def test_a_turn_number_weighs_more_than_a_message_id() -> None:
    assert when(given(accepted(1)), cancel(9, message_id="m1"), target=1) == Nothing("not-running")


def test_an_answer_ends_the_turn_and_counts() -> None:
    session = given(accepted(1), accepted(2))
    assert session.running is not None
    usage = {"input_tokens": 10, "output_tokens": 5}
    outcome = Completed(text="hi", model="m", stop_reason="end_turn", usage=usage, attempts=2, state={"a": 1}, state_bytes=1)
    event = conclude(session, session.running, outcome, NOW)
    assert event == completed(
        3, 1, "hi", model="m", stop_reason="end_turn", usage=usage, attempts=2, state={"a": 1}, state_bytes=1
    )
    after = evolve(session, event)
    assert (after.replies, after.input_tokens, after.output_tokens, after.state_bytes) == (1, 10, 5, 1)
    assert after.running == Running(Seq(2), Version(1), MessageId("m2"))
    assert evolve(after, completed(4, 2)).state_bytes == 1


@pytest.mark.parametrize("count", [True, -1, 10**9 + 1, 10**30, "5", 1.5, None])
def test_a_token_count_that_cannot_be_one_is_not_added_up(count: object) -> None:
    after = given(accepted(1), completed(2, 1, usage={"output_tokens": count, "input_tokens": 10**9}))
    assert (after.input_tokens, after.output_tokens) == (10**9, 0)


def test_a_turn_that_is_given_up_fails_and_the_next_one_runs() -> None:
    session = given(accepted(1), accepted(2))
    assert session.running is not None
    event = conclude(session, session.running, Failed(code="overloaded", detail="d", attempts=5), NOW)
    assert isinstance(event, ReplyFailed)
    assert (event.code, event.detail, event.attempts, event.turn, event.seq) == ("overloaded", "d", 5, 1, 3)
    after = evolve(session, event)
    assert (status(after), after.failed) == ("running", True)


def test_status_is_what_the_session_is_doing() -> None:
    assert status(given()) == "idle"
    assert status(given(accepted(1))) == "running"
    assert status(given(accepted(1), completed(2, 1))) == "idle"
    assert status(given(accepted(1), failed(2, 1))) == "failed"
    assert status(given(accepted(1), failed(2, 1), accepted(3), completed(4, 3))) == "idle"


def test_a_resumed_turn_runs_on_and_counts_its_deaths() -> None:
    session = given(accepted(1))
    assert session.running is not None
    event = resume(session, session.running, NOW)
    assert event == resumed(2, 1, 1)
    after = evolve(session, event)
    assert after.running is not None
    assert (after.running.resumed, react(after)) == (1, (Run(Seq(1), Version(1)),))
    assert resume(after, after.running, NOW).n == 2


def test_a_restarted_turn_runs_at_once_or_goes_first() -> None:
    idle = given(accepted(1), failed(2, 1), restarted(3, 1))
    assert react(idle) == (Run(Seq(1), Version(2)),)
    busy = given(accepted(1), failed(2, 1), accepted(3), accepted(4), restarted(5, 1))
    assert (waiting(busy), busy.first) == ([1, 4], 1)
    again = evolve(busy, completed(6, 3))
    assert react(again) == (Run(Seq(1), Version(2)),)
    done = evolve(again, completed(7, 1, version=2))
    assert react(done) == (Run(Seq(4), Version(1)),)


def test_what_does_not_fit_moves_the_seq_and_nothing_else() -> None:
    session = given(accepted(1), accepted(2))
    for odd in (
        completed(3, 2),
        completed(3, 1, version=2),
        failed(3, 9),
        resumed(3, 2),
        cancelled(3, 9),
        cancelled(3, 1, version=2),
        restarted(3, 1),
        restarted(3, 2),
        restarted(3, 3),
        restarted(3, 0),
        MessageAccepted(session=ALICE, seq=Seq(3), time=NOW, turn=Seq(2), text="x"),
    ):
        assert not fits(session, odd)
        after = evolve(session, odd, place(5))
        assert (after.last_seq, after.last_input) == (3, place(5))
        assert (after.running, after.queue, after.messages, after.replies) == (session.running, session.queue, 2, 0)


def test_what_fits_is_no_alarm() -> None:
    session = given(accepted(1), failed(2, 1), accepted(3), accepted(4))
    for event in (accepted(5), refused(5), completed(5, 3), failed(5, 3), cancelled(5, 4), resumed(5, 3), restarted(5, 1)):
        assert fits(session, event)


def test_the_title_is_the_start_of_the_first_message() -> None:
    assert given(accepted(1, "x" * 80)).title == "x" * 80
    assert given(accepted(1, "x" * 81), accepted(2, "y")).title == "x" * 80


def test_an_idle_or_erased_session_owes_nothing() -> None:
    assert react(given()) == ()
    assert react(Session(ALICE, running=Running(Seq(1)), erased=True)) == ()


def test_evolve_changes_nothing_that_was_given() -> None:
    before = given(accepted(1), accepted(2))
    copy = given(accepted(1), accepted(2))
    evolve(before, completed(3, 1), place(3))
    assert before == copy


def test_an_answer_carries_the_version_of_its_turn() -> None:
    session = given(accepted(1), failed(2, 1), restarted(3, 1))
    assert session.running is not None
    event = conclude(session, session.running, Completed(text="now"), NOW)
    assert isinstance(event, ReplyCompleted)
    assert (event.version, event.message_id) == (2, "m1")
