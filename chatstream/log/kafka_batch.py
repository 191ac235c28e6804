"""What one turn of the consumer's thread brought, by partition."""

from collections.abc import Container, Iterable

from confluent_kafka import KafkaError, Message

from chatstream.core.ids import Offset, PartitionNo
from chatstream.log.kafka_record import record_of
from chatstream.log.port import Record


class Batch:
    """records: in order, by partition, of those in `wanted`. ends: where the end was reached, behind all of these.

    errors: what else the library returned in a message's place.
    """

    __slots__ = ("ends", "errors", "records")

    def __init__(self, messages: Iterable[Message], wanted: Container[PartitionNo]) -> None:
        self.records: dict[PartitionNo, list[Record]] = {}
        self.ends: dict[PartitionNo, Offset] = {}
        self.errors: list[KafkaError] = []
        for message in messages:
            partition: PartitionNo = message.partition()  # type: ignore[assignment]  # but for errors, a record has one
            error = message.error()
            if error is not None:
                self._note(error, message, partition, wanted)
            elif partition in wanted:
                lane = self.records.get(partition)
                if lane is None:
                    lane = self.records[partition] = []
                lane.append(record_of(message))

    def _note(self, error: KafkaError, message: Message, partition: PartitionNo, wanted: Container[PartitionNo]) -> None:
        if error.code() != KafkaError._PARTITION_EOF:
            self.errors.append(error)
        elif partition in wanted:
            self.ends[partition] = Offset(message.offset() or 0)
