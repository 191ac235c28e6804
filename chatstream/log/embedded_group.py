"""The embedded log's consumer group: one member, which has every partition.

A record that is appended while its reader has caught up is handed over from memory, right after its ack; anything else is
read from the files, one callback per loop turn.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Final

from chatstream.core.errors import LogError
from chatstream.core.ids import Offset, PartitionNo
from chatstream.log.embedded_journal import REVIVE_S, Journal, Partition
from chatstream.log.port import GroupListener, Lease, Record, Topic

RECORDS_MOST: Final = 500
"""Records in one callback: some milliseconds of the engine's work."""


class _Fetch:
    """One fetch_from. position: next to be handed over. scheduled: a read comes in a next loop turn."""

    __slots__ = ("lease", "paused", "position", "scheduled")

    def __init__(self, lease: Lease, position: Offset) -> None:
        self.lease = lease
        self.position = position
        self.paused = False
        self.scheduled = False


class EmbeddedGroup:
    """See Group. committed: takes what is committed; retention never removes what stands behind it."""

    def __init__(self, journal: Journal, committed: Callable[[Mapping[PartitionNo, Offset]], None]) -> None:
        self._journal = journal
        self._committed = committed
        self._listener: GroupListener | None = None
        self._fetches: dict[PartitionNo, _Fetch] = {}
        self._assigned: list[PartitionNo] = []

    async def join(self, listener: GroupListener) -> None:
        """See Group. Raises LogError when another member has joined: there is only one."""
        if self._journal.tail is not None:
            raise LogError("the embedded log has one member, and it has joined already")
        self._listener = listener
        self._journal.tail = self._tail
        asyncio.get_running_loop().call_soon(self._assign)

    def fetch_from(self, partition: PartitionNo, offset: Offset, lease: Lease) -> None:
        """See Group."""
        if partition not in self._assigned:
            return
        log = self._journal.partitions[Topic.MESSAGES, partition]
        fetch = _Fetch(lease, max(log.start, min(offset, log.end)))
        self._fetches[partition] = fetch
        self._pump_soon(log, fetch)

    def pause(self, partition: PartitionNo) -> None:
        """See Group."""
        if partition in self._fetches:
            self._fetches[partition].paused = True

    def resume(self, partition: PartitionNo) -> None:
        """See Group."""
        fetch = self._fetches.get(partition)
        if fetch is not None and fetch.paused:
            fetch.paused = False
            self._pump_soon(self._journal.partitions[Topic.MESSAGES, partition], fetch)

    async def proves_membership(self, partition: PartitionNo, offset: Offset) -> bool:
        """See Group. The directory is ours alone, so being joined is proof."""
        if partition not in self._assigned:
            return False
        try:
            self._committed({partition: offset})
        except LogError:
            return False
        return True

    def commit(self, offsets: Mapping[PartitionNo, Offset]) -> None:
        """See Group."""
        # Nothing depends on it but retention, which waits for the next one.
        with contextlib.suppress(LogError):
            self._committed(offsets)

    async def leave(self) -> None:
        """See Group."""
        if self._listener is None:
            return
        listener, self._listener = self._listener, None
        revoked, self._assigned = self._assigned, []
        self._fetches.clear()
        self._journal.tail = None
        await asyncio.sleep(0)
        if revoked:
            listener.on_revoked(revoked)

    def _assign(self) -> None:
        if self._listener is not None:
            self._assigned = [number for topic, number in self._journal.partitions if topic is Topic.MESSAGES]
            self._listener.on_assigned(list(self._assigned))

    def _tail(self, partition: Partition, records: list[Record]) -> None:
        if partition.place[0] is not Topic.MESSAGES:
            return
        fetch = self._fetches.get(partition.place[1])
        if fetch is None or fetch.paused or fetch.scheduled:
            return
        if fetch.position == records[0].offset and len(records) <= RECORDS_MOST:
            self._hand_over(partition, fetch, records)
        else:
            self._pump_soon(partition, fetch)

    def _pump_soon(self, partition: Partition, fetch: _Fetch) -> None:
        if not fetch.scheduled and fetch.position < partition.end:
            fetch.scheduled = True
            asyncio.get_running_loop().call_soon(self._pump, partition, fetch)

    def _pump(self, partition: Partition, fetch: _Fetch) -> None:
        fetch.scheduled = False
        if fetch.paused or self._fetches.get(partition.place[1]) is not fetch:
            return
        try:
            records = self._journal.read(partition, fetch.position, RECORDS_MOST)
        except LogError:
            # The journal says so to everybody who appends or reads; here it is only tried again.
            fetch.scheduled = True
            asyncio.get_running_loop().call_later(REVIVE_S, self._pump, partition, fetch)
            return
        if records:
            self._hand_over(partition, fetch, records)
            self._pump_soon(partition, fetch)

    def _hand_over(self, partition: Partition, fetch: _Fetch, records: list[Record]) -> None:
        fetch.position = Offset(records[-1].offset + 1)
        if self._listener is not None:
            self._listener.on_records(partition.place[1], fetch.lease, records)
