"""A node's membership in the simulated consumer group, and the records it is given."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from chatstream.core.ids import Offset, PartitionNo
from chatstream.log.port import GroupListener, Lease, Record, Topic
from chatstream.log.simulated_broker import SimulatedBroker
from chatstream.log.simulated_group import GivenUp
from chatstream.log.simulated_world import Process, wake

RECORDS_MOST: Final = 500
"""Records in one callback."""


class _Fetch:
    """One fetch_from. position: next to be sent on its way. busy: some are on their way. watching: waits for more."""

    __slots__ = ("busy", "lease", "paused", "position", "watching")

    def __init__(self, lease: Lease, position: Offset) -> None:
        self.lease = lease
        self.position = position
        self.paused = False
        self.busy = False
        self.watching = False


class SimulatedGroup:
    """See Group. What the coordinator says arrives later and in order; what was on its way when it changed still arrives.

    _held: what this member believes to have, with the number of that assignment. _life: raised when it was put out.
    """

    def __init__(self, broker: SimulatedBroker, process: Process) -> None:
        self._broker = broker
        self._process = process
        self._listener: GroupListener | None = None
        self._held: dict[PartitionNo, int] = {}
        self._fetches: dict[PartitionNo, _Fetch] = {}
        self._inbox: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._life = 0
        self._assignments = 0

    @property
    def process(self) -> Process:
        """The life of the node it belongs to."""
        return self._process

    # ── what the engine asks ──

    async def join(self, listener: GroupListener) -> None:
        """See Group."""
        self._process.step("before join")
        self._listener = listener
        self._process.later(self._broker.delay_s(), self._enter)
        self._process.step("after join")

    def fetch_from(self, partition: PartitionNo, offset: Offset, lease: Lease) -> None:
        """See Group."""
        self._process.step("before fetch")
        if partition not in self._held:
            return
        log = self._broker.log(Topic.MESSAGES, partition)
        fetch = _Fetch(lease, max(log.start, min(offset, log.end)))
        self._fetches[partition] = fetch
        self._pump(partition, fetch)
        self._process.step("after fetch")

    def pause(self, partition: PartitionNo) -> None:
        """See Group."""
        if partition in self._fetches:
            self._fetches[partition].paused = True

    def resume(self, partition: PartitionNo) -> None:
        """See Group."""
        fetch = self._fetches.get(partition)
        if fetch is not None and fetch.paused:
            fetch.paused = False
            self._pump(partition, fetch)

    async def proves_membership(self, partition: PartitionNo, offset: Offset) -> bool:
        """See Group."""
        self._process.step("before membership")
        await self._process.wait(self._broker.delay_s())
        proved = self._belongs(partition) and not self._broker.chance(self._broker.faults.membership_doubt)
        if proved:
            self._broker.committed[partition] = offset
        await self._process.wait(self._broker.delay_s())
        self._process.step("after membership")
        return proved

    def commit(self, offsets: Mapping[PartitionNo, Offset]) -> None:
        """See Group."""
        self._process.step("before commit")
        self._process.later(self._broker.delay_s(), self._committed, dict(offsets))
        self._process.step("after commit")

    async def leave(self) -> None:
        """See Group."""
        if self._listener is None or not self._process.alive:
            return
        self._process.step("before leave")
        left = asyncio.get_running_loop().create_future()
        self._process.later(self._broker.delay_s(), self._leave, left)
        await left
        self._process.step("after leave")

    # ── what the coordinator says ──

    def assign(self, partitions: list[PartitionNo]) -> None:
        """See Member."""
        self._tell(self._assigned, partitions, self._life)

    def revoke(self, partitions: list[PartitionNo], given_up: GivenUp) -> None:
        """See Member."""
        self._tell(self._revoked, partitions, given_up, self._life)

    def fence(self) -> None:
        """See Member."""
        self._drop(list(self._held))
        self._life += 1
        self._process.later(self._broker.delay_s(), self._enter)

    def _tell(self, call: Callable[..., None], *args: Any) -> None:
        # The delays differ, the order must not.
        self._inbox.append((call, args))
        self._process.later(self._broker.delay_s(), self._hear)

    def _hear(self) -> None:
        call, args = self._inbox.popleft()
        call(*args)

    def _enter(self) -> None:
        if self._listener is not None:
            self._broker.coordinator.join(self)

    def _assigned(self, partitions: list[PartitionNo], life: int) -> None:
        if life != self._life or self._listener is None:
            return
        self._process.step("before assigned")
        self._assignments += 1
        for partition in partitions:
            self._held[partition] = self._assignments
        self._listener.on_assigned(partitions)
        self._process.step("after assigned")

    def _revoked(self, partitions: list[PartitionNo], given_up: GivenUp, life: int) -> None:
        if life != self._life or self._listener is None:
            return
        self._drop([partition for partition in partitions if partition in self._held])
        self._process.later(self._broker.delay_s(), given_up, self, partitions)

    def _drop(self, partitions: list[PartitionNo]) -> None:
        for partition in partitions:
            del self._held[partition]
            self._fetches.pop(partition, None)
        if partitions and self._listener is not None:
            self._process.step("before revoked")
            self._listener.on_revoked(partitions)
            self._process.step("after revoked")

    def _leave(self, left: "asyncio.Future[None]") -> None:
        self._broker.coordinator.leave(self)
        self._drop(list(self._held))
        self._life += 1
        self._listener = None
        wake(left)

    def _belongs(self, partition: PartitionNo) -> bool:
        coordinator = self._broker.coordinator
        return coordinator.is_member(self) and coordinator.owner(partition) == self._process.node_id

    def _committed(self, offsets: dict[PartitionNo, Offset]) -> None:
        for partition, offset in offsets.items():
            if self._belongs(partition):
                self._broker.committed[partition] = offset

    # ── records ──

    def _pump(self, partition: PartitionNo, fetch: _Fetch) -> None:
        """Send the next records on their way; they arrive even when pause or another fetch_from comes first."""
        if fetch.busy or fetch.paused or self._fetches.get(partition) is not fetch or not self._process.alive:
            return
        log = self._broker.log(Topic.MESSAGES, partition)
        most = self._broker.some(RECORDS_MOST)
        records = log.read(fetch.position, most)
        before, fetch.position = fetch.position, log.after(records, most)
        if fetch.position > before:
            fetch.busy = True
            end, assignment = fetch.position, self._held[partition]
            self._process.later(self._broker.delay_s(), self._deliver, partition, fetch, assignment, records, end)
        elif not fetch.watching:
            fetch.watching = True
            log.watchers.append(lambda: self._more(partition, fetch))

    def _more(self, partition: PartitionNo, fetch: _Fetch) -> None:
        fetch.watching = False
        self._pump(partition, fetch)

    def _deliver(self, partition: PartitionNo, fetch: _Fetch, assignment: int, records: list[Record], end: Offset) -> None:
        fetch.busy = False
        if self._held.get(partition) != assignment or self._listener is None:
            return
        self._process.step("before records")
        if records:
            self._listener.on_records(partition, fetch.lease, records)
        if not records or end > records[-1].offset + 1:
            self._listener.on_reached(partition, fetch.lease, end)
        self._process.step("after records")
        self._pump(partition, fetch)
