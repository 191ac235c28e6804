"""The topics as they are: every record, read with a plain consumer or, for the embedded log, with its reader."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from chatstream.core.ids import Offset, PartitionNo
from chatstream.log.embedded import EmbeddedLog
from chatstream.log.port import Topic

MESSAGES: Final = "chat.messages"
EVENTS: Final = "chat.events"
REPLIES: Final = "chat.replies"
DEAD_LETTERS: Final = "chat.dead-letters"
ALL: Final = (MESSAGES, EVENTS, REPLIES, DEAD_LETTERS)

READ_S: Final = 60.0


class Raw(NamedTuple):
    """A record. headers: the last one of each name."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]


Topics = dict[str, list[Raw]]
"""Topic to its records, by partition and offset."""


def read_kafka(bootstrap: str, topics: Iterable[str] = ALL) -> Topics:
    """Everything on the topics; of chat.messages what is committed, as anyone who is to answer it reads it."""
    return {topic: _read_topic(bootstrap, topic) for topic in topics}


def _read_topic(bootstrap: str, topic: str) -> list[Raw]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "checker",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed" if topic == MESSAGES else "read_uncommitted",
            "log_level": 0,
        }
    )
    try:
        partitions = consumer.list_topics(topic, timeout=READ_S).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        return sorted(_until_ends(consumer, set(partitions)), key=lambda raw: raw[:2])
    finally:
        consumer.close()


def _until_ends(consumer: Consumer, open_: set[int]) -> list[Raw]:
    records = []
    while open_:
        message = consumer.poll(READ_S)
        assert message is not None, f"nothing more came, and the partitions {open_} had not ended"
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        if (error := message.error()) is None:
            headers = headers_of(message)
            key, value = message.key(), message.value()
            assert not isinstance(key, str)
            assert not isinstance(value, str)
            records.append(Raw(partition, offset, key, value, headers))
        elif error.code() == KafkaError._PARTITION_EOF:
            open_.discard(partition)
        else:
            raise KafkaException(error)
    return records


def headers_of(message: Message) -> dict[str, bytes]:
    """The record's headers that have bytes, the last one of each name."""
    return {str(pair[0]): pair[1] for pair in message.headers() or () if isinstance(pair[1], bytes)}


async def read_embedded(path: Path, partitions: int = 16) -> Topics:
    """The same of an embedded log whose node has ended. path: the log's directory."""
    log = EmbeddedLog(path, partitions=partitions)
    await log.open()
    try:
        identity = await log.identify()
        return {
            name: [
                raw for number in range(identity[Topic(name)].partitions) for raw in await _read_partition(log, name, number)
            ]
            for name in ALL
        }
    finally:
        await log.close()


async def _read_partition(log: EmbeddedLog, topic: str, number: int) -> list[Raw]:
    first, end = await log.bounds(Topic(topic), PartitionNo(number))
    reader = log.open_reader(Topic(topic), PartitionNo(number), Offset(first))
    records: list[Raw] = []
    try:
        while reader.position < end:
            for record in await reader.read(1_000, wait_s=READ_S):
                records.append(Raw(number, record.offset, record.key, record.value, dict(record.headers)))
        return records
    finally:
        await reader.close()


def lag(bootstrap: str, group: str = "chatstream") -> int:
    """Records of chat.messages that the group has not committed yet, as a dashboard would tell."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False, "log_level": 0})
    try:
        numbers = consumer.list_topics(MESSAGES, timeout=READ_S).topics[MESSAGES].partitions
        places = consumer.committed([TopicPartition(MESSAGES, number) for number in numbers], timeout=READ_S)
        behind = 0
        for place in places:
            low, high = consumer.get_watermark_offsets(TopicPartition(MESSAGES, place.partition), timeout=READ_S)
            behind += high - max(low, place.offset)
        return behind
    finally:
        consumer.close()
