"""What one turn of the event loop appends goes to the library together, in order; here the library is a double."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError

from chatstream.core.errors import OutcomeUnknown, QueueFull
from chatstream.core.ids import NodeId, PartitionNo
from chatstream.log import kafka_producer
from chatstream.log.kafka_producer import GATHERED_MOST, POLL_S, KafkaProducer
from chatstream.log.kafka_settings import KafkaSettings
from chatstream.log.port import Ack, Topic
from tests.until import until

P0, P1 = PartitionNo(0), PartitionNo(1)


class Landed:
    """As much of a message as the producer looks at."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def offset(self) -> int:
        return self._offset


class Library:
    """A library that takes at most `room` records, and acknowledges when told."""

    def __init__(self, _: dict[str, Any]) -> None:
        self.room = 1_000_000
        self.values: list[bytes] = []
        self.callbacks: list[Callable[[KafkaError | None, Any], None]] = []
        self.due: list[tuple[Callable[[KafkaError | None, Any], None], KafkaError | None, int]] = []

    def produce(self, _topic: str, value: bytes, *_: object, on_delivery: Any, **__: object) -> None:
        if len(self.callbacks) >= self.room:
            raise BufferError
        self.values.append(value)
        self.callbacks.append(on_delivery)

    def acknowledge(self, *offsets: int, error: KafkaError | None = None) -> None:
        """The oldest records landed at these offsets."""
        for offset in offsets:
            self.due.append((self.callbacks.pop(0), error, offset))

    def poll(self, _: float) -> None:
        due, self.due = self.due, []
        for callback, error, offset in due:
            callback(error, Landed(offset))

    def purge(self, **_: bool) -> None:
        self.callbacks.clear()

    def flush(self, _: float) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> list[Library]:
    made: list[Library] = []

    def make(config: dict[str, Any]) -> Library:
        made.append(Library(config))
        return made[-1]

    monkeypatch.setattr(kafka_producer, "Producer", make)
    return made


def opened(library: list[Library], queue_records: int = 100_000) -> tuple[KafkaProducer, Library, list[Ack]]:
    acks: list[Ack] = []
    settings = KafkaSettings(bootstrap_servers="nowhere:1", node_id=NodeId("a"), queue_records=queue_records)
    producer = KafkaProducer(settings, lambda _: None)
    producer.listen(acks.extend)
    return producer, library[-1], acks


def send(producer: KafkaProducer, count: int, first: int = 0, partition: PartitionNo = P0) -> None:
    for number in range(first, first + count):
        producer.append(Topic.EVENTS, partition, b"k", b"%d" % number, (), number)


def numbered(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


async def test_the_library_gets_a_turns_appends_together_when_the_turn_is_over(library: list[Library]) -> None:
    producer, kafka, _ = opened(library)
    send(producer, 3)
    assert kafka.values == []
    await asyncio.sleep(0)
    assert kafka.values == numbered(3)
    producer.abandon()


async def test_so_many_are_gathered_and_with_one_more_the_first_are_on_their_way(library: list[Library]) -> None:
    producer, kafka, _ = opened(library)
    send(producer, GATHERED_MOST - 1)
    assert kafka.values == []
    send(producer, 1, first=GATHERED_MOST - 1)
    assert kafka.values == numbered(GATHERED_MOST)
    send(producer, 1, first=GATHERED_MOST)
    await asyncio.sleep(0)
    assert kafka.values == numbered(GATHERED_MOST + 1)
    producer.abandon()


async def test_what_the_library_has_no_room_for_waits_in_order_and_nothing_is_put_behind_it(library: list[Library]) -> None:
    producer, kafka, acks = opened(library)
    kafka.room = 2
    send(producer, 5)
    await asyncio.sleep(0)
    assert kafka.values == numbered(2)
    with pytest.raises(QueueFull):
        send(producer, 1, first=5)
    kafka.acknowledge(0, 1)
    await until(lambda: len(kafka.values) == 4, 10, "room is used as soon as there is some")
    with pytest.raises(QueueFull):
        send(producer, 1, first=5)
    kafka.acknowledge(2, 3)
    await until(lambda: len(kafka.values) == 5, 10, "the last one is handed over")
    send(producer, 1, first=5)
    kafka.acknowledge(4)
    await until(lambda: len(kafka.values) == 6, 10, "and one more is taken")
    kafka.acknowledge(5)
    await until(lambda: len(acks) == 6, 10, "all are acknowledged")
    assert kafka.values == numbered(6)
    assert [(ack.tag, ack.offset) for ack in acks] == [(number, number) for number in range(6)]
    producer.abandon()


async def test_acks_of_one_partition_are_told_apart_from_another_ones(library: list[Library]) -> None:
    producer, kafka, acks = opened(library)
    for number in range(6):
        send(producer, 1, first=number, partition=(P0, P1)[number % 2])
    await asyncio.sleep(0)
    kafka.acknowledge(10, 70, 11, 71, 12, 72)
    await until(lambda: len(acks) == 6, 10, "all are acknowledged")
    assert [(ack.tag, ack.offset) for ack in acks] == [(0, 10), (1, 70), (2, 11), (3, 71), (4, 12), (5, 72)]
    producer.abandon()


async def test_an_ack_below_the_one_before_is_believed_of_none(library: list[Library]) -> None:
    producer, kafka, acks = opened(library)
    send(producer, 3)
    await asyncio.sleep(0)
    kafka.acknowledge(7, 5, 8)
    await until(lambda: len(acks) == 3, 10, "each append is answered")
    assert [(ack.tag, ack.offset) for ack in acks] == [(0, 7), (1, None), (2, None)]
    assert not producer.usable
    producer.abandon()


async def test_what_was_gathered_when_the_producer_failed_is_never_sent_and_its_outcome_unknown(library: list[Library]) -> None:
    producer, kafka, acks = opened(library)
    send(producer, 1)
    await asyncio.sleep(0)
    kafka.acknowledge(-1, error=KafkaError(KafkaError._ALL_BROKERS_DOWN))
    await until(lambda: len(acks) == 1, 10, "the failure is told")
    send(producer, 2, first=1)
    await until(lambda: len(acks) == 3, 10, "and of what came later")
    assert kafka.values == numbered(1)
    assert [ack.tag for ack in acks] == [0, 1, 2]
    assert all(ack.offset is None and isinstance(ack.error, OutcomeUnknown) for ack in acks)
    producer.abandon()


async def test_nothing_that_was_gathered_goes_out_after_the_producer_was_abandoned(library: list[Library]) -> None:
    producer, kafka, acks = opened(library)
    send(producer, 3)
    producer.abandon()
    await asyncio.sleep(0)
    assert (kafka.values, acks) == ([], [])


async def test_the_queue_takes_so_many_gathered_ones_among_them(library: list[Library]) -> None:
    producer, _, _ = opened(library, queue_records=4)
    send(producer, 4)
    with pytest.raises(QueueFull):
        send(producer, 1, first=4)
    producer.abandon()


def test_looking_for_acks_is_a_timer_for_every_event_loop() -> None:
    # uvloop counts in whole milliseconds: round(0.5) is 0, and a timer of 0 spins.
    assert round(POLL_S * 1000) >= 1
