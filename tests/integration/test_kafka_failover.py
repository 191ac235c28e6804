"""Three brokers, one of which is killed with -9: appends and the group go on by themselves."""

from collections.abc import Iterator

import pytest

from chatstream.core.ids import PartitionNo
from chatstream.log.kafka import KafkaLog
from chatstream.log.port import Ack, Topic
from tests.broker import Cluster, make_topics, require_kafka
from tests.integration.kafka_given import fetch_all, joined, opened
from tests.listener import NotedListener, until

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    require_kafka()
    with Cluster(3) as cluster:
        make_topics(cluster.bootstrap)
        yield cluster


async def append_more(log: KafkaLog, acks: list[Ack], first: int, count: int) -> None:
    producer = log.open_producer(acks.extend)
    for number in range(first, first + count):
        producer.append(Topic.MESSAGES, PartitionNo(number % 4), b"k", b"%d" % number, (), number)
    await until(lambda: len(acks) == first + count, "acks", wait_s=120)
    producer.abandon()


def numbers(listener: NotedListener, partition: int) -> list[int]:
    return [int(value or b"") for value in listener.values(partition)]


async def test_each_broker_killed_in_turn_loses_and_repeats_nothing(cluster: Cluster) -> None:
    acks: list[Ack] = []
    async with opened(cluster.bootstrap) as log:
        group, listener = await joined(log)
        fetch_all(group, listener)
        for round_, broker in enumerate((0, 1, 2)):
            cluster.kill9(broker)
            await append_more(log, acks, round_ * 400, 400)
            await until(lambda: len(listener.records) >= len(acks), "records", wait_s=120)
            cluster.restart(broker)
            cluster.wait_ready()
        assert all(ack.error is None for ack in acks)
        for partition in range(4):
            assert numbers(listener, partition) == list(range(partition, 1_200, 4))
