"""The embedded log: all topics in the data directory, for one process.

embedded            EmbeddedLog: opening, closing, retention
embedded_files      RocksDB beneath it
embedded_journal    the one writer: batches, acks, what readers may see
embedded_producer   producers and readers
embedded_compaction removing what has a tombstone
embedded_group      the one member of the group
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from chatstream.core.errors import LogUnavailable
from chatstream.core.ids import Offset, PartitionNo
from chatstream.core.limits import MIB
from chatstream.log.embedded_compaction import Compaction
from chatstream.log.embedded_files import RocksFiles
from chatstream.log.embedded_group import EmbeddedGroup
from chatstream.log.embedded_journal import Journal, Partition
from chatstream.log.embedded_producer import EmbeddedProducer, EmbeddedReader
from chatstream.log.port import AckListener, Topic, TopicIdentity

DAY_S: Final = 86_400.0
RETENTION_S: Final[Mapping[Topic, float]] = {
    Topic.MESSAGES: 7 * DAY_S,
    Topic.REPLIES: 30 * DAY_S,
    Topic.DEAD_LETTERS: 30 * DAY_S,
}
"""Topics from which old records are removed, as in topics.yaml; the others keep everything."""
RETENTION_EVERY_S: Final = 3_600.0
RETENTION_STEP: Final = 2_000
"""Records looked at before other work gets its turn."""
QUEUE_RECORDS: Final = 100_000
QUEUE_BYTES: Final = 256 * MIB


class EmbeddedLog:
    """See Log. path: a directory of its own, made when missing.

    fsync: acks wait for the disk, so that what they say outlives a loss of power.
    retention_s: seconds after which a record of a topic is removed; what was not used yet of chat.messages always stays.
    """

    def __init__(
        self,
        path: Path,
        partitions: int = 16,
        fsync: bool = False,
        *,
        retention_s: Mapping[Topic, float] = RETENTION_S,
        queue_records: int = QUEUE_RECORDS,
        queue_bytes: int = QUEUE_BYTES,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.files = RocksFiles(path, partitions)
        self._journal = Journal(self.files, fsync, now_ms)
        self._compaction = Compaction(self._journal, self.files)
        self._retention_s = retention_s
        self._queue_records = queue_records
        self._queue_bytes = queue_bytes
        self._now_ms = now_ms
        self._producers: list[EmbeddedProducer] = []
        self._groups: list[EmbeddedGroup] = []
        self._cleaner: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """See Log. Raises BadSettings too, for another partition count, and UnknownFormat."""
        self._journal.open()
        self._cleaner = asyncio.create_task(self._clean())

    async def close(self) -> None:
        """See Log."""
        if self._cleaner is not None:
            self._cleaner.cancel()
            await asyncio.wait([self._cleaner])
            self._cleaner = None
        for group in self._groups:
            await group.leave()
        await self._journal.close()
        for producer in self._producers:
            producer.abandon()

    async def identify(self) -> dict[Topic, TopicIdentity]:
        """See Log."""
        self._journal.check()
        counts = [topic for topic, _ in self._journal.partitions]
        return {topic: TopicIdentity(self.files.meta.ids[topic], counts.count(topic)) for topic in Topic}

    async def bounds(self, topic: Topic, partition: PartitionNo) -> tuple[Offset, Offset]:
        """See Log."""
        found = self._journal.partition(topic, partition)
        return found.start, found.end

    def open_reader(self, topic: Topic, partition: PartitionNo, offset: Offset) -> EmbeddedReader:
        """See Log."""
        return EmbeddedReader(self._journal, (topic, partition), offset)

    def open_producer(self, on_acks: AckListener) -> EmbeddedProducer:
        """See Log."""
        self._producers = [producer for producer in self._producers if not producer.abandoned]
        producer = EmbeddedProducer(self._journal, on_acks, self._queue_records, self._queue_bytes)
        self._producers.append(producer)
        return producer

    def group(self) -> EmbeddedGroup:
        """See Log."""
        group = EmbeddedGroup(self._journal, self.files.commit)
        self._groups.append(group)
        return group

    async def remove_old(self) -> None:
        """Retention, once over all topics. Raises LogUnavailable."""
        for topic, retention_s in self._retention_s.items():
            before_ms = self._now_ms() - int(retention_s * 1000)
            for partition in [p for (of, _), p in self._journal.partitions.items() if of is topic]:
                more = True
                while more:
                    more = self._remove_some(partition, before_ms)
                    await asyncio.sleep(0)

    async def compact(self) -> None:
        """Remove from chat.events what has a tombstone, once over all partitions. Raises LogUnavailable."""
        await self._compaction.run()

    def _remove_some(self, partition: Partition, before_ms: int) -> bool:
        """From the first record on, as Kafka does; True when there may be more."""
        start = partition.start
        stop = self.files.committed(partition.place[1]) if partition.place[0] is Topic.MESSAGES else partition.end
        # Mostly nothing is old: look at one before looking at many.
        if not any(record.at_ms < before_ms for record in self._journal.read(partition, start, 1)):
            return False
        for record in self._journal.read(partition, start, RETENTION_STEP):
            if record.at_ms >= before_ms or record.offset >= stop:
                break
            start = Offset(record.offset + 1)
        if start == partition.start:
            return False
        self._journal.forget(partition, start)
        return True

    async def _clean(self) -> None:
        while True:
            # A broken log says so where it is used; here it is tried again with the next round.
            with contextlib.suppress(LogUnavailable):
                await self.remove_old()
                await self.compact()
            await asyncio.sleep(RETENTION_EVERY_S)
