"""Reading a real broker: holes, ends, and logs that are not what they were."""

import asyncio

import pytest

from chatstream.core.errors import BadSettings, LogReplaced, LogUnavailable
from chatstream.core.ids import NodeId, Offset, PartitionNo
from chatstream.log.kafka import KafkaLog
from chatstream.log.port import Record, Topic
from tests.broker import Cluster, fresh_topics_async
from tests.integration.kafka_given import P0, append_all, opened, read_all, values

pytestmark = pytest.mark.kafka

# The cleaner leaves the active segment alone, so segments are tiny and old at once.
EAGER = {
    Topic.OWNERS: {
        "cleanup.policy": "compact",
        "segment.bytes": "1048576",
        "segment.ms": "100",
        "min.cleanable.dirty.ratio": "0.001",
        "max.compaction.lag.ms": "100",
        "min.compaction.lag.ms": "0",
    }
}


async def test_reading_goes_on_where_it_was_and_waits_at_the_end(bootstrap: str) -> None:
    async with opened(bootstrap) as log:
        await append_all(log, Topic.EVENTS, 0, [b"%d" % number for number in range(10)])
        reader = log.open_reader(Topic.EVENTS, P0, Offset(4))
        assert values(await reader.read(3, 10.0)) == [b"4", b"5", b"6"]
        assert reader.position == 7
        assert values(await reader.read(100, 10.0)) == [b"7", b"8", b"9"]
        assert await reader.read(100, 0.1) == []
        assert reader.position == 10
        waiting = asyncio.create_task(reader.read(100, 30.0))
        await append_all(log, Topic.EVENTS, 0, [b"late"])
        assert values(await waiting) == [b"late"]
        await reader.close()
        await reader.close()


async def test_a_read_that_was_cancelled_loses_nothing(bootstrap: str) -> None:
    async with opened(bootstrap) as log:
        reader = log.open_reader(Topic.EVENTS, P0, Offset(0))
        waiting = asyncio.create_task(reader.read(1, 30.0))
        await reader_waits(waiting)
        waiting.cancel()
        await append_all(log, Topic.EVENTS, 0, [b"one", b"two"])
        got: list[Record] = []
        while len(got) < 2:
            got += await reader.read(10, 10.0)
        assert values(got) == [b"one", b"two"]
        await reader.close()


async def reader_waits(task: "asyncio.Task[list[Record]]") -> None:
    for _ in range(3):
        await asyncio.sleep(0)
    assert not task.done()


async def test_the_position_moves_over_what_compaction_removed(kafka: Cluster) -> None:
    await fresh_topics_async(kafka.bootstrap, config=EAGER)
    async with opened(kafka.bootstrap) as log:
        left = 1_000

        async def compacted() -> int:
            # Each round rolls the segment, and so gives the cleaner the one before.
            await append_all(log, Topic.OWNERS, 0, [b"round"], key=b"same")
            return len(await read_all(log, Topic.OWNERS, 0))

        await append_all(log, Topic.OWNERS, 0, [b"%d" % number for number in range(left)], key=b"same")
        deadline = asyncio.get_running_loop().time() + 90
        while await compacted() > left // 2:
            assert asyncio.get_running_loop().time() < deadline, "the cleaner did nothing"
            await asyncio.sleep(0.5)
        _, end = await log.bounds(Topic.OWNERS, P0)
        reader = log.open_reader(Topic.OWNERS, P0, Offset(10))  # nothing is left there
        seen: list[Record] = []
        while reader.position < end:
            seen += await reader.read(1000, 1.0)
        assert reader.position == end
        assert seen[0].offset >= 10
        assert [record.offset for record in seen] == sorted({record.offset for record in seen})
        await reader.close()


@pytest.mark.parametrize("outside", [1_000, 4])
async def test_a_place_outside_the_log_is_said_to_be_another_log(bootstrap: str, outside: int) -> None:
    async with opened(bootstrap) as log:
        await append_all(log, Topic.EVENTS, 0, [b"a", b"b", b"c"])
        reader = log.open_reader(Topic.EVENTS, P0, Offset(outside))
        with pytest.raises(LogReplaced):
            await reader.read(10, 30.0)
        await reader.close()


async def test_many_readers_at_once(bootstrap: str) -> None:
    async with opened(bootstrap) as log:
        for partition in range(4):
            await append_all(log, Topic.EVENTS, partition, [b"%d" % partition] * 500)
        found = await asyncio.gather(*(read_all(log, Topic.EVENTS, number % 4) for number in range(12)))
        assert [set(values(records)) for records in found] == [{b"%d" % (number % 4)} for number in range(12)]
        assert {len(records) for records in found} == {500}


async def test_bounds_are_the_high_watermark_and_follow_appends(bootstrap: str) -> None:
    async with opened(bootstrap) as log:
        assert await log.bounds(Topic.EVENTS, P0) == (0, 0)
        await append_all(log, Topic.EVENTS, 0, [b"a", b"b"])
        assert await log.bounds(Topic.EVENTS, P0) == (0, 2)
        with pytest.raises(LogUnavailable):
            await log.bounds(Topic.EVENTS, PartitionNo(99))


async def test_a_topic_made_again_has_another_id(kafka: Cluster, bootstrap: str) -> None:
    async with opened(bootstrap) as log:
        before = await log.identify()
        assert {topic: each.partitions for topic, each in before.items()} == dict.fromkeys(Topic, 4)
        await fresh_topics_async(kafka.bootstrap, partitions=2)
        await until_identified(log, 2)
        after = await log.identify()
        assert all(after[topic].id != before[topic].id for topic in Topic)


async def until_identified(log: KafkaLog, partitions: int) -> None:
    for _ in range(200):
        found = await log.identify()
        if len(found) == len(Topic) and all(each.partitions == partitions for each in found.values()):
            return
        await asyncio.sleep(0.05)
    pytest.fail("the new topics are not seen")


async def test_no_broker_is_one_clear_sentence() -> None:
    log = KafkaLog("127.0.0.1:1", NodeId("node-a"))
    with pytest.raises(LogUnavailable, match=r"no Kafka broker answers at 127\.0\.0\.1:1"):
        await log.open()
    await log.close()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("no.such.thing", "1", "No such configuration property"),
        ("linger.ms", "soon", "Invalid value for configuration property"),
        ("fetch.min.bytes", "many", "fetch.min.bytes"),
        ("acks", "1", "cannot be set"),
    ],
)
async def test_a_wrong_override_is_said_at_start(bootstrap: str, name: str, value: str, sentence: str) -> None:
    log = KafkaLog(bootstrap, NodeId("node-a"), {name: value})
    with pytest.raises(BadSettings, match=sentence):
        await log.open()
    await log.close()


async def test_an_override_reaches_the_client_it_is_for(bootstrap: str) -> None:
    async with opened(bootstrap, overrides={"linger.ms": "1", "fetch.min.bytes": "1", "client.id": "mine"}) as log:
        await append_all(log, Topic.EVENTS, 0, [b"a"])
        assert values(await read_all(log, Topic.EVENTS, 0)) == [b"a"]
