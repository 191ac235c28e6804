"""How calls of the model end when two reasons for it meet. In virtual time: the loop's clock jumps."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from chatstream.core.errors import TableBroken
from chatstream.core.events import MessageAccepted
from chatstream.core.ids import MessageId, PartitionNo, Seq, SessionId, Version
from chatstream.core.limits import Limits
from chatstream.core.session import Completed, Failed, Outcome
from chatstream.engine.feed import Feed
from chatstream.engine.turns import Job, Turns
from chatstream.respond.port import Reply, Turn
from chatstream.table.memory import MemoryTable, MemoryTableStore
from tests.simulation.virtual_loop import run_virtual
from tests.unit.test_outcomes import Silent

S = SessionId("alice")
MESSAGE = MessageAccepted(session=S, seq=Seq(1), time="", turn=Seq(1), message_id=MessageId("m"), text="hello")
LIMITS = Limits(attempts=3, chunk_wait_s=5.0, turn_s=60.0, retry_first_s=1.0)


class Desk:
    """The partition's side: what it was told."""

    def __init__(self) -> None:
        self.table: MemoryTable = MemoryTableStore().open(PartitionNo(0))
        self.outcomes: list[Outcome] = []
        self.errors: list[TableBroken] = []

    def started(self, *which: object) -> None: ...

    def record(self, *which: object) -> asyncio.Future[None]:
        raise AssertionError(f"nobody takes a step here: {which}")

    def compacted(self, *which: object) -> None:
        raise AssertionError(f"nobody makes a summary here: {which}")

    def broken(self, error: TableBroken) -> None:
        self.errors.append(error)

    def finish(self, session: SessionId, turn: Seq, version: Version, outcome: Outcome) -> None:
        assert (session, version) == (S, Version(1))
        assert turn in (1, 7)
        self.outcomes.append(outcome)


class Model:
    """Does something else at each attempt."""

    def __init__(self, *attempts: Callable[[], AsyncGenerator[Any, None]]) -> None:
        self.attempts = attempts
        self.calls = 0

    async def respond(self, turn: Turn) -> AsyncIterator[str | Reply]:
        self.calls += 1
        async with aclosing(self.attempts[turn.attempt - 1]()) as pieces:
            async for piece in pieces:
                yield piece

    async def close(self) -> None: ...


async def silent() -> AsyncGenerator[str, None]:
    await asyncio.Event().wait()
    yield ""


async def turns_cancellation_into_an_error() -> AsyncGenerator[str, None]:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise ConnectionError("cut") from None
    yield ""


async def answers() -> AsyncGenerator[str, None]:
    yield "hi"


async def fails() -> AsyncGenerator[str, None]:
    raise ConnectionError("no")
    yield ""


def _turns(model: Model, limits: Limits = LIMITS) -> Turns:
    def crash(error: BaseException) -> None:
        raise AssertionError("a bug of ours") from error

    return Turns(model, limits, Feed(10), Random(1), crash)


def test_a_call_stopped_in_the_moment_it_was_found_silent_is_not_repeated() -> None:
    async def scene() -> tuple[int, list[Outcome]]:
        model, desk = Model(silent, answers), Desk()
        turns = _turns(model)
        turns.run(Job(desk, S, Seq(1), Version(1), MESSAGE))
        await asyncio.sleep(LIMITS.chunk_wait_s + 1)
        (call,) = turns._calls.values()
        turns._watch_call(call, asyncio.get_running_loop().time())
        turns.stop(S)
        await asyncio.sleep(20)
        return model.calls, desk.outcomes

    assert run_virtual(scene(), 100) == (1, [])


def test_a_call_that_makes_an_error_of_being_stopped_is_not_repeated() -> None:
    async def scene() -> tuple[int, list[Outcome]]:
        model, desk = Model(turns_cancellation_into_an_error, answers), Desk()
        turns = _turns(model)
        turns.run(Job(desk, S, Seq(1), Version(1), MESSAGE))
        await asyncio.sleep(1)
        turns.stop(S)
        await asyncio.sleep(20)
        return model.calls, desk.outcomes

    assert run_virtual(scene(), 100) == (1, [])


def test_silence_is_noticed_again_after_a_model_that_made_an_error_of_being_cancelled() -> None:
    async def scene() -> tuple[int, list[Outcome]]:
        model, desk = Model(turns_cancellation_into_an_error, silent, answers), Desk()
        turns = _turns(model)
        turns.run(Job(desk, S, Seq(1), Version(1), MESSAGE))
        watch = asyncio.create_task(turns.watch())
        await asyncio.sleep(40)
        watch.cancel()
        return model.calls, desk.outcomes

    assert run_virtual(scene(), 100) == (3, [Completed(text="hi", attempts=3)])


def test_a_turn_whose_time_is_over_between_two_attempts_still_ends() -> None:
    async def scene() -> list[Outcome]:
        desk = Desk()
        turns = _turns(Model(fails, silent))
        turns.run(Job(desk, S, Seq(1), Version(1), MESSAGE))
        await asyncio.sleep(0.1)
        # As after SIGSTOP: the watch runs first although the rest between two attempts would have ended long before.
        (call,) = turns._calls.values()
        call.started_s -= LIMITS.turn_s + 1
        turns._watch_call(call, asyncio.get_running_loop().time())
        watch = asyncio.create_task(turns.watch())
        await asyncio.sleep(20)
        watch.cancel()
        return desk.outcomes

    (outcome,) = run_virtual(scene(), 100)
    assert isinstance(outcome, Failed)
    assert outcome.code == "timeout"


def test_a_turn_does_not_fail_because_the_nodes_disk_does() -> None:
    class RemembersTheConversation(Model):
        async def respond(self, turn: Turn) -> AsyncIterator[str | Reply]:
            self.calls += 1
            yield str(len(turn.history))

    async def scene() -> tuple[int, list[Outcome], int]:
        model, desk = RemembersTheConversation(), Desk()
        desk.table.close()
        turns = _turns(model)
        turns.run(Job(desk, S, Seq(1), Version(1), MESSAGE))
        await asyncio.sleep(20)
        return model.calls, desk.outcomes, len(desk.errors)

    assert run_virtual(scene(), 100) == (1, [], 1)


def test_a_message_that_cannot_be_read_from_the_table_does_not_end_the_node() -> None:
    async def scene() -> tuple[int, list[Outcome], int]:
        model, desk = Model(answers), Desk()
        desk.table.close()
        turns = _turns(model)
        turns.run(Job(desk, S, Seq(1), Version(1)))
        await asyncio.sleep(20)
        return model.calls, desk.outcomes, len(desk.errors)

    assert run_virtual(scene(), 100) == (0, [], 1)


# -- what user code gives and raises ------------------------------------------------------------------------------


def outcome_of(*attempts: Callable[[], AsyncGenerator[Any, None]], limits: Limits = LIMITS, wait_s: float = 100) -> Outcome:
    """How a turn ends whose attempts go so; that it ends at all is asserted."""

    async def scene() -> list[Outcome]:
        desk = Desk()
        turns = _turns(Model(*attempts), limits)
        turns.run(Job(desk, S, Seq(1), Version(1), MESSAGE))
        watch = asyncio.create_task(turns.watch())
        await asyncio.sleep(wait_s)
        watch.cancel()
        assert len(turns) == 0
        return desk.outcomes

    (outcome,) = run_virtual(scene(), 10 * wait_s)
    return outcome


def gives(*pieces: Any) -> Callable[[], AsyncGenerator[Any, None]]:
    async def attempt() -> AsyncGenerator[Any, None]:
        for piece in pieces:
            yield piece

    return attempt


def raises(error: BaseException) -> Callable[[], AsyncGenerator[Any, None]]:
    async def attempt() -> AsyncGenerator[Any, None]:
        raise error
        yield ""

    return attempt


@pytest.mark.parametrize(
    "piece", ["\ud800", Reply(text="\ud800"), Reply(content=[{"a": object()}]), Reply(text="x", usage={"n": object()})]
)
def test_what_cannot_be_recorded_fails_the_turn_and_not_the_node(piece: Any) -> None:
    outcome = outcome_of(gives(piece))
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.attempts) == ("responder-error", 1)


def test_a_reply_is_measured_in_bytes() -> None:
    limits = Limits(event_bytes=10)
    assert outcome_of(gives("ä" * 5), limits=limits) == Completed(text="ä" * 5)
    outcome = outcome_of(gives("ä" * 4, "äx"), limits=limits)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.detail) == ("reply-too-large", "the reply is larger than 10 bytes")


def test_an_error_with_a_very_long_text_is_recorded_short() -> None:
    limits = Limits(attempts=1, detail_chars=100)
    for length in (100 - len("ValueError: "), 1_000_000):
        outcome = outcome_of(raises(ValueError("x" * length)), limits=limits)
        assert isinstance(outcome, Failed)
        assert len(outcome.detail) == 100


def test_an_exception_that_cannot_be_read_fails_the_turn() -> None:
    outcome = outcome_of(raises(Silent()), limits=Limits(attempts=1))
    assert isinstance(outcome, Failed)
    assert outcome.detail == "Silent: (its text cannot be had)"


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(1)])
def test_a_cancellation_or_an_exit_that_user_code_raises_itself_is_a_failed_attempt(error: BaseException) -> None:
    assert outcome_of(raises(error), answers) == Completed(text="hi", attempts=2)


async def cancels_its_own_task() -> AsyncGenerator[str, None]:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)
    yield ""


async def catches_its_cancellation() -> AsyncGenerator[str, None]:
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await asyncio.Event().wait()
    yield ""


def test_a_call_that_cancels_its_own_task_does_not_leave_its_session_stuck() -> None:
    outcome = outcome_of(cancels_its_own_task)
    assert isinstance(outcome, Failed)
    assert outcome.code == "responder-error"


def test_a_call_that_catches_its_cancellation_does_not_leave_its_session_stuck() -> None:
    outcome = outcome_of(catches_its_cancellation)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.detail) == ("timeout", "the model was silent for 5 s")


def test_a_stopped_call_that_goes_on_all_the_same_says_nothing_any_more() -> None:
    async def goes_on() -> AsyncGenerator[str, None]:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        yield "after the end"

    async def scene() -> tuple[list[str], bool, list[Outcome]]:
        feed, desk = Feed(10), Desk()
        turns = Turns(Model(goes_on), LIMITS, feed, Random(1), lambda _: None)
        with feed.watch(S, live=True) as watch:
            turns.run(Job(desk, S, Seq(1), Version(1), MESSAGE))
            assert await watch.wait(1)
            attempt = feed.live.of(S)
            assert attempt is not None
            turns.stop(S)
            assert feed.live.of(S) is None
            return attempt.parts, await watch.wait(20), desk.outcomes

    assert run_virtual(scene(), 100) == ([], False, [])


def test_a_turn_of_what_is_no_message_fails() -> None:
    async def scene() -> list[Outcome]:
        desk = Desk()
        turns = _turns(Model(answers))
        turns.run(Job(desk, S, Seq(7), Version(1)))
        await asyncio.sleep(1)
        return desk.outcomes

    assert run_virtual(scene(), 100) == [Failed(code="no-message", detail="event 7 of the session is no message")]


def test_a_turn_that_waits_for_a_free_call_keeps_its_message_when_it_is_asked_for_again() -> None:
    async def scene() -> list[Outcome]:
        model, desk = Model(answers), Desk()
        turns = _turns(model, replace(LIMITS, calls=0))
        turns.run(Job(desk, S, Seq(1), Version(1), MESSAGE))
        turns.run(Job(desk, S, Seq(1), Version(1)))
        turns._limits = LIMITS
        turns._start_more()
        await asyncio.sleep(1)
        return desk.outcomes

    assert run_virtual(scene(), 100) == [Completed(text="hi")]  # its table has no message: it would be lost
