"""One node of an exploration: it claims, owns, is fenced, dies; what it keeps is its table."""

from typing import TYPE_CHECKING, Any

from chatstream.core.errors import LogError, OutcomeUnknown, TableBroken
from chatstream.core.ids import NodeId, Offset, Seq, SessionId
from chatstream.engine.claiming import Candidate, taken_over
from chatstream.engine.partition import Partition
from chatstream.engine.publishing import last_source
from chatstream.engine.surroundings import Doubt, End, Pending
from chatstream.log.port import Topic
from chatstream.table.memory import MemoryTableStore
from tests.simulation.exploring.log import P0, Lane, NodeLog, Pause, Sent, Task
from tests.simulation.exploring.seat import ExploredSeat

if TYPE_CHECKING:
    from tests.simulation.exploring.world import World


class ExploredNode:
    """One node. table: what it keeps when it dies."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.number = number
        self.log = NodeLog(world.log)
        self.tables = MemoryTableStore()
        self.events, self.side = Lane(), Lane()
        self.own: Task | None = None
        self.seat: ExploredSeat | None = None

    def claim(self) -> None:
        """The group has given it the partition."""
        self.world.claims += 1
        self.own = Task(self._own(f"{self.number}.{self.world.claims}"))
        self.own.step()

    async def _own(self, fresh_id: str) -> None:
        """As Node._own does it."""
        candidate = Candidate(node=NodeId(f"n{self.number}"), url="", fresh_id=fresh_id)
        taking = taken_over(self.log, self.tables, P0, candidate, self.world.limits, self._append_claim)
        async with taking as (projection, claim):
            published = Offset(max(projection.ownership.published, await last_source(self.log, P0, projection.next_offset)))
            seat = ExploredSeat(self, projection, claim, published)
            self.seat = seat
            seat.writer.start()
            seat.writer.settle()
            if seat.end is None:
                seat.fetch = projection.ownership.position.offset + 1
                await Pause("end")
            if isinstance(seat.end, Doubt) and seat.end.table:
                raise TableBroken(seat.end.why)

    async def _append_claim(self, _partition: int, key: bytes, value: bytes) -> Offset:
        self.events.sent.append(Sent(Topic.EVENTS, key, value, (), None))
        try:
            offset: Offset = await Pause("claim")
        except LogError:
            self.replace_events()
            raise
        return offset

    def replace_events(self) -> None:
        """Throw the producer away: what it had on its way may still land."""
        self.world.set_adrift(self.events)
        self.events = Lane()

    def on_end(self, seat: ExploredSeat, end: End) -> None:
        """The writer is over."""
        if self.seat is seat:
            self.seat = None
        if isinstance(end, Doubt) and end.producer:
            self.replace_events()

    def tidy(self) -> None:
        """A writer that has ended leaves its place."""
        if self.own is not None and self.own.waiting == "end" and self.seat is None:
            self.own.step()
        if self.own is not None and not self.own.waiting:
            self.own = None

    def die(self) -> None:
        """kill -9, and a new process."""
        seat, self.seat = self.seat, None
        for task in ([] if self.own is None else [self.own]) + ([] if seat is None else seat.catching):
            task.cancel()
        if seat is not None:
            seat.forget()
        self.own = None
        self.tables = self.tables.after_crash()
        self.world.set_adrift(self.events)
        self.world.set_adrift(self.side)
        self.events, self.side = Lane(), Lane()

    def revoked(self) -> None:
        """The group has taken the partition away."""
        if self.seat is not None:
            self.seat.writer.move()
        if self.own is not None and self.own.waiting not in ("", "end"):
            self.own.cancel()
            self.own = None

    def ack(self) -> None:
        """The oldest record that landed is acknowledged."""
        tag, offset = self.events.landed.popleft()
        if isinstance(tag, Pending):
            assert isinstance(tag.writer, Partition)
            tag.writer.on_ack(tag, offset, None)
            tag.writer.settle()
        elif self.own is not None and self.own.waiting == "claim":
            self.own.step(offset)

    def lose(self) -> None:
        """The producer fails: nobody knows what became of what it had sent."""
        tags = [tag for tag, _ in self.events.landed] + [sent.tag for sent in self.events.sent]
        self.events.landed.clear()
        error = OutcomeUnknown("nobody knows")
        if isinstance(tags[0], Pending):
            assert isinstance(tags[0].writer, Partition)
            tags[0].writer.on_ack(tags[0], None, error)
        elif self.own is not None and self.own.waiting == "claim":
            self.own.step(error=error)

    def text_of(self, session: SessionId, turn: Seq) -> str:
        """What the turn is to answer."""
        told = self.world.told(session, turn)
        return "" if told is None else str(told["text"])

    def content(self) -> tuple[Any, ...]:
        """What makes this state another one."""
        # What a look has folded follows from where the log ended then: earlier looks leave nothing behind.
        own = None if self.own is None else (self.own.waiting, *((self.own.looks, self.own.seen) if self.seat is None else ()))
        table = hash(frozenset(self.rows().items()))
        seat = None if self.seat is None else self.seat.content()
        return own, table, self.events.content(), self.side.content(), seat

    def rows(self) -> dict[bytes, bytes]:
        """What stands in its table."""
        found = self.tables._rows.get(P0)
        return {} if found is None else found.values
