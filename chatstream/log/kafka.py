"""Apache Kafka, or anything that speaks its protocol, as a Log."""

import asyncio
from collections.abc import Callable, Mapping

from chatstream.core.errors import LogUnavailable
from chatstream.core.ids import NodeId, Offset, PartitionNo
from chatstream.log.kafka_admin import KafkaAdmin
from chatstream.log.kafka_group import STUCK_S, KafkaGroup
from chatstream.log.kafka_producer import KafkaProducer
from chatstream.log.kafka_reader import ConsumerPool, KafkaReader
from chatstream.log.kafka_settings import KafkaSettings
from chatstream.log.kafka_watchdog import end_process
from chatstream.log.port import AckListener, Topic, TopicIdentity
from chatstream.log.sizes import RECORD_BYTES_MAX


class KafkaLog:
    """The log on a Kafka cluster.

    bootstrap_servers: `host:port,…`. node_id: also the static member's name in the group, so unique per node.
    overrides: librdkafka properties, over ours. group_id: who shares it shares the partitions. session_timeout_ms: how
    long a node that vanished keeps its partitions. record_bytes_max: the topics' max.message.bytes where they differ
    from topics.yaml. stuck_s, on_stuck: when the consumer's thread counts as stuck, and what happens then.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        node_id: NodeId,
        overrides: Mapping[str, str] | None = None,
        *,
        group_id: str = "chatstream",
        session_timeout_ms: int = 10_000,
        static_member: bool = True,
        queue_records: int = 100_000,
        record_bytes_max: Mapping[Topic, int] | None = None,
        stuck_s: float = STUCK_S,
        on_stuck: Callable[[str], None] = end_process,
    ) -> None:
        self._settings = KafkaSettings(
            bootstrap_servers=bootstrap_servers,
            node_id=node_id,
            overrides=dict(overrides or {}),
            group_id=group_id,
            session_timeout_ms=session_timeout_ms,
            static_member=static_member,
            queue_records=queue_records,
            record_bytes_max={**RECORD_BYTES_MAX, **(record_bytes_max or {})},
        )
        self._stuck_s = stuck_s
        self._on_stuck = on_stuck
        self._admin: KafkaAdmin | None = None
        self._pool: ConsumerPool | None = None
        self._spare: KafkaProducer | None = None
        self._producers: set[KafkaProducer] = set()
        self._group: KafkaGroup | None = None

    async def open(self) -> None:
        """Connect. Raises BadSettings for a property that librdkafka does not know, LogUnavailable."""
        admin = KafkaAdmin(self._settings)
        await asyncio.to_thread(admin.connect)
        pool = ConsumerPool(self._settings)
        # Made now, so that a wrong -X is an error at start and not hours later.
        pool.give_back(pool.lend())
        self._pool = pool
        self._admin = admin
        self._spare = KafkaProducer(self._settings, self._producers.discard)

    async def close(self) -> None:
        """Close everything that was opened through this log. Repeatable."""
        if self._group is not None:
            await self._group.leave()
        spare, self._spare = self._spare, None
        for producer in [*self._producers, *([spare] if spare else [])]:
            producer.abandon()
        pool, self._pool = self._pool, None
        self._admin = None
        if pool is not None:
            await asyncio.to_thread(pool.close)

    async def identify(self) -> dict[Topic, TopicIdentity]:
        """All topics that exist. Raises LogUnavailable."""
        return await self._opened().identify()

    async def bounds(self, topic: Topic, partition: PartitionNo) -> tuple[Offset, Offset]:
        """(first offset kept, high watermark). Raises LogUnavailable."""
        return await self._opened().bounds(topic, partition)

    def open_reader(self, topic: Topic, partition: PartitionNo, offset: Offset) -> KafkaReader:
        """A reader that starts at `offset`."""
        if self._pool is None:
            raise LogUnavailable("the log is not open")
        return KafkaReader(self._pool, topic, partition, offset)

    def open_producer(self, on_acks: AckListener) -> KafkaProducer:
        """A fresh producer that shares nothing with earlier ones."""
        if self._admin is None:
            raise LogUnavailable("the log is not open")
        # The first ack of a producer that was just made takes 0.5 s: librdkafka asks for its producer id before it has a
        # connection, and then waits. So there is always one that has its id already.
        producer = self._spare
        if producer is None or not producer.usable:
            if producer is not None:
                producer.abandon()
            producer = KafkaProducer(self._settings, self._producers.discard)
        self._spare = KafkaProducer(self._settings, self._producers.discard)
        producer.listen(on_acks)
        self._producers.add(producer)
        return producer

    def group(self) -> KafkaGroup:
        """This node's membership."""
        if self._group is None:
            self._group = KafkaGroup(self._settings, stuck_s=self._stuck_s, on_stuck=self._on_stuck)
        return self._group

    def _opened(self) -> KafkaAdmin:
        if self._admin is None:
            raise LogUnavailable("the log is not open")
        return self._admin
