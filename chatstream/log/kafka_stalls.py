"""Finds a partition of which nothing is fetched any more although there is something to fetch.

librdkafka's consumer comes to that now and then after brokers went away and came back; nothing is said, and only a new consumer
helps (https://github.com/confluentinc/librdkafka/issues/5153). So its word is not taken for it: the broker is asked.
"""

import time
from collections.abc import Mapping
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from chatstream.core.ids import Offset, PartitionNo
from chatstream.log.port import Topic

LOOK_S: Final = 1.0
"""Between two looks, each at one partition."""
LOOKS: Final = 20
"""In a row that find the same partition behind and where it was. Looks are counted, not seconds: a process that was stopped and
goes on has not been waiting."""
ANSWER_S: Final = 1.0
"""For the broker's answer; the consumer's thread waits for it."""


class Stalls:
    """Looks at one partition after the other, and at one that is behind until it is not."""

    def __init__(self, look_s: float = LOOK_S, looks: int = LOOKS) -> None:
        self._look_s = look_s
        self._looks = looks
        self._look_at_s = time.monotonic() + look_s
        self._last = PartitionNo(-1)
        self._position = Offset(-1)
        self._behind = 0

    @property
    def due(self) -> bool:
        """Is it time for a look? It costs one request."""
        return time.monotonic() >= self._look_at_s

    def look(self, consumer: Consumer, fetched: Mapping[PartitionNo, Offset]) -> str | None:
        """What is to be said of a partition that has stalled, None for none. To be called with the consumer's queue drained.

        fetched: the partitions that are to be delivered, and the next offset of each.
        """
        self._look_at_s = time.monotonic() + self._look_s
        partition = self._choose(fetched)
        if partition is None or fetched.get(partition) != self._position:
            self._behind = 0
        if partition is None:
            return None
        self._last, self._position = partition, fetched[partition]
        end = _end(consumer, partition)
        self._behind = self._behind + 1 if end is not None and end > self._position else 0
        if self._behind < self._looks:
            return None
        return f"nothing comes of {Topic.MESSAGES}/{partition} behind offset {self._position}, and it ends at {end}"

    def _choose(self, fetched: Mapping[PartitionNo, Offset]) -> PartitionNo | None:
        if self._behind and self._last in fetched:
            return self._last
        return min((each for each in fetched if each > self._last), default=min(fetched, default=None))


def _end(consumer: Consumer, partition: PartitionNo) -> Offset | None:
    """Where the partition ends for this consumer; None when its broker does not say."""
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(Topic.MESSAGES, partition), timeout=ANSWER_S, cached=False)
    except KafkaException:
        return None
    return Offset(end)
