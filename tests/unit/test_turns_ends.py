"""How calls of the model end when two reasons for it meet. In virtual time: the loop's clock jumps."""

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random

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

    def broken(self, error: TableBroken) -> None:
        self.errors.append(error)

    def finish(self, session: SessionId, turn: Seq, version: Version, outcome: Outcome) -> None:
        assert (session, turn, version) == (S, Seq(1), Version(1))
        self.outcomes.append(outcome)


class Model:
    """Does something else at each attempt."""

    def __init__(self, *attempts: Callable[[], AsyncIterator[str]]) -> None:
        self.attempts = attempts
        self.calls = 0

    async def respond(self, turn: Turn) -> AsyncIterator[str | Reply]:
        self.calls += 1
        async for piece in self.attempts[turn.attempt - 1]():
            yield piece

    async def close(self) -> None: ...


async def silent() -> AsyncIterator[str]:
    await asyncio.Event().wait()
    yield ""


async def turns_cancellation_into_an_error() -> AsyncIterator[str]:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise ConnectionError("cut") from None
    yield ""


async def answers() -> AsyncIterator[str]:
    yield "hi"


async def fails() -> AsyncIterator[str]:
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
