"""Membership on a real broker: who has which partition, and which records are delivered under which lease."""

import asyncio
import threading
import time
from collections.abc import Mapping

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from chatstream.core.ids import Offset, PartitionNo
from chatstream.log.kafka_handover import Handover
from chatstream.log.kafka_stalls import Stalls
from chatstream.log.kafka_watchdog import Watchdog
from chatstream.log.port import Lease, Topic
from tests.integration.kafka_given import P0, append_all, fetch_all, joined, opened
from tests.listener import NotedListener, until

pytestmark = pytest.mark.kafka


async def test_nothing_is_delivered_before_it_is_asked_for(bootstrap: str) -> None:
    async with opened(bootstrap) as log:
        await append_all(log, Topic.MESSAGES, 0, [b"one", b"two", b"three"])
        group, listener = await joined(log)
        assert await group.proves_membership(P0, Offset(0))  # the thread has turned meanwhile
        assert listener.records == []
        group.fetch_from(P0, Offset(1), Lease(7))
        await until(lambda: len(listener.records) == 2)
        assert [(lease, record.offset, record.value) for _, lease, record in listener.records] == [
            (7, 1, b"two"),
            (7, 2, b"three"),
        ]


async def test_records_prefetched_for_an_earlier_lease_are_dropped(bootstrap: str) -> None:
    count = 30_000
    async with opened(bootstrap) as log:
        await append_all(log, Topic.MESSAGES, 0, [b"%d" % number for number in range(count)])
        group, listener = await joined(log)
        group.fetch_from(P0, Offset(0), Lease(1))
        await until(lambda: listener.records)  # thousands more are on their way
        group.fetch_from(P0, Offset(3), Lease(2))
        await until(lambda: listener.records[-1][1] == 2)
        await until(lambda: listener.records[-1][2].offset == count - 1)
        second = [record.offset for _, lease, record in listener.records if lease == 2]
        assert second == list(range(3, count))
        leases = [lease for _, lease, _ in listener.records]
        assert leases == sorted(leases)


async def test_an_offset_outside_the_log_is_clamped(bootstrap: str) -> None:
    async with opened(bootstrap) as log:
        await append_all(log, Topic.MESSAGES, 0, [b"one"])
        group, listener = await joined(log)
        group.fetch_from(P0, Offset(1_000), Lease(1))
        assert await group.proves_membership(P0, Offset(0))
        await append_all(log, Topic.MESSAGES, 0, [b"two"])
        await until(lambda: listener.values() == [b"two"])


async def test_a_paused_partition_is_silent_and_goes_on_where_it_paused(bootstrap: str) -> None:
    async with opened(bootstrap) as log:
        group, listener = await joined(log)
        fetch_all(group, listener)
        await append_all(log, Topic.MESSAGES, 0, [b"one"])
        await until(lambda: listener.values(0) == [b"one"])
        group.pause(P0)
        await append_all(log, Topic.MESSAGES, 0, [b"two", b"three"])
        await append_all(log, Topic.MESSAGES, 1, [b"other"])
        await until(lambda: listener.values(1) == [b"other"])
        assert listener.values(0) == [b"one"]
        group.resume(P0)
        await until(lambda: listener.values(0) == [b"one", b"two", b"three"])


async def test_two_members_share_the_partitions_and_the_first_keeps_what_does_not_move(bootstrap: str) -> None:
    async with opened(bootstrap, "node-a") as first, opened(bootstrap, "node-b") as second:
        _, a = await joined(first)
        _, b = await joined(second, partitions=2)
        await until(lambda: len(a.now) == 2)
        assert a.now | b.now == {0, 1, 2, 3}
        assert not a.now & b.now
        # Cooperative: what stays was never taken away.
        taken = {partition for kind, partitions in a.told if kind == "revoked" for partition in partitions}
        assert taken == b.now


async def test_a_static_member_that_leaves_hands_over_before_its_session_times_out(bootstrap: str) -> None:
    async with opened(bootstrap, "node-a", session_timeout_ms=45_000) as first, opened(bootstrap, "node-b") as second:
        await joined(first)
        _, b = await joined(second, partitions=2)
        await first.group().leave()
        # Far below the 45 s after which the broker would find out by itself.
        await until(lambda: len(b.now) == 4, "the other's partitions", wait_s=15)


async def test_leaving_tells_that_all_is_revoked_and_can_be_repeated(bootstrap: str) -> None:
    async with opened(bootstrap) as log:
        group, listener = await joined(log)
        await group.leave()
        assert listener.now == set()
        told = list(listener.told)
        await group.leave()
        assert listener.told == told
        assert not await group.proves_membership(P0, Offset(0))


async def test_an_error_that_is_not_fatal_changes_nothing(bootstrap: str) -> None:
    async with opened(bootstrap) as log:
        group, listener = await joined(log)
        assert group.member is not None
        group.member.break_consumer(KafkaError(KafkaError._TRANSPORT))
        assert await group.proves_membership(P0, Offset(0))
        assert listener.told == [("assigned", (0, 1, 2, 3))]


async def test_a_fatal_error_revokes_all_and_a_new_consumer_goes_on(bootstrap: str) -> None:
    async with opened(bootstrap) as log:
        await append_all(log, Topic.MESSAGES, 0, [b"one"])
        group, listener = await joined(log)
        assert group.member is not None
        error = KafkaError(KafkaError._FATAL, "Static consumer fenced")
        assert not error.fatal()  # just as the library reports it
        group.member.break_consumer(error)
        await until(lambda: ("revoked", (0, 1, 2, 3)) in listener.told)
        await until(lambda: len(listener.now) == 4, "the partitions again")
        fetch_all(group, listener, lease=2)
        await until(lambda: listener.values() == [b"one"])


async def test_a_fenced_member_says_so_and_comes_back_when_the_name_is_free(bootstrap: str) -> None:
    """Two processes with one node id: the broker fences the first, which must not look alive with nothing behind it."""
    async with opened(bootstrap, "node-a") as first:
        _, a = await joined(first)
        async with opened(bootstrap, "node-a") as second:
            b = NotedListener()
            await second.group().join(b)
            await until(lambda: b.now, "the second's partitions")
            await until(lambda: ("revoked", (0, 1, 2, 3)) in a.told, "the first to be fenced")
        await until(lambda: len(a.now) == 4, "the partitions again")


async def test_an_aborted_transaction_is_never_delivered(bootstrap: str) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": "stranger"})
    await asyncio.to_thread(producer.init_transactions, 30)
    for value, commit in ((b"aborted", False), (b"committed", True)):
        producer.begin_transaction()
        producer.produce(Topic.MESSAGES.value, value, b"alice", 0)
        await asyncio.to_thread(producer.commit_transaction if commit else producer.abort_transaction, 30)
    async with opened(bootstrap) as log:
        group, listener = await joined(log)
        fetch_all(group, listener)
        await append_all(log, Topic.MESSAGES, 0, [b"behind"])
        await until(lambda: b"behind" in listener.values())
        assert listener.values() == [b"committed", b"behind"]
    producer.close()


async def test_a_consumer_that_stopped_fetching_and_says_nothing_is_replaced(bootstrap: str) -> None:
    """As librdkafka's does now and then after brokers came back: here it is paused behind the back of who owns it."""
    async with opened(bootstrap) as log:
        group, listener = await joined(log)
        fetch_all(group, listener)
        await append_all(log, Topic.MESSAGES, 0, [b"one"])
        await until(lambda: listener.values() == [b"one"])
        member = group.member
        assert member is not None
        member.stalls = Stalls(look_s=0.02, looks=5)

        stopped = threading.Event()

        def stop_fetching() -> None:
            assert member._consumer is not None
            member._consumer.pause([TopicPartition(Topic.MESSAGES.value, 0)])
            stopped.set()

        member.run(stop_fetching)
        await until(stopped.is_set)
        await append_all(log, Topic.MESSAGES, 0, [b"two"])
        await until(lambda: ("revoked", (0, 1, 2, 3)) in listener.told, "the consumer is thrown away")
        await until(lambda: len(listener.now) == 4, "the partitions again")
        fetch_all(group, listener, lease=2, offset=1)
        await until(lambda: listener.values() == [b"one", b"two"])


async def test_a_transaction_that_stays_open_is_no_stall(bootstrap: str) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": "slow stranger"})
    await asyncio.to_thread(producer.init_transactions, 30)
    producer.begin_transaction()
    producer.produce(Topic.MESSAGES.value, b"undecided", b"alice", 0)
    await asyncio.to_thread(producer.flush, 30)
    async with opened(bootstrap) as log:
        group, listener = await joined(log)
        member = group.member
        assert member is not None
        member.stalls = CountedStalls(look_s=0.02, looks=5)
        fetch_all(group, listener)
        await append_all(log, Topic.MESSAGES, 0, [b"behind"])
        await until(lambda: member.stalls.looks_made >= 40, "many looks at four partitions")  # type: ignore[attr-defined]
        assert listener.told == [("assigned", (0, 1, 2, 3))]
        await asyncio.to_thread(producer.commit_transaction, 30)
        await until(lambda: listener.values() == [b"undecided", b"behind"])
    producer.close()


class CountedStalls(Stalls):
    """Counts its looks."""

    looks_made = 0

    def look(self, consumer: Consumer, fetched: Mapping[PartitionNo, Offset]) -> str | None:
        self.looks_made += 1
        return super().look(consumer, fetched)


async def test_membership_is_not_proved_for_a_partition_of_someone_else(bootstrap: str) -> None:
    async with opened(bootstrap) as log:
        group, _ = await joined(log)
        assert await group.proves_membership(P0, Offset(0))
        assert not await group.proves_membership(PartitionNo(99), Offset(0))


async def test_committed_offsets_are_seen_from_outside(bootstrap: str) -> None:
    async with opened(bootstrap) as log:
        group, _ = await joined(log)
        group.commit({P0: Offset(5)})
        assert await group.proves_membership(PartitionNo(1), Offset(0))  # commits are answered in order
        outside = Consumer({"bootstrap.servers": bootstrap, "group.id": "chatstream"})
        found = await asyncio.to_thread(outside.committed, [TopicPartition(Topic.MESSAGES.value, 0)], 30)
        assert found[0].offset == 5
        outside.close()


async def test_a_loop_that_takes_nothing_is_not_overrun() -> None:
    handover = Handover(asyncio.get_running_loop(), records_max=2)
    taken: list[int] = []
    handover.put(lambda: taken.append(1), records=1)
    assert not handover.full
    handover.put(lambda: taken.append(2), records=1)
    assert handover.full
    await until(lambda: taken == [1, 2])
    assert not handover.full


async def test_a_stuck_consumer_thread_ends_the_process(bootstrap: str) -> None:
    said: list[str] = []
    stuck = threading.Event()
    async with opened(bootstrap, stuck_s=0.5, on_stuck=said.append) as log:
        group, _ = await joined(log)
        assert group.member is not None
        group.member.run(lambda: stuck.wait(30))
        await until(lambda: said)
        stuck.set()
        assert said == ["the consumer thread made no turn for 0.5 s"]


async def test_a_thread_that_turns_is_left_alone() -> None:
    started = time.monotonic()
    said: list[str] = []
    watchdog = Watchdog("it", lambda: time.monotonic_ns(), 0.05, said.append)
    watchdog.start()
    await until(lambda: time.monotonic() > started + 0.3)
    watchdog.stop()
    assert said == []
