"""What the Kafka tests start from: an open log, records that are there, one member that fetches."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from chatstream.core.ids import NodeId, Offset, PartitionNo
from chatstream.log.kafka import KafkaLog
from chatstream.log.kafka_group import KafkaGroup
from chatstream.log.kafka_producer import KafkaProducer
from chatstream.log.port import Ack, Lease, Record, Topic
from tests.listener import NotedListener, until

P0 = PartitionNo(0)


@asynccontextmanager
async def opened(bootstrap: str, node: str = "node-a", **options: Any) -> AsyncIterator[KafkaLog]:
    """A KafkaLog, closed at the end."""
    log = KafkaLog(bootstrap, NodeId(node), **options)
    await log.open()
    try:
        yield log
    finally:
        await log.close()


async def append_all(log: KafkaLog, topic: Topic, partition: int, values: Sequence[bytes], key: bytes = b"alice") -> list[Ack]:
    """Append values with a producer of its own, and return their acks."""
    acks: list[Ack] = []
    producer = log.open_producer(acks.extend)
    for number, value in enumerate(values):
        producer.append(topic, PartitionNo(partition), key, value, (), number)
    await until(lambda: len(acks) == len(values), "acks")
    producer.abandon()
    return acks


async def joined(log: KafkaLog, partitions: int = 4) -> tuple[KafkaGroup, NotedListener]:
    """The log's group, with that many partitions assigned."""
    listener = NotedListener()
    group = log.group()
    await group.join(listener)
    await until(lambda: len(listener.now) == partitions, "partitions")
    return group, listener


async def read_all(log: KafkaLog, topic: Topic, partition: int) -> list[Record]:
    """Every record of a partition."""
    _, end = await log.bounds(topic, PartitionNo(partition))
    reader = log.open_reader(topic, PartitionNo(partition), Offset(0))
    records: list[Record] = []
    while reader.position < end:
        records += await reader.read(1000, 1.0)
    await reader.close()
    return records


def fetch_all(group: KafkaGroup, listener: NotedListener, lease: int = 1, offset: int = 0) -> None:
    """Fetch every partition that is assigned."""
    for partition in sorted(listener.now):
        group.fetch_from(partition, Offset(offset), Lease(lease))


def values(records: Sequence[Record]) -> list[bytes | None]:
    return [record.value for record in records]


__all__ = ["P0", "KafkaProducer", "append_all", "fetch_all", "joined", "opened", "read_all", "values"]
