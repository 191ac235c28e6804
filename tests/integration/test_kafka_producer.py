"""Appending to a real broker: acks, limits, and what happens after the first failure."""

import asyncio

import pytest

from chatstream.core.errors import OutcomeUnknown, QueueFull, RecordTooLarge
from chatstream.core.ids import PartitionNo
from chatstream.log.port import Ack, Topic
from chatstream.log.sizes import RECORD_BYTES_MAX, record_bytes
from tests.broker import Cluster, fresh_topics_async
from tests.integration.kafka_given import P0, append_all, opened, read_all, values
from tests.listener import until

pytestmark = pytest.mark.kafka

SMALL = {Topic.EVENTS: {"max.message.bytes": "20000"}}


async def test_acks_come_in_order_with_the_offsets(bootstrap: str) -> None:
    async with opened(bootstrap) as log:
        acks = await append_all(log, Topic.EVENTS, 0, [b"%d" % number for number in range(5_000)])
        assert [(ack.tag, ack.offset, ack.error) for ack in acks] == [(number, number, None) for number in range(5_000)]


async def test_key_value_and_headers_come_back_as_they_were(bootstrap: str) -> None:
    async with opened(bootstrap) as log:
        acks: list[Ack] = []
        producer = log.open_producer(acks.extend)
        producer.append(Topic.EVENTS, P0, b"alice/1/6-ab", b"", (("claim", b"6-ab"), ("pos", b"")), 1)
        producer.append(Topic.EVENTS, P0, b"gone", None, (), 2)
        await until(lambda: len(acks) == 2)
        first, second = await read_all(log, Topic.EVENTS, 0)
        assert (first.key, first.value, first.headers) == (b"alice/1/6-ab", b"", (("claim", b"6-ab"), ("pos", b"")))
        assert (second.key, second.value, second.headers) == (b"gone", None, ())
        assert first.at_ms > 1_600_000_000_000


@pytest.mark.parametrize("topic", list(Topic))
async def test_the_largest_record_is_taken_by_the_broker_and_one_byte_more_is_refused_here(
    bootstrap: str, topic: Topic
) -> None:
    headers = (("claim", b"6-1f0a9c3b77de"),)
    room = RECORD_BYTES_MAX[topic] - record_bytes(b"alice", b"", headers)
    async with opened(bootstrap, overrides={"compression.type": "none"}) as log:
        acks: list[Ack] = []
        producer = log.open_producer(acks.extend)
        with pytest.raises(RecordTooLarge):
            producer.append(topic, P0, b"alice", b"x" * (room + 1), headers, "more")
        producer.append(topic, P0, b"alice", b"x" * room, headers, "most")
        await until(lambda: acks)
        assert acks == [Ack("most", acks[0].offset)]
        assert acks[0].offset == 0


async def test_a_full_queue_refuses_and_takes_again_when_acks_came(bootstrap: str) -> None:
    async with opened(bootstrap, queue_records=10) as log:
        acks: list[Ack] = []
        producer = log.open_producer(acks.extend)
        for number in range(10):
            producer.append(Topic.EVENTS, P0, b"k", b"v", (), number)
        with pytest.raises(QueueFull):
            producer.append(Topic.EVENTS, P0, b"k", b"v", (), 10)
        await until(lambda: len(acks) == 10)
        producer.append(Topic.EVENTS, P0, b"k", b"v", (), 11)
        await until(lambda: len(acks) == 11)
        assert len(await read_all(log, Topic.EVENTS, 0)) == 11


async def test_after_a_record_that_the_broker_refuses_nothing_lands(kafka: Cluster) -> None:
    await fresh_topics_async(kafka.bootstrap, config=SMALL)
    async with opened(kafka.bootstrap, overrides={"compression.type": "none"}) as log:
        acks: list[Ack] = []
        producer = log.open_producer(acks.extend)
        producer.append(Topic.EVENTS, P0, b"k", b"before", (), 0)
        await until(lambda: len(acks) == 1)
        producer.append(Topic.EVENTS, P0, b"k", b"x" * 30_000, (), 1)
        for number in range(2, 500):
            producer.append(Topic.EVENTS, P0, b"k", b"after", (), number)
        await until(lambda: len(acks) == 500, "an ack for each append")
        producer.append(Topic.EVENTS, P0, b"k", b"late", (), 500)
        await until(lambda: len(acks) == 501)
        assert [ack.tag for ack in acks] == list(range(501))
        assert acks[0].offset == 0
        assert all(ack.offset is None and isinstance(ack.error, RecordTooLarge | OutcomeUnknown) for ack in acks[1:])
        assert values(await read_all(log, Topic.EVENTS, 0)) == [b"before"]
        # A fresh producer shares nothing with the failed one.
        await append_all(log, Topic.EVENTS, 0, [b"fresh"])
        assert values(await read_all(log, Topic.EVENTS, 0)) == [b"before", b"fresh"]


async def test_an_abandoned_producer_gives_no_more_acks_and_takes_nothing(bootstrap: str) -> None:
    async with opened(bootstrap) as log:
        acks: list[Ack] = []
        producer = log.open_producer(acks.extend)
        for number in range(1_000):
            producer.append(Topic.EVENTS, P0, b"k", b"v", (), number)
        producer.abandon()
        producer.abandon()
        await append_all(log, Topic.EVENTS, 1, [b"x"])  # as long as an ack takes
        assert acks == []


async def test_closing_waits_for_what_is_in_flight(bootstrap: str) -> None:
    async with opened(bootstrap) as log:
        acks: list[Ack] = []
        producer = log.open_producer(acks.extend)
        for number in range(1_000):
            producer.append(Topic.EVENTS, PartitionNo(number % 4), b"k", b"v", (), number)
        await producer.close(30)
        assert len(acks) == 1_000


async def test_closing_gives_up_on_a_broker_that_is_silent(kafka: Cluster, bootstrap: str) -> None:
    async with opened(bootstrap) as log:
        acks: list[Ack] = []
        producer = log.open_producer(acks.extend)
        producer.append(Topic.EVENTS, P0, b"k", b"v", (), 0)
        await until(lambda: len(acks) == 1)
        kafka.stop(0)
        try:
            producer.append(Topic.EVENTS, P0, b"k", b"v", (), 1)
            await producer.close(0.2)
            assert len(acks) == 1
        finally:
            kafka.cont(0)


async def test_acks_are_never_given_from_inside_append(bootstrap: str) -> None:
    async with opened(bootstrap) as log:
        acks: list[Ack] = []
        inside = False

        def on_acks(batch: object) -> None:
            assert not inside
            acks.extend(batch)  # type: ignore[arg-type]  # a batch of acks

        producer = log.open_producer(on_acks)
        for number in range(2_000):
            inside = True
            producer.append(Topic.EVENTS, P0, b"k", b"v", (), number)
            inside = False
            if number % 100 == 0:
                await asyncio.sleep(0)
        await until(lambda: len(acks) == 2_000)
