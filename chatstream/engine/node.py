"""A node: takes what the group assigns to it, claims it, serves it, and lets go of it.

Each assigned partition has one task (`_serve`) that claims and serves it again and again until it is revoked; whatever
goes wrong ends the partition's writer, and the task starts over from the log.
"""

import asyncio
import logging
import uuid
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any, Final

from chatstream.core.claims import Claim
from chatstream.core.commands import AnyCommand
from chatstream.core.errors import (
    LogError,
    LogReplaced,
    NotOwner,
    QueueFull,
    Restoring,
    TableBroken,
    UnknownFormat,
)
from chatstream.core.ids import MessageId, NodeId, Offset, PartitionNo, SessionId
from chatstream.core.limits import Limits
from chatstream.core.partitioner import partition_of
from chatstream.engine.assigned import Assigned
from chatstream.engine.claiming import Candidate, taken_over
from chatstream.engine.clock import now_ms as system_now_ms
from chatstream.engine.desk import Answer, PartitionStatus
from chatstream.engine.feed import Feed
from chatstream.engine.gateway import Gateway
from chatstream.engine.guard import Guard
from chatstream.engine.owners import Owner, Owners
from chatstream.engine.partition import Partition
from chatstream.engine.producers import EventProducer, SideProducer
from chatstream.engine.projection import Projection
from chatstream.engine.publishing import Publisher, last_source
from chatstream.engine.seat import Parts, Seat
from chatstream.engine.surroundings import Doubt, End, Fenced
from chatstream.engine.turns import Turns
from chatstream.log.port import Ack, Lease, Log, Record, Topic
from chatstream.respond.port import Responder
from chatstream.table import rows
from chatstream.table.port import Table, TableStore

log = logging.getLogger(__name__)

BACKOFF_FIRST_S: Final = 0.1
BACKOFF_MOST_S: Final = 5.0
READY_LOOK_S: Final = 0.05


class Node:
    """One node on one log: engine.desk.Desk.

    url: where other nodes' clients reach this one. now_ms, fresh_id, rng: the outside world, replaced in simulations.
    `failed` completes with an exception when the node cannot go on: then the process has to end.
    """

    def __init__(
        self,
        *,
        log: Log,
        tables: TableStore,
        responder: Responder,
        limits: Limits,
        node_id: NodeId,
        url: str,
        now_ms: Callable[[], int] = system_now_ms,
        fresh_id: Callable[[], str] = lambda: uuid.uuid4().hex[:12],
        rng: Random | None = None,
    ) -> None:
        self._log = log
        self._tables = tables
        self._responder = responder
        self._limits = limits
        self._id = node_id
        self._url = url
        self._now_ms = now_ms
        self._fresh_id = fresh_id
        self._rng = rng or Random()
        self._feed = Feed(limits.readers)
        self._partitions = 0
        self._assigned = Assigned()
        self._seats = self._assigned.seats
        self._leases: dict[PartitionNo, Lease] = {}
        self._lease = 0
        self._tasks = self._assigned.tasks
        self._doors: defaultdict[PartitionNo, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._background: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._open = False
        self._guard = Guard(self._fail)
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Open the log's parts and join the group. Raises LogUnavailable, or LogReplaced when topics are missing."""
        identity = await self._log.identify()
        missing = [topic for topic in Topic if topic not in identity]
        if missing:
            raise LogReplaced(f"topics are missing: {', '.join(missing)}")
        self._partitions = identity[Topic.MESSAGES].partitions
        self._events = EventProducer(self._log, self._guard)
        self._side = SideProducer(self._log, self._side_replaced, self._guard)
        self._gateway = Gateway(self._side, self._fresh_id(), self._limits.append_s)
        self._turns = Turns(self._responder, self._limits, self._feed, self._rng, self._fail)
        self._owners = Owners(self._log, self._side, self._id, self._seats)
        self._group = self._log.group()
        self._parts = Parts(
            log=self._log,
            group=self._group,
            events=self._events,
            side=self._side,
            gateway=self._gateway,
            turns=self._turns,
            feed=self._feed,
            now_ms=self._now_ms,
            guard=self._guard,
            spawn=self._spawn,
            gap_wait_s=self._limits.append_s,
        )
        self._open = True
        self._spawn(self._owners.follow())
        self._spawn(self._turns.watch())
        self._spawn(self._tick())
        await self._group.join(self)

    async def stop(self, drain_s: float) -> None:
        """Leave, in seconds.

        1. Take nothing more: every partition's input is paused.
        2. Wait at most drain_s for the calls under way; then for what is appended to be confirmed.
        3. End the writers: each leaves a mark, so that the next owner knows how far the input was decided. Calls that
           are still under way are left to the next owner, who calls again.
        4. Flush the producers, and only then leave the group: the next owner's claim should find all that we wrote.
        """
        self._stopping = True
        if not self._open:
            return  # it was never started, or that failed: there is nothing to leave
        for number in self._seats:
            self._group.pause(number)
        await self._turns.drain(drain_s)
        await self._until_confirmed(wait_s=2.0)
        for seat in list(self._seats.values()):
            seat.writer.move()
        for task in [*self._tasks.values(), *self._background]:
            task.cancel()
        await self._events.close(wait_s=2.0)
        await self._side.close(wait_s=2.0)
        await self._group.leave()
        self._feed.close()

    async def _until_confirmed(self, wait_s: float) -> None:
        deadline = asyncio.get_running_loop().time() + wait_s
        while any(seat.writer.unconfirmed for seat in self._seats.values()):
            if asyncio.get_running_loop().time() > deadline:
                log.warning("some appends were not confirmed before the end")
                return
            await asyncio.sleep(READY_LOOK_S)

    # -- GroupListener --------------------------------------------------------------------------------------------

    def on_assigned(self, partitions: Sequence[PartitionNo]) -> None:
        with self._guard:
            for number in partitions:
                if number not in self._tasks and not self._stopping:
                    self._tasks[number] = self._spawn(self._serve(number))

    def on_revoked(self, partitions: Sequence[PartitionNo]) -> None:
        with self._guard:
            for number in partitions:
                self._assigned.refused.pop(number, None)
                task, seat = self._tasks.pop(number, None), self._seats.get(number)
                if seat is not None:
                    seat.writer.move()
                if task is not None:
                    task.cancel()

    def on_records(self, partition: PartitionNo, lease: Lease, records: Sequence[Record]) -> None:
        seat = self._fetching(partition, lease)
        if seat is not None:
            with self._guard:
                seat.writer.on_records(records)

    def on_reached(self, partition: PartitionNo, lease: Lease, end: Offset) -> None:
        seat = self._fetching(partition, lease)
        if seat is not None:
            with self._guard:
                seat.writer.on_reached(end)

    def _fetching(self, partition: PartitionNo, lease: Lease) -> Seat | None:
        """For whom records of this fetch are meant; nobody, when it was an earlier one's."""
        return self._seats.get(partition) if self._leases.get(partition) == lease and not self._stopping else None

    # -- a partition's life ---------------------------------------------------------------------------------------

    async def _serve(self, number: PartitionNo) -> None:
        wait_s, end = BACKOFF_FIRST_S, None
        while True:
            try:
                if isinstance(end, Fenced) and not await self._still_ours(number):
                    raise NotOwner(number, None)
                end = await self._own(number)
                log.warning("partition %d: its writer ended: %s", number, end)
                wait_s = BACKOFF_FIRST_S
            except (LogReplaced, UnknownFormat) as error:
                self._assigned.refused[number] = str(error)
                log.error("partition %d is not served: %s", number, error)
                await asyncio.sleep(self._limits.refused_s)
                continue
            except (LogError, NotOwner, TableBroken) as error:
                log.warning("partition %d: not claimed: %s", number, error)
            await asyncio.sleep(wait_s * (0.5 + self._rng.random()))
            wait_s = min(wait_s * 2, BACKOFF_MOST_S)

    async def _still_ours(self, number: PartitionNo) -> bool:
        """A claim that fenced us may have been a zombie's late one: then the group still knows us as the owner."""
        return await self._group.proves_membership(number, Offset(0))

    async def _own(self, number: PartitionNo) -> End:
        """Claim the partition and serve it until its writer ends; how it ended.

        One at a time: a partition that comes back at once waits until its former life has closed the table.
        """
        candidate = Candidate(node=self._id, url=self._url, fresh_id=self._fresh_id())
        taking = taken_over(self._log, self._tables, number, candidate, self._limits, self._append_claim, self._assigned.folds)
        async with self._doors[number], taking as (projection, claim):
            end = await self._serve_under(number, projection, claim)
            if isinstance(end, Doubt) and end.table:
                raise TableBroken(end.why)
            return end

    async def _serve_under(self, number: PartitionNo, projection: Projection, claim: Claim) -> End:
        published = Offset(max(projection.ownership.published, await last_source(self._log, number, projection.next_offset)))
        seat = Seat(self._parts, projection, self._on_end)
        publisher = Publisher(self._log, projection, published, self._send_reply, self._fail_side, seat.broken, self._spawn)
        seat.sit(Partition(projection, claim, self._partitions, self._limits, seat), publisher)
        self._seats[number] = seat
        self._assigned.refused.pop(number, None)
        log.info("partition %d is served under claim %s", number, claim.name)
        seat.writer.start()
        seat.writer.settle()
        if not seat.writer.over:
            self._fetch(number, Offset(projection.ownership.position.offset + 1))
            self._owners.announce(Owner(number, claim.epoch, self._id, self._url))
            self._feed.wake_all()
        return await seat.end

    async def _append_claim(self, number: PartitionNo, key: bytes, value: bytes) -> Offset:
        replaced = self._events.replaced
        try:
            return await self._events.append_claim(number, key, value, self._limits.append_s)
        except LogError as error:
            if self._events.replaced == replaced and not isinstance(error, QueueFull):
                self._replace_events(f"a claim failed: {error}")
            raise

    def _fetch(self, number: PartitionNo, offset: Offset) -> None:
        self._lease += 1
        self._leases[number] = Lease(self._lease)
        self._group.fetch_from(number, offset, Lease(self._lease))

    def _on_end(self, seat: Seat, end: End) -> None:
        if self._seats.get(seat.number) is seat:
            del self._seats[seat.number]
            self._leases.pop(seat.number, None)
        if isinstance(end, Doubt) and end.producer:
            self._replace_events(end.why)

    def _replace_events(self, why: str) -> None:
        """One producer serves all partitions: when it goes, what each of them had in flight is unknown."""
        self._events.replace()
        for seat in list(self._seats.values()):
            seat.writer.distrust(Doubt(f"the producer was replaced: {why}", producer=False))

    # -- everything but chat.events -------------------------------------------------------------------------------

    def _send_reply(
        self,
        number: PartitionNo,
        key: bytes,
        value: bytes,
        headers: tuple[tuple[str, bytes], ...],
        on_ack: Callable[[Ack], None],
    ) -> None:
        self._side.append(Topic.REPLIES, number, key, value, headers, on_ack)

    def _fail_side(self) -> None:
        self._side.fail(None)

    def _side_replaced(self) -> None:
        self._gateway.producer_replaced()
        for seat in list(self._seats.values()):
            if seat.writer.inputs.unsettled:
                seat.writer.distrust(Doubt("a record aside was not acknowledged", producer=False))
            else:
                seat.publisher.restart()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._limits.mark_s)
            for seat in list(self._seats.values()):
                seat.writer.tick()
            self._gateway.tick()
            positions = {n: Offset(seat.writer.inputs.position.offset + 1) for n, seat in self._seats.items()}
            if positions:
                self._group.commit(positions)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """A bug: tell who waits for `failed`, and take, append and show nothing more until the process ends."""
        log.critical("the node cannot go on", exc_info=error)
        if self.failed.done():
            return
        self.failed.set_exception(error)
        if not isinstance(error, Exception):
            return  # the process ends here and now
        self._stopping = True
        for seat in list(self._seats.values()):
            with self._guard:
                seat.writer.distrust(Doubt("the node cannot go on", producer=False))
        for task in self._tasks.values():
            task.cancel()

    # -- Desk -----------------------------------------------------------------------------------------------------

    @property
    def partitions(self) -> int:
        return self._partitions

    @property
    def node_id(self) -> str:
        return self._id

    @property
    def feed(self) -> Feed:
        return self._feed

    @property
    def stopping(self) -> bool:
        return self._stopping

    def partition_of(self, session: SessionId) -> PartitionNo:
        return partition_of(session.encode(), self._partitions)

    def table(self, session: SessionId) -> Table:
        number = self.partition_of(session)
        table = self._assigned.table(number)
        if table is not None:
            return table
        raise NotOwner(number, self.owner_url(number))

    def tables(self) -> dict[PartitionNo, Table]:
        return {number: seat.table for number, seat in self._seats.items()}

    def owner_url(self, partition: PartitionNo) -> str | None:
        return self._owners.url_of(partition)

    async def wait_for_table(self, session: SessionId, wait_s: float) -> Table:
        deadline = asyncio.get_running_loop().time() + wait_s
        while True:
            try:
                return self.table(session)
            except Restoring:
                if asyncio.get_running_loop().time() >= deadline or self._stopping:
                    raise
            await asyncio.sleep(READY_LOOK_S)

    async def submit(self, session: SessionId, command: AnyCommand) -> Answer:
        number = self.partition_of(session)
        self._assigned.check(number)
        if number not in self._tasks and (url := self.owner_url(number)) is not None:
            raise NotOwner(number, url)
        return await self._gateway.submit(number, session, command)

    def running(self, session: SessionId) -> tuple[MessageId, int] | None:
        attempt = self._turns.attempt(session)
        seat = self._seats.get(self.partition_of(session))
        if not attempt or seat is None:
            return None
        running = rows.read_head(seat.table, session).running
        return None if running is None else (running.message_id, attempt)

    def status(self) -> list[PartitionStatus]:
        return self._assigned.status()
