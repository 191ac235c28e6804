"""Proofs of membership: offset commits whose answers are waited for.

The library's synchronous commit waits without a limit for a coordinator that is away, and nothing is polled meanwhile. The same
request with a callback proves as much; the metadata tells which commit it was.
"""

from collections.abc import Callable, Container, Sequence
from functools import partial
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from chatstream.core.ids import Offset, PartitionNo
from chatstream.log.kafka_handover import Handover
from chatstream.log.port import Topic

PROOFS_MAX: Final = 1_000
"""Commits that wait for their answer; what is asked beyond them is not proved."""

Proved = Callable[[bool], None]
"""Told the outcome on the loop, or nothing if the broker is silent."""


class Proofs:
    """Those of one member. Used in the consumer's thread alone."""

    def __init__(self, handover: Handover) -> None:
        self._handover = handover
        self._waiting: dict[str, tuple[PartitionNo, Proved]] = {}
        self._count = 0

    def ask(self, consumer: Consumer, partition: PartitionNo, offset: Offset, proved: Proved) -> None:
        """Commit the offset. Raises KafkaException when that cannot even be asked; then it is not proved."""
        if len(self._waiting) >= PROOFS_MAX:
            self.refuse(proved)
            return
        self._count += 1
        name = f"proof-{self._count}"
        self._waiting[name] = (partition, proved)
        try:
            consumer.commit(offsets=[TopicPartition(Topic.MESSAGES.value, partition, offset, name)], asynchronous=True)
        except KafkaException:
            del self._waiting[name]
            self.refuse(proved)
            raise

    def refuse(self, proved: Proved) -> None:
        """It is not proved."""
        self._handover.put(partial(proved, False))

    def answered(self, error: KafkaError | None, places: Sequence[TopicPartition], assigned: Container[PartitionNo]) -> None:
        """A commit was answered. Only what is assigned now is proved."""
        for place in places:
            waiting = self._waiting.pop(place.metadata or "", None)
            if waiting is not None:
                partition, proved = waiting
                succeeded = error is None and place.error is None and partition in assigned
                self._handover.put(partial(proved, succeeded))

    def end(self) -> None:
        """The consumer is thrown away: nothing that waits is proved."""
        for _, proved in self._waiting.values():
            self.refuse(proved)
        self._waiting.clear()
