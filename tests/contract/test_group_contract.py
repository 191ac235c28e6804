"""What every log promises about the consumer group and its records. All adapters pass the same tests."""

import asyncio

import pytest

from chatstream.core.ids import Offset, PartitionNo
from chatstream.log.port import Group, Lease, Log, Topic
from tests.contract.conftest import PARTITIONS, WAIT_S, Acks, Member, World

P0, P1 = PartitionNo(0), PartitionNo(1)
ALL = {PartitionNo(number) for number in range(PARTITIONS)}
MESSAGES = Topic.MESSAGES


async def produce(log: Log, count: int, partition: PartitionNo = P0, first: int = 0) -> None:
    """Numbered records, acknowledged."""
    acks = Acks()
    producer = log.open_producer(acks)
    for number in range(first, first + count):
        producer.append(MESSAGES, partition, b"key", b"%d" % number, (), number)
    await acks.count(count)
    await producer.close(WAIT_S)


async def joined(log: Log) -> tuple[Group, Member]:
    """A member that has everything."""
    group, member = log.group(), Member()
    await group.join(member)
    await member.until(lambda: member.held == ALL)
    return group, member


def numbers(first: int, behind: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, behind)]


async def test_a_member_alone_gets_every_partition_and_no_record_before_it_asks(log: Log) -> None:
    await produce(log, 5)
    group, member = await joined(log)
    await produce(log, 5, first=5)
    assert member.records == []
    group.fetch_from(P0, Offset(0), Lease(1))
    await member.until(lambda: len(member.records) >= 10)
    assert member.values() == numbers(0, 10)


async def test_joining_and_fetching_call_back_later_and_not_at_once(log: Log) -> None:
    await produce(log, 5)
    group, member = log.group(), Member()
    await group.join(member)
    await member.until(lambda: member.held == ALL)
    group.fetch_from(P0, Offset(0), Lease(1))
    assert member.records == []
    await member.until(lambda: len(member.records) >= 5)


async def test_records_come_in_order_from_the_offset_that_was_asked_for(log: Log) -> None:
    await produce(log, 50)
    group, member = await joined(log)
    group.fetch_from(P0, Offset(20), Lease(1))
    await produce(log, 50, first=50)
    await member.until(lambda: len(member.records) >= 80)
    assert member.values() == numbers(20, 100)
    assert [record.offset for _, _, record in member.records] == list(range(20, 100))
    assert {partition for partition, _, _ in member.records} == {P0}


async def test_partitions_are_fetched_independently(log: Log) -> None:
    await produce(log, 10, P0)
    await produce(log, 10, P1, first=100)
    group, member = await joined(log)
    group.fetch_from(P1, Offset(5), Lease(7))
    await member.until(lambda: len(member.records) >= 5)
    assert member.values() == numbers(105, 110)
    group.fetch_from(P0, Offset(0), Lease(8))
    await member.until(lambda: len(member.records) >= 15)
    assert member.values(8) == numbers(0, 10)


async def test_every_record_names_the_fetch_it_belongs_to(log: Log) -> None:
    await produce(log, 30)
    group, member = await joined(log)
    group.fetch_from(P0, Offset(0), Lease(1))
    await member.until(lambda: len(member.records) >= 1)
    group.fetch_from(P0, Offset(10), Lease(2))
    await member.until(lambda: len(member.values(2)) >= 20)
    assert member.values(2) == numbers(10, 30)
    assert member.values(1) == numbers(0, len(member.values(1)))


async def test_an_offset_outside_the_log_is_taken_as_its_start_or_end(log: Log) -> None:
    await produce(log, 3)
    group, member = await joined(log)
    group.fetch_from(P0, Offset(50), Lease(1))
    # Where the clamping happens is the adapter's; a record that came before it did may or may not be seen.
    await produce(log, 1, P1)
    group.fetch_from(P1, Offset(0), Lease(9))
    await member.until(lambda: len(member.values(9)) >= 1)
    assert member.values(1) == []


async def test_a_paused_partition_gives_nothing_new_until_it_is_resumed(log: Log) -> None:
    await produce(log, 5, P0)
    group, member = await joined(log)
    group.fetch_from(P0, Offset(0), Lease(1))
    group.fetch_from(P1, Offset(0), Lease(2))
    await member.until(lambda: len(member.values(1)) >= 5)
    group.pause(P0)
    await produce(log, 5, P0, first=5)
    await produce(log, 5, P1)
    await member.until(lambda: len(member.values(2)) >= 5)
    assert member.values(1) == numbers(0, 5)
    group.resume(P0)
    await member.until(lambda: len(member.values(1)) >= 10)
    assert member.values(1) == numbers(0, 10)


async def test_pausing_and_resuming_often_loses_and_repeats_nothing(log: Log) -> None:
    group, member = await joined(log)
    group.fetch_from(P0, Offset(0), Lease(1))
    for number in range(30):
        await produce(log, 1, first=number)
        group.pause(P0)
        group.pause(P0)
        group.resume(P0)
        group.resume(P0)
    await member.until(lambda: len(member.records) >= 30)
    assert member.values() == numbers(0, 30)


async def test_a_hole_is_stepped_over(world: World, log: Log) -> None:
    holes = await world.make_hole(P0)
    await produce(log, 2)
    group, member = await joined(log)
    group.fetch_from(P0, Offset(0), Lease(1))
    await member.until(lambda: len(member.records) >= (3 if holes else 2))
    await produce(log, 1, first=2)
    await member.until(lambda: b"2" in member.values())
    assert member.values() == [*([b"before the hole"] if holes else []), b"0", b"1", b"2"]


async def test_holes_at_the_end_are_told_after_the_records_before_them_and_nothing_where_there_are_none(
    world: World, log: Log
) -> None:
    await produce(log, 1)
    group, member = await joined(log)
    group.fetch_from(P0, Offset(0), Lease(1))
    await member.until(lambda: len(member.records) == 1)
    if not await world.make_hole(P0):
        pytest.skip("this log has no holes")
    await member.until(lambda: len(member.reached) == 1)
    assert [record.offset for _, _, record in member.records] == [0, 1]
    assert member.reached == [(P0, 1, 3)]
    await produce(log, 1, first=1)
    await member.until(lambda: len(member.records) == 3)
    assert len(member.reached) == 1


async def test_holes_at_the_end_are_told_to_every_fetch_that_meets_them(world: World, log: Log) -> None:
    if not await world.make_hole(P0):
        pytest.skip("this log has no holes")
    group, member = await joined(log)
    group.fetch_from(P0, Offset(1), Lease(1))
    await member.until(lambda: member.reached == [(P0, 1, 2)])
    group.fetch_from(P0, Offset(1), Lease(2))
    await member.until(lambda: member.reached == [(P0, 1, 2), (P0, 2, 2)])
    group.fetch_from(P0, Offset(2), Lease(3))
    await produce(log, 1)
    await member.until(lambda: member.values(3) == [b"0"])
    assert len(member.reached) == 2
    assert member.values() == [b"0"]


async def test_holes_at_the_end_of_a_paused_partition_are_told_when_it_goes_on(world: World, log: Log) -> None:
    await produce(log, 1)
    group, member = await joined(log)
    group.fetch_from(P0, Offset(0), Lease(1))
    await member.until(lambda: len(member.records) == 1)
    group.pause(P0)
    if not await world.make_hole(P0):
        pytest.skip("this log has no holes")
    assert await group.proves_membership(P0, Offset(0))
    assert member.reached == []
    group.resume(P0)
    await member.until(lambda: member.reached == [(P0, 1, 3)])
    assert len(member.records) == 2


async def test_who_leaves_hears_that_all_is_revoked_and_gets_nothing_more(log: Log) -> None:
    group, member = await joined(log)
    group.fetch_from(P0, Offset(0), Lease(1))
    await group.leave()
    await group.leave()
    assert member.held == set()
    assert sorted(member.revoked) == sorted(ALL)
    await produce(log, 3)
    group.fetch_from(P0, Offset(0), Lease(2))
    await asyncio.sleep(0)
    assert member.records == []


async def test_who_left_may_join_again(log: Log) -> None:
    await produce(log, 3)
    group, _ = await joined(log)
    await group.leave()
    group, member = await joined(log)
    group.fetch_from(P0, Offset(1), Lease(1))
    await member.until(lambda: len(member.records) >= 2)
    assert member.values() == numbers(1, 3)


async def test_a_member_can_prove_that_it_is_one_and_who_left_cannot(log: Log) -> None:
    group, member = await joined(log)
    group.fetch_from(P0, Offset(0), Lease(1))
    assert await group.proves_membership(P0, Offset(0))
    group.commit({P0: Offset(0)})
    await group.leave()
    assert member.held == set()
    assert not await group.proves_membership(P0, Offset(0))
