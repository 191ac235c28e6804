"""A node without a log: commands are decided and folded at once into real rows, and turns end when the test says so."""

import asyncio
from collections.abc import Callable

from chatstream.core import codec
from chatstream.core.commands import AnyCommand, Message
from chatstream.core.events import AnyEvent, MessageRefused, MessageScheduled
from chatstream.core.ids import InputPosition, MessageId, Offset, PartitionNo, Seq, SessionId
from chatstream.core.limits import Limits
from chatstream.core.partitioner import partition_of
from chatstream.core.session import Completed, Duplicate, Failed, Nothing, Partial, conclude, decide, evolve
from chatstream.engine.contexts import Contexts
from chatstream.engine.desk import Accepted, Answer, PartitionStatus, Refused, Repeated
from chatstream.engine.feed import Feed
from chatstream.engine.projection import Projection
from chatstream.engine.slots import Slots
from chatstream.table import rows
from chatstream.table.memory import MemoryTableStore
from chatstream.table.port import Table
from tests.rows_of import changes

NOW = "2026-11-23T12:00:00.000Z"

Responder = Callable[[Message], str | Failed | None]
"""What a message is answered with at once; None leaves its turn running."""


class FakeDesk:
    """One node that owns everything. What `trouble` holds is raised by the next calls of the named method.

    looks: how often rows were asked for. on_hold: called when a request begins to wait for a restore.
    submitted: every command that reached the engine, whatever became of it. elsewhere: partitions that are not served here,
    and the URL of who does where that is known.
    """

    partitions = 4
    node_id = "node-1"

    def __init__(self, limits: Limits, respond: Responder = lambda _: None) -> None:
        self.feed = Feed(limits.readers)
        self.stopping = False
        self.respond = respond
        self.submitted: list[AnyCommand] = []
        self.answer_with: Answer | Exception | None = None
        self.table_trouble: Exception | None = None
        self.looks = 0
        self.on_hold: Callable[[], None] = lambda: None
        self.restored = asyncio.Event()
        self.statuses = [PartitionStatus(PartitionNo(0), "active", epoch=3)]
        self.attempt: int | None = 1
        self.elsewhere: dict[PartitionNo, str | None] = {}
        self._limits = limits
        self._tables = MemoryTableStore()
        self._open: dict[PartitionNo, Table] = {}
        self._homes: dict[SessionId, PartitionNo] = {}
        self._offset = 0

    # -- what HTTP asks -------------------------------------------------------------------------------------------

    def partition_of(self, session: SessionId) -> PartitionNo:
        return partition_of(session.encode(), self.partitions)

    def table(self, session: SessionId) -> Table:
        self.looks += 1
        if self.table_trouble is not None:
            raise self.table_trouble
        return self.rows(session)

    def tables(self) -> dict[PartitionNo, Table]:
        return {
            number: self._opened(number) for number in map(PartitionNo, range(self.partitions)) if number not in self.elsewhere
        }

    def owner_url(self, partition: PartitionNo) -> str | None:
        return self.elsewhere.get(partition)

    async def wait_for_table(self, session: SessionId, wait_s: float) -> Table:
        self.on_hold()
        try:
            async with asyncio.timeout(wait_s):
                await self.restored.wait()
        except TimeoutError:
            pass
        return self.table(session)

    async def submit(self, session: SessionId, command: AnyCommand) -> Answer:
        self.submitted.append(command)
        if isinstance(self.answer_with, Exception):
            raise self.answer_with
        return self.answer_with or self.decide(session, command)

    def running(self, session: SessionId) -> tuple[MessageId, int] | None:
        running = rows.read_head(self.rows(session), session).running
        return None if running is None or self.attempt is None else (running.message_id, self.attempt)

    def status(self) -> list[PartitionStatus]:
        return self.statuses

    # -- what tests do --------------------------------------------------------------------------------------------

    def rows(self, session: SessionId) -> Table:
        """The session's table, whatever trouble there is."""
        partition = self._homes.get(session)
        if partition is None:
            partition = self._homes[session] = self.partition_of(session)
        return self._opened(partition)

    def _opened(self, partition: PartitionNo) -> Table:
        if partition not in self._open:
            self._open[partition] = self._tables.open(partition)
        return self._open[partition]

    def decide(self, session: SessionId, command: AnyCommand) -> Answer:
        """As the engine does: decide, fold, wake, and then the answer."""
        table = self.rows(session)
        head = rows.read_head(table, session)
        projection = Projection(self.partition_of(session), table, cached=10)
        slots = Slots(projection, cached=10)
        contexts = Contexts(projection, slots, self.partitions, self._limits, lambda _: Partial())
        context = contexts.of(slots.open(session), command, InputPosition(0, self._offset), NOW, sent_ms=0)
        if head.erased:
            return Refused("session-erased")
        decision = decide(head, command, context)
        if isinstance(decision, Duplicate):
            return Repeated(decision.seq)
        if isinstance(decision, Nothing):
            return Refused(decision.code)
        self.fold(decision, context.input)
        if isinstance(decision, MessageRefused):
            return Refused(decision.code)
        if isinstance(decision, MessageScheduled):
            return Accepted(decision.seq, due=decision.due)
        position = 0 if head.running is None else len(head.queue) + 1
        said = self.respond(command) if isinstance(command, Message) and position == 0 else None
        if said is not None:
            asyncio.get_running_loop().call_soon(self.end_turn, session, said)
        return Accepted(decision.seq, position)

    def fold(self, event: AnyEvent, input_at: InputPosition | None = None) -> None:
        """One more confirmed event."""
        table = self.rows(event.session)
        before = rows.read_head(table, event.session)
        after = evolve(before, event, input_at)
        found = changes(before, event, codec.write_event(event), Offset(self._offset), after)
        table.write([*found, rows.write_head(after)])
        self._offset += 1
        self.feed.wake(event.session)

    def end_turn(self, session: SessionId, said: str | Failed = "hi") -> Seq:
        """End the session's running turn. Returns the reply's seq."""
        head = rows.read_head(self.rows(session), session)
        assert head.running is not None
        outcome = said if isinstance(said, Failed) else Completed(text=said, model="fake", stop_reason="end_turn")
        event = conclude(head, head.running, outcome, NOW)
        self.fold(event)
        return event.seq

    def last_seq(self, session: str) -> int:
        """How many events the session has."""
        name = SessionId(session)
        return rows.read_head(self.rows(name), name).last_seq
