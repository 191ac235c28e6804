"""Retention on a real broker: what it may remove without stopping a partition, and what it may not."""

import asyncio
from pathlib import Path
from typing import Final

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from chatstream.core.claims import POS_HEADER, read_position
from tests.checking.raw import EVENTS, MESSAGES, read_kafka
from tests.load import KafkaSender, numbered, tally
from tests.nodes import NodeProcess, Nodes
from tests.until import until

PARTITIONS: Final = 16
SESSIONS: Final = 40
ADMIN_S: Final = 30.0
WAIT_S: Final = 60.0

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


def abort_one_everywhere(broker: str) -> None:
    """The last record of every partition is of a transaction that was aborted, and behind it stands its marker."""
    producer = Producer({"bootstrap.servers": broker, "transactional.id": "aborts", "log_level": 0})
    producer.init_transactions(ADMIN_S)
    producer.begin_transaction()
    for number in range(PARTITIONS):
        producer.produce(MESSAGES, b"never", b"nobody", number)
    producer.flush(ADMIN_S)
    producer.abort_transaction(ADMIN_S)


def ends(broker: str) -> dict[int, int]:
    """Where each partition of chat.messages ends."""
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "ends", "log_level": 0})
    try:
        return {n: consumer.get_watermark_offsets(TopicPartition(MESSAGES, n), ADMIN_S)[1] for n in range(PARTITIONS)}
    finally:
        consumer.close()


def remove_all(broker: str) -> None:
    """What retention does in time: every record of chat.messages is gone, the offsets go on."""
    places = [TopicPartition(MESSAGES, number, end) for number, end in ends(broker).items()]
    admin = AdminClient({"bootstrap.servers": broker, "log_level": 0})
    for future in admin.delete_records(places).values():
        future.result(ADMIN_S)


def positions(broker: str) -> dict[int, int]:
    """How far the input of each partition was decided, as the log tells."""
    found = dict.fromkeys(range(PARTITIONS), -1)
    for record in read_kafka(broker, [EVENTS])[EVENTS]:
        position = read_position(record.headers.get(POS_HEADER))
        if position is not None:
            found[record.partition] = max(found[record.partition], position.offset)
    return found


def at_the_end(broker: str) -> bool:
    return positions(broker) == {number: end - 1 for number, end in ends(broker).items()}


async def test_partitions_that_ended_in_an_aborted_transaction_are_served_when_retention_has_removed_it(
    tmp_path: Path, broker: str
) -> None:
    sender = KafkaSender(broker)
    with Nodes(tmp_path, broker) as nodes:
        node = nodes.add()
        await node.serves(PARTITIONS)
        async with tally(broker) as answered:
            await sender.send(numbered(SESSIONS, SESSIONS))
            await answered.reaches(SESSIONS, WAIT_S, node.tail)
            await asyncio.to_thread(abort_one_everywhere, broker)
            await until(lambda: at_the_end(broker), WAIT_S, "all is decided, up to the markers", node.tail)
            node.kill9()
            await asyncio.to_thread(remove_all, broker)
            node.start()
            await node.serves(PARTITIONS)
            await sender.send(numbered(SESSIONS, SESSIONS))
            await answered.reaches(2 * SESSIONS, WAIT_S, node.tail)
        nodes.check_calm()


async def test_commands_that_retention_removed_before_they_were_decided_stop_their_partitions(
    tmp_path: Path, broker: str
) -> None:
    with Nodes(tmp_path, broker) as nodes:
        node = nodes.add()
        await node.serves(PARTITIONS)
        assert await node.end() == 0
        await KafkaSender(broker).send(numbered(6, 6))
        lost = {number for number, end in ends(broker).items() if end}
        await asyncio.to_thread(remove_all, broker)
        node.start()
        await until(lambda: len(refusals(node)) == len(lost), WAIT_S, f"{len(lost)} partitions are refused", node.tail)
        await node.serves(PARTITIONS - len(lost))
        assert 0 < len(lost) < PARTITIONS


def refusals(node: NodeProcess) -> set[str]:
    """What it said of partitions that it does not serve."""
    return {line["message"] for line in node.said() if "commands were lost to retention" in line["message"]}
