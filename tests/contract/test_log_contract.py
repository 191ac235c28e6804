"""What every log promises about appending and reading. All adapters pass the same tests."""

from collections.abc import Sequence

import pytest

from chatstream.core.errors import LogReplaced, OutcomeUnknown, QueueFull, RecordTooLarge
from chatstream.core.ids import Offset, PartitionNo
from chatstream.log.port import Ack, Log, Producer, Reader, Record, Topic
from chatstream.log.sizes import RECORD_BYTES_MAX, record_bytes
from tests.contract.conftest import PARTITIONS, QUEUE_RECORDS, WAIT_S, Acks, World

P0, P1 = PartitionNo(0), PartitionNo(1)


def send(producer: Producer, count: int, partition: PartitionNo = P0, first: int = 0, topic: Topic = Topic.EVENTS) -> None:
    """Append numbered records; number is value and tag."""
    for number in range(first, first + count):
        producer.append(topic, partition, b"key", b"%d" % number, (), number)


async def sent(log: Log, count: int, partition: PartitionNo = P0, topic: Topic = Topic.EVENTS) -> list[Offset]:
    """Append numbered records, wait for their acks and give their offsets."""
    acks = Acks()
    producer = log.open_producer(acks)
    send(producer, count, partition, topic=topic)
    await acks.count(count)
    await producer.close(WAIT_S)
    assert all(ack.error is None for ack in acks.all)
    return [ack.offset for ack in acks.all if ack.offset is not None]


async def everything(log: Log, topic: Topic = Topic.EVENTS, partition: PartitionNo = P0) -> list[Record]:
    """Read from the first record to the end."""
    start, end = await log.bounds(topic, partition)
    reader = log.open_reader(topic, partition, start)
    records: list[Record] = []
    while reader.position < end:
        records += await reader.read(1_000, WAIT_S)
    await reader.close()
    return records


async def read_on(reader: Reader) -> None:
    """Read until it raises."""
    while True:
        await reader.read(10, WAIT_S)


# ── appending ──


async def test_every_append_is_acknowledged_once_in_order_with_its_offset(log: Log) -> None:
    acks = Acks()
    producer = log.open_producer(acks)
    send(producer, 300)
    await acks.count(300)
    await producer.close(WAIT_S)
    assert acks.tags == list(range(300))
    assert [ack.offset for ack in acks.all] == list(range(300))
    assert {ack.error for ack in acks.all} == {None}


async def test_the_order_within_each_partition_is_the_order_of_the_appends(log: Log) -> None:
    acks = Acks()
    producer = log.open_producer(acks)
    for number in range(100):
        producer.append(Topic.EVENTS, PartitionNo(number % 3), b"key", b"%d" % number, (), number)
    await acks.count(100)
    for partition in range(3):
        of_partition = [ack for ack in acks.all if ack.tag % 3 == partition]
        assert [ack.tag for ack in of_partition] == list(range(partition, 100, 3))
        assert [ack.offset for ack in of_partition] == list(range(len(of_partition)))
        records = await everything(log, partition=PartitionNo(partition))
        assert [record.value for record in records] == [b"%d" % ack.tag for ack in of_partition]


async def test_no_ack_comes_from_inside_the_append(log: Log) -> None:
    acks = Acks()
    producer = log.open_producer(acks)
    send(producer, 50)
    assert acks.all == []
    await acks.count(50)


async def test_appends_made_while_acks_are_given_are_acknowledged_too(log: Log) -> None:
    acks = Acks()

    def go_on(got: Sequence[Ack], /) -> None:
        acks(got)
        if len(acks.all) < 20:
            send(producer, 1, first=len(acks.all))

    producer = log.open_producer(go_on)
    send(producer, 1)
    await acks.count(20)
    assert [ack.offset for ack in acks.all] == list(range(20))


async def test_a_record_is_read_as_it_was_appended(log: Log) -> None:
    acks = Acks()
    producer = log.open_producer(acks)
    headers = (("claim", b"1-abc"), ("empty", b""), ("claim", b"again"))
    producer.append(Topic.REPLIES, P0, b"k", b"v", headers, None)
    producer.append(Topic.REPLIES, P0, None, b"", (), None)
    producer.append(Topic.REPLIES, P0, b"", None, (), None)
    await acks.count(3)
    records = await everything(log, Topic.REPLIES)
    assert [(record.offset, record.key, record.value, record.headers) for record in records] == [
        (0, b"k", b"v", headers),
        (1, None, b"", ()),
        (2, b"", None, ()),
    ]
    assert all(record.at_ms > 1_700_000_000_000 for record in records)


async def test_an_abandoned_producer_gives_no_more_acks(log: Log) -> None:
    acks = Acks()
    producer = log.open_producer(acks)
    send(producer, 100)
    producer.abandon()
    producer.abandon()
    send(producer, 5)
    fence = Acks()
    other = log.open_producer(fence)
    send(other, 20)
    await fence.count(20)
    assert acks.all == []


async def test_what_an_abandoned_producer_had_in_flight_lands_without_a_gap_or_not_at_all(log: Log) -> None:
    producer = log.open_producer(Acks())
    send(producer, 100)
    producer.abandon()
    await sent(log, 1, P1)
    values = [record.value for record in await everything(log)]
    assert values == [b"%d" % number for number in range(len(values))]


async def test_closing_a_producer_waits_for_its_acks(log: Log) -> None:
    acks = Acks()
    producer = log.open_producer(acks)
    send(producer, 100)
    await producer.close(WAIT_S)
    assert acks.tags == list(range(100))


async def test_several_producers_append_to_one_partition(log: Log) -> None:
    one, other = Acks(), Acks()
    first, second = log.open_producer(one), log.open_producer(other)
    send(first, 50)
    send(second, 50, first=100)
    await one.count(50)
    await other.count(50)
    offsets = [ack.offset for ack in one.all + other.all]
    assert sorted(offset for offset in offsets if offset is not None) == list(range(100))
    landed = {record.offset: record.value for record in await everything(log)}
    assert all(landed[ack.offset] == b"%d" % ack.tag for ack in one.all + other.all if ack.offset is not None)


async def test_the_queue_takes_so_many_and_not_one_more(log: Log) -> None:
    acks = Acks()
    producer = log.open_producer(acks)
    send(producer, QUEUE_RECORDS)
    with pytest.raises(QueueFull):
        send(producer, 1, first=QUEUE_RECORDS)
    await acks.count(QUEUE_RECORDS)
    send(producer, 1, first=QUEUE_RECORDS)
    await acks.count(QUEUE_RECORDS + 1)
    assert acks.tags == list(range(QUEUE_RECORDS + 1))


@pytest.mark.parametrize("topic", list(Topic))
async def test_a_record_at_its_topics_limit_is_taken_and_one_byte_more_is_refused(log: Log, topic: Topic) -> None:
    acks = Acks()
    producer = log.open_producer(acks)
    headers = (("claim", b"1-abc"),)
    room = RECORD_BYTES_MAX[topic] - record_bytes(b"key", b"", headers)
    with pytest.raises(RecordTooLarge):
        producer.append(topic, P0, b"key", bytes(room + 1), headers, "too large")
    producer.append(topic, P0, b"key", bytes(room), headers, "fits")
    (ack,) = await acks.count(1)
    assert (ack.tag, ack.offset, ack.error) == ("fits", 0, None)
    (record,) = await everything(log, topic)
    assert record.value == bytes(room)


async def test_when_an_append_fails_all_behind_it_fail_and_none_of_them_lands(world: World, log: Log) -> None:
    await sent(log, 10)
    if not await world.fail_appends():
        pytest.skip("a broker's failures are in the failover tests")
    acks = Acks()
    producer = log.open_producer(acks)
    send(producer, 20, P0)
    send(producer, 20, P1, first=20)
    await acks.count(40)
    send(producer, 5, P0, first=40)
    assert len(acks.all) == 40
    await acks.count(45)
    assert acks.tags == list(range(45)) or sorted(acks.tags) == list(range(45))
    assert {type(ack.error) for ack in acks.all} == {OutcomeUnknown}
    assert {ack.offset for ack in acks.all} == {None}


# ── reading ──


async def test_a_reader_starts_where_it_is_told_and_takes_no_more_than_asked(log: Log) -> None:
    await sent(log, 10)
    reader = log.open_reader(Topic.EVENTS, P0, Offset(3))
    assert reader.position == 3
    records = await reader.read(4, WAIT_S)
    assert [record.offset for record in records] == [3, 4, 5, 6][: len(records)]
    assert reader.position == records[-1].offset + 1
    await reader.close()
    await reader.close()


async def test_a_reader_at_the_end_waits_and_gets_what_is_appended(log: Log) -> None:
    await sent(log, 3)
    reader = log.open_reader(Topic.EVENTS, P0, Offset(3))
    assert await reader.read(10, 0.05) == []
    assert reader.position == 3
    producer = log.open_producer(Acks())
    send(producer, 1, first=3)
    records: list[Record] = []
    while not records:
        records = await reader.read(10, WAIT_S)
    assert [record.value for record in records] == [b"3"]
    assert reader.position == 4
    await reader.close()


@pytest.mark.parametrize("topic", [Topic.EVENTS, Topic.REPLIES])
async def test_an_empty_partition_begins_and_ends_at_0(log: Log, topic: Topic) -> None:
    assert await log.bounds(topic, PartitionNo(PARTITIONS - 1)) == (0, 0)


async def test_the_end_is_behind_the_last_record_that_was_acknowledged(log: Log) -> None:
    assert await sent(log, 7) == list(range(7))
    assert await log.bounds(Topic.EVENTS, P0) == (0, 7)
    assert await log.bounds(Topic.EVENTS, P1) == (0, 0)


async def test_a_position_past_the_end_is_no_place_in_this_log(log: Log) -> None:
    await sent(log, 3)
    reader = log.open_reader(Topic.EVENTS, P0, Offset(4))
    with pytest.raises(LogReplaced):
        await read_on(reader)
    await reader.close()


async def test_a_position_moves_over_a_hole_at_the_end(world: World, log: Log) -> None:
    if not await world.make_hole(P0):
        pytest.skip("this log has no holes")
    _, end = await log.bounds(Topic.MESSAGES, P0)
    assert end == 2
    reader = log.open_reader(Topic.MESSAGES, P0, Offset(0))
    values = []
    while reader.position < end:
        values += [record.value for record in await reader.read(10, WAIT_S)]
    assert values == [b"before the hole"]
    await reader.close()


async def put(log: Log, *pairs: tuple[bytes, bytes | None]) -> None:
    """Append these keys and values to chat.events, and wait for their acks."""
    acks = Acks()
    producer = log.open_producer(acks)
    for number, (key, value) in enumerate(pairs):
        producer.append(Topic.EVENTS, P0, key, value, (), number)
    await acks.count(len(pairs))
    await producer.close(WAIT_S)


async def test_a_tombstone_is_read_as_a_record_without_value(log: Log) -> None:
    await put(log, (b"s/1", b"one"), (b"s/1", None))
    assert [(record.key, record.value) for record in await everything(log)][-1] == (b"s/1", None)


async def test_compaction_removes_what_a_tombstone_stands_behind_and_nothing_else(world: World, log: Log) -> None:
    await put(log, (b"s/1", b"one"), (b"t/1", b"two"), (b"s/2", b"three"), (b"s/1", None), (b"t/2", b"four"), (b"s/2", None))
    if not await world.compact():
        pytest.skip("this log is compacted in its own time")
    found = [(record.offset, record.value) for record in await everything(log) if record.value is not None]
    assert found == [(1, b"two"), (4, b"four")]
    assert await log.bounds(Topic.EVENTS, P0) == (0, 6)
    reader = log.open_reader(Topic.EVENTS, P0, Offset(2))
    values: list[bytes | None] = []
    while reader.position < 6:
        values += [record.value for record in await reader.read(1, WAIT_S)]
    assert [value for value in values if value] == [b"four"]
    await put(log, (b"t/3", b"five"))
    assert await world.compact()
    assert [record.offset for record in await everything(log) if record.value is not None] == [1, 4, 6]


async def test_readers_do_not_disturb_each_other(log: Log) -> None:
    await sent(log, 20)
    one, other = log.open_reader(Topic.EVENTS, P0, Offset(0)), log.open_reader(Topic.EVENTS, P0, Offset(10))
    got: list[list[Offset]] = [[], []]
    while one.position < 20 or other.position < 20:
        got[0] += [record.offset for record in await one.read(3, 0.05)]
        got[1] += [record.offset for record in await other.read(2, 0.05)]
    assert got == [list(range(20)), list(range(10, 20))]
    await one.close()
    await other.close()


# ── the log as a whole ──


async def test_all_five_topics_exist_with_their_partitions(log: Log) -> None:
    identity = await log.identify()
    assert set(identity) == set(Topic)
    assert [identity[topic].partitions for topic in (Topic.MESSAGES, Topic.EVENTS, Topic.REPLIES)] == [PARTITIONS] * 3
    assert len({identity[topic].id for topic in Topic}) == 5


async def test_what_was_acknowledged_is_there_when_the_log_is_opened_again(world: World) -> None:
    log = world.make()
    await log.open()
    identity = await log.identify()
    await sent(log, 30)
    await log.close()
    await log.close()
    again = world.make()
    await again.open()
    assert await again.identify() == identity
    assert await again.bounds(Topic.EVENTS, P0) == (0, 30)
    assert [record.value for record in await everything(again)] == [b"%d" % number for number in range(30)]
    assert await sent(again, 1) == [30]
    await again.close()


async def test_another_log_in_the_same_place_has_another_identity(world: World) -> None:
    log = world.make()
    await log.open()
    before = await log.identify()
    await log.close()
    await world.replace()
    again = world.make()
    await again.open()
    after = await again.identify()
    assert all(after[topic].id != before[topic].id for topic in Topic)
    await again.close()
