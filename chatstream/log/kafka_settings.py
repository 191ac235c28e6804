"""What each of our Kafka clients is told, every option said even where it is the default.

Overrides (`-X name=value`) come last, and only where the client knows the property. Those that the guarantees rest on
cannot be overridden.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from chatstream.core.errors import BadSettings
from chatstream.core.ids import NodeId
from chatstream.core.limits import KIB, MIB
from chatstream.log.port import Topic
from chatstream.log.sizes import RECORD_BYTES_MAX

FIXED: Final = frozenset(
    {
        "enable.idempotence",
        "enable.gapless.guarantee",
        "acks",
        "request.required.acks",
        "message.timeout.ms",
        "delivery.timeout.ms",
        "delivery.report.only.error",
        "transactional.id",
        "isolation.level",
        "enable.auto.commit",
        "auto.offset.reset",
        "enable.partition.eof",
        "group.protocol",
        "partition.assignment.strategy",
        "group.instance.id",
        "bootstrap.servers",
        "metadata.broker.list",
    }
)
"""Not to be overridden: the guarantees rest on them, or they have a setting of their own."""

_PRODUCER_ONLY: Final = frozenset(
    {
        "batch.num.messages",
        "batch.size",
        "compression.codec",
        "compression.level",
        "compression.type",
        "linger.ms",
        "message.send.max.retries",
        "partitioner",
        "queue.buffering.backpressure.threshold",
        "queue.buffering.max.kbytes",
        "queue.buffering.max.messages",
        "queue.buffering.max.ms",
        "queuing.strategy",
        "request.timeout.ms",
        "retries",
        "sticky.partitioning.linger.ms",
        "transaction.timeout.ms",
    }
)
_CONSUMER_ONLY: Final = frozenset(
    {
        "auto.commit.interval.ms",
        "check.crcs",
        "coordinator.query.interval.ms",
        "enable.auto.offset.store",
        "fetch.error.backoff.ms",
        "fetch.max.bytes",
        "fetch.message.max.bytes",
        "fetch.min.bytes",
        "fetch.queue.backoff.ms",
        "fetch.wait.max.ms",
        "group.id",
        "group.protocol.type",
        "group.remote.assignor",
        "heartbeat.interval.ms",
        "max.partition.fetch.bytes",
        "max.poll.interval.ms",
        "queued.max.messages.kbytes",
        "queued.min.messages",
        "session.timeout.ms",
    }
)

HEARTBEAT_MS: Final = 500
"""Two small requests a second and node."""

library_logger = logging.getLogger("chatstream.log.librdkafka")
"""What librdkafka itself says."""


def _worth_saying(record: logging.LogRecord) -> bool:
    # What is fatal to librdkafka ends one client, which is thrown away and opened again; purging what is in flight is
    # already fatal to it. Only the adapter can tell whether the node is lost, and says so itself.
    if record.levelno > logging.WARNING and record.getMessage().startswith("FATAL "):
        record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
    # Said at every start of a producer; that we want the gapless guarantee is decided, and tested.
    return "enable.gapless.guarantee is experimental" not in record.getMessage()


library_logger.addFilter(_worth_saying)


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach Kafka and what to be there.

    overrides: librdkafka's own property names. session_timeout_ms: how long a silent member keeps its partitions.
    """

    bootstrap_servers: str
    node_id: NodeId
    overrides: Mapping[str, str] = msgspec.field(default_factory=dict)
    group_id: str = "chatstream"
    session_timeout_ms: int = 10_000
    static_member: bool = True
    queue_records: int = 100_000
    queue_bytes: int = 256 * MIB
    record_bytes_max: Mapping[Topic, int] = msgspec.field(default_factory=lambda: RECORD_BYTES_MAX)

    def check(self) -> None:
        """Raises BadSettings for an override that may not be."""
        for name in sorted(self.overrides):
            if name in FIXED:
                raise BadSettings(f"-X {name} cannot be set: chatstream's guarantees rest on its own value")

    def group_config(self) -> dict[str, Any]:
        """For the member of the consumer group."""
        member = {"group.instance.id": self.node_id} if self.static_member else {}
        return self._with_overrides(
            {
                **self._common(),
                **member,
                "group.id": self.group_id,
                "group.protocol": "classic",
                # With an eager strategy each join or leave takes every partition from everyone for a moment, and each
                # has to be claimed and restored again. Cooperative, those that do not move are not disturbed.
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": self.session_timeout_ms,
                # Members learn of a rebalance from the answer to a heartbeat. With the default of 3 s a takeover after a
                # clean leave took 2.9 s, and a join two such rounds.
                "heartbeat.interval.ms": max(1, min(HEARTBEAT_MS, self.session_timeout_ms // 4)),
                "max.poll.interval.ms": max(300_000, self.session_timeout_ms),
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                # How holes at the end are told from records that are still to come.
                "enable.partition.eof": True,
                # Records that vanish in front of the position must stop the partition, not be skipped in silence.
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "fetch.min.bytes": 1,
                # One fetch is under way per broker: a resumed partition waits for it, 50 ms at most.
                "fetch.wait.max.ms": 50,
                "fetch.queue.backoff.ms": 10,
                "fetch.error.backoff.ms": 100,
                "queued.min.messages": 10_000,
                "queued.max.messages.kbytes": 64 * KIB,
                "fetch.message.max.bytes": 1 * MIB,
                "fetch.max.bytes": 32 * MIB,
            },
            _PRODUCER_ONLY,
        )

    def reader_config(self) -> dict[str, Any]:
        """For readers of one partition, outside the group."""
        config = self._with_overrides(
            {
                **self._common(),
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "isolation.level": "read_uncommitted",
                "fetch.min.bytes": 1,
                "fetch.wait.max.ms": 50,
                "fetch.queue.backoff.ms": 1,
                "fetch.error.backoff.ms": 100,
                "queued.min.messages": 100_000,
                # Per reader; sixteen partitions are restored at once.
                "queued.max.messages.kbytes": 16 * KIB,
                "fetch.message.max.bytes": 4 * MIB,
                "fetch.max.bytes": 32 * MIB,
            },
            _PRODUCER_ONLY,
        )
        # The library wants a group id even where none is joined, and nothing of it ever reaches the broker.
        config["group.id"] = f"{self.group_id}-reader"
        return config

    def producer_config(self) -> dict[str, Any]:
        """For a producer."""
        return self._with_overrides(
            {
                **self._common(),
                "enable.idempotence": True,
                "enable.gapless.guarantee": True,
                "acks": "all",
                "max.in.flight.requests.per.connection": 5,
                # Our own deadline decides: a message that librdkafka gave up would be a gap.
                "message.timeout.ms": 0,
                # Measured once on one broker: with 1 ms an append that is alone took 2.4 ms to its ack, with 0 it took
                # 1.2 ms. Under load batches form by themselves behind requests in flight.
                "linger.ms": 0,
                # The events are kept for ever and are JSON. Measured once in this process: lz4 7.0 µs of CPU a record,
                # none 7.7, so no dearer. What it saves on disk, and costs the broker, was not measured.
                "compression.type": "lz4",
                # Below the smallest max.message.bytes of the topics (1 MiB), so that no batch is refused for being one.
                "batch.size": 512 * KIB,
                "queue.buffering.max.messages": self.queue_records,
                "queue.buffering.max.kbytes": max(1, self.queue_bytes // KIB),
                "message.max.bytes": max(self.record_bytes_max.values()) + 64 * KIB,
                "request.timeout.ms": 30_000,
                "delivery.report.only.error": False,
            },
            _CONSUMER_ONLY,
        )

    def admin_config(self) -> dict[str, Any]:
        """For asking about topics."""
        return self._with_overrides(self._common(), _PRODUCER_ONLY | _CONSUMER_ONLY)

    def _common(self) -> dict[str, Any]:
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "client.id": f"chatstream-{self.node_id}",
            "allow.auto.create.topics": False,
            "socket.nagle.disable": True,
            "socket.keepalive.enable": True,
            # A broker that comes back is found within a second; the default goes up to 10 s.
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 1_000,
            "retry.backoff.ms": 50,
            "retry.backoff.max.ms": 1_000,
            "topic.metadata.refresh.fast.interval.ms": 50,
            "logger": library_logger,
        }

    def _with_overrides(self, config: dict[str, Any], not_for_it: frozenset[str]) -> dict[str, Any]:
        return config | {name: value for name, value in self.overrides.items() if name not in not_for_it}
