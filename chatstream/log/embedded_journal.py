"""The embedded log's one writer: appends of one loop turn become one batch, and are acknowledged when it is written.

In this order, for each batch: offsets are given, rows written, (with fsync) the disk asked, ends moved, acks given, readers
woken. Nothing is shown to anybody before its ack could be given, so what was shown is never lost. A batch that fails breaks
the journal: every append fails until the files were closed and opened again, because only opening tells what landed.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

import msgspec

from chatstream.core.claims import Headers
from chatstream.core.errors import LogError, LogUnavailable, OutcomeUnknown
from chatstream.core.ids import Offset, PartitionNo
from chatstream.log.port import Ack, Record, Topic

log = logging.getLogger(__name__)

Place = tuple[Topic, PartitionNo]

REVIVE_S: Final = 1.0
"""At most so often are broken files opened again: a full disk stays full for longer than that."""
READ_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of keys and values in one read, unless the first record alone is larger."""


STALL_S: Final = 0.005
"""Until a write is tried again that would have had to wait for RocksDB to make room."""


class Stalled(LogUnavailable):
    """Nothing was written, because it would have to wait: try again in a moment."""


class Files(Protocol):
    """Where the records are. Everything raises LogUnavailable when the disk does not do as told."""

    def open(self) -> Mapping[Place, tuple[Offset, Offset]]:
        """Open, and give (start, end) of each partition. Raises DirectoryInUse too."""

    def write(self, records: Sequence[tuple[Place, Record]]) -> None:
        """All or, after a crash, none. Raises Stalled rather than hold up the event loop."""

    def sync(self) -> None:
        """Return when what was written survives a loss of power. Called from another thread; must not hold the GIL."""

    def read(self, place: Place, start: int, stop: int, most: int, bytes_most: int) -> list[Record]:
        """Records from start on, before stop, at least one if there is one, then as many as both limits allow."""

    def forget(self, place: Place, start: int) -> None:
        """Remove what stands before start, and remember that."""

    def close(self) -> None:
        """Close. Repeatable."""


class Writer(Protocol):
    """A producer as the journal sees it."""

    @property
    def abandoned(self) -> bool: ...

    def settle(self, acks: list[Ack]) -> None:
        """Acks of one batch, in order; those with an error mean that this producer has failed."""


class Partition:
    """start, end: offsets, as readers may see them. watchers: called once, when `end` moves."""

    __slots__ = ("end", "place", "start", "watchers")

    def __init__(self, place: Place, start: Offset, end: Offset) -> None:
        self.place = place
        self.start = start
        self.end = end
        self.watchers: list[Callable[[], None]] = []

    def wake(self) -> None:
        """Tell those who wait for more."""
        watchers, self.watchers = self.watchers, []
        for watcher in watchers:
            watcher()


class Pending(msgspec.Struct, frozen=True, gc=False):
    """An append that was not written yet."""

    writer: Any
    partition: Any
    key: bytes | None
    value: bytes | None
    headers: Headers
    tag: Any


class Journal:
    """See the top of the file. now_ms: the wall clock. tail: told of records right after their acks were given."""

    def __init__(self, files: Files, fsync: bool, now_ms: Callable[[], int]) -> None:
        self.partitions: dict[Place, Partition] = {}
        self.tail: Callable[[Partition, list[Record]], None] | None = None
        self._files = files
        self._now_ms = now_ms
        self._fsync = fsync
        self._syncer: ThreadPoolExecutor | None = None
        self._pending: list[Pending] = []
        self._scheduled = False
        self._syncing: asyncio.Future[None] | None = None
        self._broken: LogError | None = None
        self._revived_s = 0.0
        self._closed = True

    def open(self) -> None:
        """Open the files. Raises DirectoryInUse, LogUnavailable."""
        for place, (start, end) in self._files.open().items():
            partition = self.partitions.setdefault(place, Partition(place, start, end))
            partition.start, partition.end = start, end
        if self._fsync and self._syncer is None:
            self._syncer = ThreadPoolExecutor(1, "chatstream-fsync")
        self._closed = False

    async def close(self) -> None:
        """Write what was appended, without acks, and close the files. Repeatable."""
        if self._closed:
            return
        self._closed = True
        while self._syncing is not None:
            await asyncio.wait([self._syncing])
        # Nobody was promised what fails here: it is tried, and goes unacknowledged either way.
        with contextlib.suppress(LogError):
            if self._pending and self._broken is None:
                self._write(self._take())
                if self._syncer is not None:
                    await asyncio.get_running_loop().run_in_executor(self._syncer, self._files.sync)
        if self._syncer is not None:
            self._syncer.shutdown()
            self._syncer = None
        with contextlib.suppress(LogError):
            self._files.close()

    def append(self, pending: Pending) -> None:
        """Have it written at the end of this loop turn, or together with what else came when the disk is free again."""
        self._pending.append(pending)
        if not self._scheduled and self._syncing is None:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def partition(self, topic: Topic, number: PartitionNo) -> Partition:
        """One partition, of files that can be used. Raises LogUnavailable."""
        self.check()
        return self.partitions[topic, number]

    def check(self) -> None:
        """Open broken files again, now and then. Raises LogUnavailable while they stay broken, or when closed."""
        if self._closed:
            raise LogUnavailable("the log is closed")
        if self._broken is None:
            return
        now_s = asyncio.get_running_loop().time()
        if now_s - self._revived_s < REVIVE_S or self._pending or self._syncing is not None:
            raise LogUnavailable(str(self._broken)) from self._broken
        self._revived_s = now_s
        # Broken files complain once more when they are closed; whether they are good again, only opening tells.
        with contextlib.suppress(LogError):
            self._files.close()
        self.open()
        self._broken = None
        log.warning("the log can be used again")

    def read(self, partition: Partition, start: int, most: int) -> list[Record]:
        """Records from `start` on, as far as they were acknowledged. Raises LogUnavailable."""
        self.check()
        if start >= partition.end:
            return []
        return self._files.read(partition.place, start, partition.end, most, READ_BYTES)

    def forget(self, partition: Partition, start: Offset) -> None:
        """Retention: remove what stands before start. Raises LogUnavailable."""
        self.check()
        self._files.forget(partition.place, start)
        partition.start = start

    def _flush(self) -> None:
        self._scheduled = False
        if self._closed or not self._pending or self._syncing is not None:
            return
        batch = self._take()
        if self._broken is not None:
            self._fail(batch, self._broken)
            return
        try:
            records = self._write(batch)
        except Stalled:
            self._pending[:0] = batch
            self._scheduled = True
            asyncio.get_running_loop().call_later(STALL_S, self._flush)
            return
        except LogError as error:
            self._fail(batch, error)
            return
        if self._syncer is None:
            self._written(batch, records)
        else:
            self._sync(self._syncer, batch, records)

    def _take(self) -> list[Pending]:
        batch, self._pending = self._pending, []
        return [pending for pending in batch if not pending.writer.abandoned]

    def _write(self, batch: list[Pending]) -> list[Record]:
        at_ms = self._now_ms()
        ends: dict[Partition, int] = {}
        records: list[Record] = []
        for pending in batch:
            offset = ends.get(pending.partition, pending.partition.end)
            ends[pending.partition] = offset + 1
            records.append(Record(Offset(offset), pending.key, pending.value, pending.headers, at_ms))
        if batch:
            self._files.write([(pending.partition.place, record) for pending, record in zip(batch, records, strict=True)])
        return records

    def _sync(self, syncer: ThreadPoolExecutor, batch: list[Pending], records: list[Record]) -> None:
        self._syncing = asyncio.get_running_loop().run_in_executor(syncer, self._files.sync)
        self._syncing.add_done_callback(lambda done: self._synced(done, batch, records))

    def _synced(self, done: "asyncio.Future[None]", batch: list[Pending], records: list[Record]) -> None:
        self._syncing = None
        error = done.exception()
        if isinstance(error, LogError):
            self._fail(batch, error)
        elif error is not None:
            raise error
        else:
            self._written(batch, records)
        self._flush()

    def _written(self, batch: list[Pending], records: list[Record]) -> None:
        acks: dict[Writer, list[Ack]] = {}
        moved: dict[Partition, list[Record]] = {}
        for pending, record in zip(batch, records, strict=True):
            acks.setdefault(pending.writer, []).append(Ack(pending.tag, record.offset))
            moved.setdefault(pending.partition, []).append(record)
        for partition, landed in moved.items():
            partition.end = Offset(landed[-1].offset + 1)
        for writer, settled in acks.items():
            writer.settle(settled)
        for partition, landed in moved.items():
            partition.wake()
            if self.tail is not None:
                self.tail(partition, landed)

    def _fail(self, batch: list[Pending], error: LogError) -> None:
        """Nobody knows what landed: all that was appended fails, so that nothing lands behind a gap."""
        if self._broken is None:
            log.error("nothing is stored any more until this is mended: %s", error)
        self._broken = error
        acks: dict[Writer, list[Ack]] = {}
        for pending in batch + self._take():
            unknown = OutcomeUnknown(f"nobody knows whether the append landed: {error}")
            acks.setdefault(pending.writer, []).append(Ack(pending.tag, None, unknown))
        for writer, settled in acks.items():
            writer.settle(settled)
