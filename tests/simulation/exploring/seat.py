"""One owner in an exploration: the real writer and publisher, and in place of their node what a world can step."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from chatstream.core.claims import Claim, Headers
from chatstream.core.errors import TableBroken
from chatstream.core.events import AnyEvent, MessageAccepted
from chatstream.core.ids import Offset, PartitionNo, Seq, SessionId
from chatstream.core.session import Completed, Partial, Running
from chatstream.engine.desk import Accepted, Answer, Repeated
from chatstream.engine.gaps import read_gap
from chatstream.engine.partition import Partition
from chatstream.engine.projection import Projection
from chatstream.engine.publishing import Publisher
from chatstream.engine.surroundings import End, Pending, broken_table
from chatstream.log.port import Ack, Topic
from chatstream.table import rows
from tests.given import NOW
from tests.simulation.exploring.log import P0, Sent, Task
from tests.simulation.oracle import Wrong

if TYPE_CHECKING:
    from tests.simulation.exploring.node import ExploredNode


class ExploredSeat:
    """Surroundings of a writer. jobs: turns whose model was asked; fetch: offset of the next command, -1 before the start.

    end: how the writer ended. gap: what it wants to read.
    """

    def __init__(self, node: "ExploredNode", projection: Projection, claim: Claim, published: Offset) -> None:
        self.node = node
        self.projection = projection
        self.jobs: dict[SessionId, tuple[Seq, int]] = {}
        self.fetch = -1
        self.paused = False
        self.end: End | None = None
        self.gap: tuple[Offset, Offset] | None = None
        self.catching: list[Task] = []
        self._name = claim.name
        self.publisher = Publisher(node.log, projection, published, self._send_reply, self._fail_side, self.broken, self._spawn)
        self.writer = Partition(projection, claim, 1, node.world.limits, self)

    # -- what a world does --

    def answer_turn(self, session: SessionId) -> None:
        """The model has answered. No two owners' answers are the same, so that a second one shows."""
        turn, version = self.jobs.pop(session)
        self.writer.finish(session, turn, version, Completed(text=f"re {self.node.text_of(session, turn)} by {self._name}"))

    async def close_gap(self) -> None:
        """Read what the writer asked for, and hand it over."""
        assert self.gap is not None
        (start, stop), self.gap = self.gap, None
        self.writer.on_gap(await read_gap(self.node.log, P0, start, stop, 1.0), stop)

    def broken(self, error: TableBroken) -> None:
        """The table cannot be used."""
        self.writer.distrust(broken_table(error))

    def forget(self) -> None:
        """It is dead. Pending appends are unknown to the garbage collector, so somebody has to let go of them."""
        self.writer._appends.forget()
        self.writer._held_acks = None

    def content(self) -> tuple[Any, ...]:
        """What makes this state another one. Heads in memory follow from the table and from what is appended."""
        writer, publisher, appends, wipes = self.writer, self.publisher, self.writer._appends, self.writer._wipes
        return (
            tuple((each.value, each.input_at, each.position, each.published) for each in appends._pending),
            (appends.made - appends.confirmed, appends._marks, appends._position, appends._published),
            (self.projection.next_offset, self.projection.ownership.position, self.projection.ownership.published),
            (writer.inputs.position, writer.inputs.taken, tuple(writer.inputs._waiting), frozenset(writer.inputs._aside)),
            tuple((made - appends.confirmed, waiter) for made, waiter, _ in writer._answers._appended),
            tuple((at, waiter) for at, waiter, _ in writer._answers._decided),
            None if writer._held_acks is None else tuple(offset for _, offset in writer._held_acks),
            (publisher.published, publisher._next, publisher._outstanding, publisher._stopped),
            tuple(offset for offset, *_ in publisher._later),
            tuple(task.waiting for task in self.catching),
            (tuple(sorted(self.jobs.items())), self.fetch, self.paused, self.gap),
            (self.projection.more_to_erase, tuple(wipes._sent), wipes._session, tuple(wipes._ranges), wipes._found),
        )

    # -- Surroundings --

    def now(self) -> str:
        return NOW

    def clock_s(self) -> float:
        return 0.0

    def append(self, pending: Pending, key: bytes, headers: Headers) -> None:
        self.node.events.sent.append(Sent(Topic.EVENTS, key, pending.value, headers, pending))

    def set_aside(
        self,
        topic: Topic,
        partition: PartitionNo,  # noqa: ARG002  # there is only one
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        done: Callable[[bool], None],
    ) -> None:
        def on_ack(ack: Ack) -> None:
            done(ack.offset is not None)

        self.node.side.sent.append(Sent(topic, key, value, headers, on_ack))

    def publish(self, offset: Offset, event: AnyEvent, value: bytes) -> None:
        self.publisher.publish(offset, event, value)

    def published(self) -> Offset:
        return self.publisher.published

    def wake(self, session: SessionId) -> None:
        """Readers look at the table: see World.check."""

    def answer(self, waiter: bytes, answer: Answer) -> None:
        if isinstance(answer, Accepted | Repeated):
            told = self.node.world.told(waiter.decode().split("/")[0], answer.seq)
            name = "" if told is None else told["message_id" if told["type"].startswith("message.") else "command_id"]
            if name != waiter.decode().split("/")[1]:
                raise Wrong(f"P7: {waiter!r} was told {answer}, the log has {told}")

    def run(self, session: SessionId, running: Running, event: MessageAccepted | None) -> None:  # noqa: ARG002
        told = self.node.world.told(session, running.turn)
        if told is None or told["type"] != "message.accepted":
            raise Wrong(f"P7: the model is called for {session}/{running.turn}, which the log has as {told}")
        self.jobs.setdefault(session, (running.turn, running.version))
        self.projection.table.write([(rows.running_key(session), rows.running_value(running.turn, running.version))])

    def stop(self, session: SessionId) -> None:
        self.jobs.pop(session, None)

    def said(self, session: SessionId) -> Partial:  # noqa: ARG002
        return Partial()

    def alarm(self, due: str) -> None:  # noqa: ARG002
        raise AssertionError("nothing is sent later here")

    def read_gap(self, start: Offset, stop: Offset) -> None:
        self.gap = (start, stop)

    def ask_end(self) -> None:
        raise AssertionError("time does not pass here")

    def set_paused(self, paused: bool) -> None:
        self.paused = paused

    def ended(self, end: End) -> None:
        self.publisher.close()
        if self.jobs:
            self.projection.table.write([(rows.running_key(session), None) for session in self.jobs])
        self.jobs.clear()
        self.end = end
        self.node.on_end(self, end)

    # -- the publisher --

    def _spawn(self, work: Coroutine[Any, Any, None]) -> Any:
        task = Task(work)
        task.step()  # it begins with asyncio.sleep, and there it stands
        self.catching.append(task)
        return task

    def _send_reply(
        self, partition: PartitionNo, key: bytes, value: bytes, headers: Headers, on_ack: Callable[[Ack], None]
    ) -> None:
        assert partition == P0
        self.node.side.sent.append(Sent(Topic.REPLIES, key, value, headers, on_ack))

    def _fail_side(self) -> None:
        raise AssertionError("nothing fails there")
