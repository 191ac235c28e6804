"""A partition's place on its node: what the writer asks of its surroundings, wired to the node's parts."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

from chatstream.core.claims import Headers
from chatstream.core.errors import LogError, TableBroken
from chatstream.core.events import AnyEvent, MessageAccepted
from chatstream.core.ids import Offset, PartitionNo, Seq, SessionId, Version
from chatstream.core.session import Compacted, Outcome, Parked, Partial, Running, Stepped
from chatstream.core.times import at_ms
from chatstream.engine.clock import rfc3339
from chatstream.engine.desk import Answer
from chatstream.engine.feed import Feed
from chatstream.engine.gaps import read_gap
from chatstream.engine.gateway import Gateway
from chatstream.engine.guard import Guard
from chatstream.engine.partition import Partition
from chatstream.engine.producers import EventProducer, SideProducer
from chatstream.engine.projection import Projection
from chatstream.engine.publishing import Publisher
from chatstream.engine.surroundings import Doubt, End, Pending, broken_table
from chatstream.engine.turns import Job, Turns
from chatstream.log.port import Ack, Group, Log, Topic
from chatstream.table import rows
from chatstream.table.port import Change, Table

log = logging.getLogger(__name__)

ALARM_MOST_S: Final = 86_400.0
"""Timers of years are nothing for an event loop; Partition.tick looks again long before."""


class Parts:
    """What all seats of a node share. spawn: starts a task whose exceptions end the node."""

    def __init__(
        self,
        *,
        log: Log,
        group: Group,
        events: EventProducer,
        side: SideProducer,
        gateway: Gateway,
        turns: Turns,
        feed: Feed,
        now_ms: Callable[[], int],
        guard: Guard,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        gap_wait_s: float,
    ) -> None:
        self.log = log
        self.group = group
        self.events = events
        self.side = side
        self.gateway = gateway
        self.turns = turns
        self.feed = feed
        self.now_ms = now_ms
        self.guard = guard
        self.spawn = spawn
        self.gap_wait_s = gap_wait_s


class Seat:
    """One partition on this node: engine.surroundings.Surroundings and engine.turns.Asker.

    Taken with `sit` once writer and publisher exist; `end` completes when the writer has ended.
    """

    def __init__(self, parts: Parts, projection: Projection, on_end: Callable[["Seat", End], None]) -> None:
        self.number: PartitionNo = projection.partition
        self.projection = projection
        self.end: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._parts = parts
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._started: list[Change] = []
        self._alarm: asyncio.TimerHandle | None = None

    def sit(self, writer: Partition, publisher: Publisher) -> None:
        """Complete the seat."""
        self.writer = writer
        self.publisher = publisher

    # -- Surroundings ---------------------------------------------------------------------------------------------

    def now(self) -> str:
        return rfc3339(self._parts.now_ms())

    def clock_s(self) -> float:
        return self._clock()

    def append(self, pending: Pending, key: bytes, headers: Headers) -> None:
        self._parts.events.append(self.number, key, pending.value, headers, pending)

    def set_aside(
        self,
        topic: Topic,
        partition: PartitionNo,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        done: Callable[[bool], None],
    ) -> None:
        def on_ack(ack: Ack) -> None:
            done(ack.offset is not None)

        self._parts.side.append(topic, partition, key, value, headers, on_ack)

    def publish(self, offset: Offset, event: AnyEvent, value: bytes) -> None:
        self.publisher.publish(offset, event, value)

    def published(self) -> Offset:
        return self.publisher.published

    def wake(self, session: SessionId) -> None:
        self._parts.feed.wake(session)

    def answer(self, waiter: bytes, answer: Answer) -> None:
        self._parts.gateway.answer(waiter, answer)

    def run(self, session: SessionId, running: Running, event: MessageAccepted | None) -> None:
        self._parts.turns.run(Job(self, session, running.turn, running.version, event))

    def stop(self, session: SessionId) -> None:
        self._parts.turns.stop(session)

    def said(self, session: SessionId) -> Partial:
        return self._parts.turns.said(session)

    def alarm(self, due: str) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        wait_s = ((at_ms(due) or 0) - self._parts.now_ms()) / 1000
        self._alarm = self._loop.call_later(min(max(wait_s, 0.0), ALARM_MOST_S), self._ring)

    def _ring(self) -> None:
        with self._parts.guard:
            self.writer.on_alarm()

    def read_gap(self, start: Offset, stop: Offset) -> None:
        self._parts.spawn(self._read_gap(start, stop))

    async def _read_gap(self, start: Offset, stop: Offset) -> None:
        try:
            records = await read_gap(self._parts.log, self.number, start, stop, self._parts.gap_wait_s)
        except LogError as error:
            self.writer.distrust(Doubt(f"a gap cannot be read: {error}", producer=False))
        else:
            self.writer.on_gap(records, stop)

    def ask_end(self) -> None:
        self._parts.spawn(self._ask_end())

    async def _ask_end(self) -> None:
        try:
            _, end = await self._parts.log.bounds(Topic.EVENTS, self.number)
        except LogError as error:
            log.info("partition %d: where it ends is asked again later: %s", self.number, error)
        else:
            self.writer.on_end(end)

    def set_paused(self, paused: bool) -> None:
        if paused:
            self._parts.group.pause(self.number)
        else:
            self._parts.group.resume(self.number)

    def ended(self, end: End) -> None:
        """Drop everything of this partition at once: nothing of it may be shown or acted on any more."""
        if self._alarm is not None:
            self._alarm.cancel()
        self.publisher.close()
        left = self._parts.turns.abandon(self)
        if left:
            # The process lives, so these calls did not end in a crash.
            self._write_local([(rows.running_key(session), None) for session in left])
        self._parts.gateway.lose(self.number)
        self._on_end(self, end)
        self._parts.feed.wake_all()
        self.end.set_result(end)

    # -- Asker ----------------------------------------------------------------------------------------------------

    @property
    def table(self) -> Table:
        return self.projection.table

    def started(self, session: SessionId, turn: Seq, version: Version) -> None:
        # One write for all that start in this turn of the loop; it is scheduled before the first of their tasks is made,
        # so it comes before any of them calls the model.
        if not self._started:
            self._loop.call_soon(self._write_started)
        self._started.append((rows.running_key(session), rows.running_value(turn, version)))

    def _write_started(self) -> None:
        started, self._started = self._started, []
        with self._parts.guard:
            if not self.writer.over:
                self._write_local(started)

    def _write_local(self, changes: list[Change]) -> None:
        try:
            self.table.write(changes)
        except TableBroken as error:
            self.broken(error)

    def broken(self, error: TableBroken) -> None:
        self.writer.distrust(broken_table(error))

    def finish(self, session: SessionId, turn: Seq, version: Version, outcome: Outcome) -> None:
        self.writer.finish(session, turn, version, outcome)

    def record(self, session: SessionId, turn: Seq, version: Version, what: Stepped | Parked) -> asyncio.Future[None]:
        recorded: asyncio.Future[None] = self._loop.create_future()

        def done(confirmed: bool) -> None:
            if not confirmed:
                recorded.cancel()
            elif not recorded.done():
                recorded.set_result(None)

        self.writer.record(session, turn, version, what, done)
        return recorded

    def compacted(self, session: SessionId, made_at: Seq, what: Compacted) -> None:
        self.writer.compacted(session, made_at, what)
