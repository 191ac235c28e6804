"""A partition whose fetching stopped is told from one that is at its end, moves on, or whose broker is away."""

from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from chatstream.core.ids import Offset, PartitionNo
from chatstream.log.kafka_stalls import Stalls

LOOKS = 3


class Broker:
    """In place of a consumer: all that is asked of one. ends: of each partition, None where nobody says. asked: for which."""

    def __init__(self, *ends: int | None) -> None:
        self.ends = list(ends)
        self.asked: list[int] = []

    def get_watermark_offsets(self, place: TopicPartition, timeout: float, cached: bool) -> tuple[int, int]:
        assert (timeout > 0, cached) == (True, False)
        self.asked.append(place.partition)
        end = self.ends[place.partition]
        if end is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return 0, end


def look(stalls: Stalls, broker: Broker, *positions: int) -> str | None:
    """One look. positions: the next offset of each partition."""
    fetched = {PartitionNo(number): Offset(position) for number, position in enumerate(positions)}
    consumer: Any = broker
    return stalls.look(consumer, fetched)


def test_a_partition_that_is_behind_and_does_not_move_is_found_with_the_last_look_and_not_before() -> None:
    stalls, broker = Stalls(looks=LOOKS), Broker(5)
    assert [look(stalls, broker, 2) for _ in range(LOOKS - 1)] == [None] * (LOOKS - 1)
    assert look(stalls, broker, 2) == "nothing comes of chat.messages/0 behind offset 2, and it ends at 5"


def test_one_that_moves_is_left_alone_however_far_behind_it_is() -> None:
    stalls, broker = Stalls(looks=LOOKS), Broker(1_000)
    assert [look(stalls, broker, position) for position in range(50)] == [None] * 50


def test_one_that_moved_in_between_is_counted_anew() -> None:
    stalls, broker = Stalls(looks=LOOKS), Broker(9)
    assert [look(stalls, broker, position) for position in (2, 2, 3, 3)] == [None] * 4
    assert look(stalls, broker, 3) is not None


def test_one_at_its_end_is_left_alone() -> None:
    stalls, broker = Stalls(looks=LOOKS), Broker(2)
    assert [look(stalls, broker, 2) for _ in range(50)] == [None] * 50


def test_a_broker_that_does_not_answer_is_no_stall() -> None:
    stalls, broker = Stalls(looks=LOOKS), Broker(9)
    for _ in range(10):
        broker.ends = [9]
        assert [look(stalls, broker, 2) for _ in range(LOOKS - 1)] == [None] * (LOOKS - 1)
        broker.ends = [None]
        assert look(stalls, broker, 2) is None


def test_they_are_looked_at_in_turn_and_one_that_is_behind_until_it_is_not() -> None:
    stalls, broker = Stalls(looks=LOOKS), Broker(0, 5, 0)
    for positions in [(0, 0, 0)] * 3 + [(0, 5, 0)] * 4:
        look(stalls, broker, *positions)
    assert broker.asked == [0, 1, 1, 1, 2, 0, 1]


def test_one_that_was_revoked_while_it_was_behind_is_forgotten() -> None:
    stalls, broker = Stalls(looks=LOOKS), Broker(0, 5)
    for _ in range(LOOKS):
        look(stalls, broker, 0, 0)
    assert look(stalls, broker) is None
    assert [look(stalls, broker, 0) for _ in range(LOOKS)] == [None] * LOOKS


def test_nothing_is_looked_at_where_nothing_is_fetched() -> None:
    stalls, broker = Stalls(looks=LOOKS), Broker()
    assert look(stalls, broker) is None
    assert broker.asked == []


def test_a_look_is_due_once_in_a_while() -> None:
    assert Stalls(look_s=0.0).due
    assert not Stalls(look_s=60.0).due
    stalls = Stalls(look_s=60.0)
    look(stalls, Broker(0), 0)
    assert not stalls.due
