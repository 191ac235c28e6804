"""The three logs, each in a world of its own, behind one face: what the contract needs beyond the port."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

from chatstream.core.errors import LogUnavailable
from chatstream.core.ids import NodeId, Offset, PartitionNo
from chatstream.log.embedded import EmbeddedLog
from chatstream.log.port import Ack, Lease, Log, Record, Topic
from chatstream.log.simulated import Faults, SimulatedBroker, SimulatedLog

PARTITIONS = 4
WAIT_S = 30.0
"""Deadline of every wait; met in milliseconds, but for Kafka's group on a busy machine."""
QUEUE_RECORDS = 1_000


class World(Protocol):
    """One log's surroundings."""

    def make(self) -> Log:
        """A node's log, not open yet."""

    async def replace(self) -> None:
        """Another log takes the place of this one, as when an operator made the topics anew. No log is open."""

    async def make_hole(self, partition: PartitionNo) -> bool:
        """Append one record to chat.messages and leave an offset free behind it; False where there are no holes."""

    async def compact(self) -> bool:
        """Compact chat.events now; False where this cannot be arranged here."""

    async def fail_appends(self) -> bool:
        """From now on appends fail with an unknown outcome; False where this cannot be arranged here."""


class SimulatedWorld:
    """Without faults, and on the real loop, so in real time."""

    def __init__(self) -> None:
        self.broker = SimulatedBroker(seed=1, partitions=PARTITIONS)

    def make(self) -> Log:
        return SimulatedLog(self.broker, NodeId("a"), queue_records=QUEUE_RECORDS)

    async def replace(self) -> None:
        for topic in Topic:
            self.broker.recreate(topic)

    async def make_hole(self, partition: PartitionNo) -> bool:
        self.broker.produce(Topic.MESSAGES, partition, b"key", b"before the hole")
        self.broker.log(Topic.MESSAGES, partition).skip(1)
        return True

    async def compact(self) -> bool:
        for number in range(PARTITIONS):
            self.broker.log(Topic.EVENTS, PartitionNo(number)).compact()
        return True

    async def fail_appends(self) -> bool:
        self.broker.faults = Faults(append_lost=1.0)
        return True


class EmbeddedWorld:
    """In a directory of the test's own. fsync: as the log's."""

    def __init__(self, path: Path, fsync: bool) -> None:
        self._path = path
        self._fsync = fsync
        self._count = 0
        self._log: EmbeddedLog | None = None

    def make(self) -> Log:
        self._log = EmbeddedLog(self._path / f"log-{self._count}", PARTITIONS, fsync=self._fsync, queue_records=QUEUE_RECORDS)
        return self._log

    async def replace(self) -> None:
        self._count += 1

    async def make_hole(self, partition: PartitionNo) -> bool:  # noqa: ARG002 - there are no holes
        return False

    async def compact(self) -> bool:
        assert self._log is not None
        await self._log.compact()
        return True

    async def fail_appends(self) -> bool:
        def write(records: Sequence[Any]) -> None:
            raise LogUnavailable(f"no space left for {len(records)} records")

        assert self._log is not None
        self._log.files.write = write  # type: ignore[method-assign] # the disk is full
        return True


class KafkaWorld:
    """On a real broker, with topics made anew."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    def make(self) -> Log:
        from chatstream.log.kafka import KafkaLog

        return KafkaLog(self._bootstrap, NodeId("a"), queue_records=QUEUE_RECORDS)

    async def replace(self) -> None:
        from tests.broker import fresh_topics_async

        await fresh_topics_async(self._bootstrap, PARTITIONS)

    async def make_hole(self, partition: PartitionNo) -> bool:
        await asyncio.to_thread(self._commit_one, partition)
        return True

    async def compact(self) -> bool:
        return False  # it takes its time and settings of its own: see test_erasure_kafka.py

    async def fail_appends(self) -> bool:
        return False

    def _commit_one(self, partition: int) -> None:
        from confluent_kafka import Consumer, Producer, TopicPartition

        producer = Producer({"bootstrap.servers": self._bootstrap, "transactional.id": "holes", "log_level": 0})
        producer.init_transactions(WAIT_S)
        producer.begin_transaction()
        producer.produce(Topic.MESSAGES.value, b"before the hole", b"key", partition)
        producer.commit_transaction(WAIT_S)
        # The broker answers before it has written the marker, which is the hole.
        reader = Consumer({"bootstrap.servers": self._bootstrap, "group.id": "holes", "isolation.level": "read_uncommitted"})
        place, deadline_s = TopicPartition(Topic.MESSAGES.value, partition), time.monotonic() + WAIT_S
        while reader.get_watermark_offsets(place, WAIT_S)[1] < 2:
            assert time.monotonic() < deadline_s
        reader.close()


@pytest.fixture(params=["simulated", "embedded", "embedded-fsync", pytest.param("kafka", marks=pytest.mark.kafka)])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    if request.param == "simulated":
        return SimulatedWorld()
    if request.param == "kafka":
        return KafkaWorld(request.getfixturevalue("bootstrap"))
    return EmbeddedWorld(tmp_path, request.param == "embedded-fsync")


@pytest.fixture
async def log(world: World) -> AsyncIterator[Log]:
    """An open log."""
    log = world.make()
    await log.open()
    yield log
    await log.close()


class Waiter:
    """Something that is told of things, and somebody who waits until enough was told."""

    def __init__(self) -> None:
        self._told = asyncio.Event()

    def tell(self) -> None:
        """Look again."""
        self._told.set()

    async def until(self, enough: Callable[[], bool]) -> None:
        """Wait until it is so. Raises TimeoutError."""
        async with asyncio.timeout(WAIT_S):
            while not enough():
                self._told.clear()
                await self._told.wait()


class Acks(Waiter):
    """Collects acks."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Ack] = []

    def __call__(self, acks: Sequence[Ack], /) -> None:
        assert acks
        self.all.extend(acks)
        self.tell()

    async def count(self, count: int) -> list[Ack]:
        """Wait until so many came, and give all."""
        await self.until(lambda: len(self.all) >= count)
        return self.all

    @property
    def tags(self) -> list[Any]:
        return [ack.tag for ack in self.all]


class Member(Waiter):
    """Collects what a group's listener is told. fetch: whether it fetches from the start as soon as it is assigned."""

    def __init__(self) -> None:
        super().__init__()
        self.held: set[PartitionNo] = set()
        self.revoked: list[PartitionNo] = []
        self.records: list[tuple[PartitionNo, Lease, Record]] = []
        self.reached: list[tuple[PartitionNo, Lease, Offset]] = []

    def on_assigned(self, partitions: Sequence[PartitionNo]) -> None:
        assert not self.held & set(partitions)
        self.held |= set(partitions)
        self.tell()

    def on_revoked(self, partitions: Sequence[PartitionNo]) -> None:
        assert set(partitions) <= self.held
        self.held -= set(partitions)
        self.revoked.extend(partitions)
        self.tell()

    def on_records(self, partition: PartitionNo, lease: Lease, records: Sequence[Record]) -> None:
        assert records
        assert partition in self.held
        self.records.extend((partition, lease, record) for record in records)
        self.tell()

    def on_reached(self, partition: PartitionNo, lease: Lease, end: Offset) -> None:
        assert partition in self.held
        self.reached.append((partition, lease, end))
        self.tell()

    def values(self, lease: int | None = None) -> list[bytes | None]:
        """Values in the order in which they came, of one lease or of all."""
        return [record.value for _, of, record in self.records if lease in (None, of)]
