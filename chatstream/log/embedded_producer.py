"""Appending to the embedded log and reading from it."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from chatstream.core.claims import Headers
from chatstream.core.errors import LogReplaced, OutcomeUnknown, QueueFull
from chatstream.core.ids import Offset, PartitionNo
from chatstream.log.embedded_journal import Journal, Pending, Place
from chatstream.log.port import Ack, AckListener, Record, Topic
from chatstream.log.sizes import checked_bytes


class EmbeddedProducer:
    """See Producer. queue_records, queue_bytes: how much may wait for its acks."""

    def __init__(self, journal: Journal, on_acks: AckListener, queue_records: int, queue_bytes: int) -> None:
        self.abandoned = False
        self._journal = journal
        self._on_acks = on_acks
        self._queue_records = queue_records
        self._queue_bytes = queue_bytes
        self._sizes: deque[int] = deque()
        self._waiting_bytes = 0
        self._failed = False
        self._idle: asyncio.Future[None] | None = None

    def append(
        self,
        topic: Topic,
        partition: PartitionNo,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        tag: Any,
    ) -> None:
        """See Producer."""
        size = checked_bytes(topic, key, value, headers)
        if self.abandoned:
            return
        if len(self._sizes) >= self._queue_records:
            raise QueueFull(f"{len(self._sizes)} appends wait for their acks already")
        if self._sizes and self._waiting_bytes + size > self._queue_bytes:
            raise QueueFull(f"{self._waiting_bytes} bytes wait for their acks already")
        self._sizes.append(size)
        self._waiting_bytes += size
        if self._failed:
            refused = Ack(tag, None, OutcomeUnknown("the producer has failed: open another"))
            asyncio.get_running_loop().call_soon(self.settle, [refused])
        else:
            self._journal.append(Pending(self, self._journal.partitions[topic, partition], key, value, headers, tag))

    def settle(self, acks: list[Ack]) -> None:
        """See Writer."""
        if self.abandoned:
            return
        for _ in acks:
            self._waiting_bytes -= self._sizes.popleft()
        self._failed = self._failed or acks[-1].error is not None
        self._on_acks(acks)
        if not self._sizes:
            self._rest()

    def abandon(self) -> None:
        """See Producer."""
        self.abandoned = True
        self._rest()

    async def close(self, wait_s: float) -> None:
        """See Producer."""
        if self._sizes and not self.abandoned:
            self._idle = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._idle], timeout=wait_s)
        self.abandon()

    def _rest(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)


class EmbeddedReader:
    """See Reader."""

    def __init__(self, journal: Journal, place: Place, offset: Offset) -> None:
        self._journal = journal
        self._place = place
        self._position = offset

    @property
    def position(self) -> Offset:
        """See Reader."""
        return self._position

    async def read(self, most: int, wait_s: float) -> list[Record]:
        """See Reader. One loop turn passes in any case, so that a long restore does not starve others."""
        await asyncio.sleep(0)
        records = self._take(most)
        if not records and wait_s > 0:
            await self._more(wait_s)
            records = self._take(most)
        return records

    async def close(self) -> None:
        """See Reader."""

    def _take(self, most: int) -> list[Record]:
        partition = self._journal.partition(*self._place)
        if not partition.start <= self._position <= partition.end:
            raise LogReplaced(
                f"offset {self._position} of {partition.place[0]}/{partition.place[1]} is outside the log, "
                f"which has {partition.start} to {partition.end}"
            )
        records = self._journal.read(partition, self._position, most)
        if records:
            self._position = Offset(records[-1].offset + 1)
        return records

    async def _more(self, wait_s: float) -> None:
        more = asyncio.get_running_loop().create_future()
        watchers = self._journal.partition(*self._place).watchers
        watcher = _waker(more)
        watchers.append(watcher)
        try:
            await asyncio.wait([more], timeout=wait_s)
        finally:
            if watcher in watchers:
                watchers.remove(watcher)


def _waker(future: "asyncio.Future[None]") -> Callable[[], None]:
    def wake() -> None:
        if not future.done():
            future.set_result(None)

    return wake
