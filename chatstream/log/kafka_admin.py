"""Asks Kafka about topics, and creates and changes them. Blocking calls say so; the others are for the event loop."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, TypeVar

import msgspec
from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewTopic,
    OffsetSpec,
    ResourceType,
    TopicMetadata,
)

from chatstream.core.errors import LogUnavailable
from chatstream.core.ids import Offset, PartitionNo
from chatstream.log.kafka_errors import error_of, translated
from chatstream.log.kafka_settings import KafkaSettings
from chatstream.log.port import Topic, TopicIdentity

REQUEST_S: Final = 10.0
"""For one answer of the cluster."""

CONNECT_S: Final = 5.0
"""For the first answer: the library tries for the whole of it, even where nothing listens."""
RETRY_S: Final = 0.05
LED_S: Final = 30.0
"""For new partitions to have leaders that every broker knows: under a second as a rule, many times that on busy brokers."""

_T = TypeVar("_T")
_LEADERLESS: Final = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError._TRANSPORT,
)
_BOTH: Final = (OffsetSpec.earliest(), OffsetSpec.latest())
_MISSING: Final = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)


class TopicFacts(msgspec.Struct, frozen=True):
    """A topic as it is. config: Kafka's own names; own: those that were set on the topic itself."""

    id: str
    partitions: int
    replication_factor: int
    config: dict[str, str]
    own: frozenset[str]


class KafkaAdmin:
    """An admin client, and another one when it is of no use.

    A client whose metadata names a dead broker as the controller waits for that one, request after request, for as long as it
    does not ask for metadata again, which may be minutes; a new one asks at once.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        settings.check()
        try:
            self._config = settings.admin_config()
            self._client = AdminClient(self._config)
        except KafkaException as error:
            raise translated(error, "the Kafka settings cannot be used") from error
        self._where = settings.bootstrap_servers

    def connect(self, wait_s: float = CONNECT_S) -> None:
        """Wait for a broker's answer; blocks. Raises LogUnavailable."""
        try:
            self._client.list_topics(timeout=wait_s)
        except KafkaException as error:
            raise LogUnavailable(f"no Kafka broker answers at {self._where}: {error_of(error).str()}") from error

    async def identify(self) -> dict[Topic, TopicIdentity]:
        """Those of our topics that exist. Raises LogUnavailable."""
        names = [topic.value for topic in Topic]
        with self._client_in_use() as client:
            asked = client.describe_topics(TopicCollection(names), request_timeout=REQUEST_S)
            found: dict[Topic, TopicIdentity] = {}
            for name, future in asked.items():
                described = await _answer(future, f"describing {name}")
                if described is not None:
                    found[Topic(name)] = TopicIdentity(str(described.topic_id), len(described.partitions))
        return found

    @contextlib.contextmanager
    def _client_in_use(self) -> Iterator[AdminClient]:
        """The client. When the log is unavailable through it, the next request takes a new one."""
        client = self._client
        try:
            yield client
        except LogUnavailable:
            if self._client is client:
                self._client = AdminClient(self._config)
                # Elsewhere: what it still waits for can take its end a while.
                threading.Thread(target=[client].clear, name="kafka-admin-end", daemon=True).start()
            raise

    async def bounds(self, topic: Topic, partition: PartitionNo) -> tuple[Offset, Offset]:
        """(first offset kept, high watermark). Raises LogUnavailable."""
        with self._client_in_use() as client:
            return await _bounds(client, TopicPartition(topic.value, partition))

    def facts(self, names: Sequence[str]) -> dict[str, TopicFacts]:
        """The topics among names that exist; blocks. Raises LogUnavailable, or BadSettings when it is not allowed."""
        asked = self._client.describe_topics(TopicCollection(list(names)), request_timeout=REQUEST_S)
        described = {name: _wait(future, f"describing {name}") for name, future in asked.items()}
        there = {name: each for name, each in described.items() if each is not None}
        if not there:
            return {}
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in there]
        configs = self._client.describe_configs(resources, request_timeout=REQUEST_S)
        entries = {
            resource.name: _wait(future, f"reading the config of {resource.name}") for resource, future in configs.items()
        }
        return {name: _facts(each, entries[name] or {}) for name, each in there.items()}

    def create(self, name: str, partitions: int, replication_factor: int, config: Mapping[str, str]) -> None:
        """Create a topic; one that exists meanwhile is left as it is; blocks. Raises as facts does."""
        topic = NewTopic(name, partitions, replication_factor, config=dict(config))
        future = self._client.create_topics([topic], request_timeout=REQUEST_S, operation_timeout=REQUEST_S)[name]
        _wait(future, f"creating {name}", unless=(KafkaError.TOPIC_ALREADY_EXISTS,))

    def wait_until_led(self, names: Sequence[str]) -> None:
        """Wait until every broker knows a leader for each of their partitions; blocks. Raises LogUnavailable.

        A new topic is not there at once, and not on all brokers at the same time: the next question may go to any of them.
        """
        deadline_s = time.monotonic() + LED_S
        while time.monotonic() < deadline_s:
            if all(_is_led(seen.get(name)) for seen in self._views() for name in names):
                return
            time.sleep(RETRY_S)
        raise LogUnavailable(f"after {LED_S:.0f} s not every partition of {', '.join(names)} has a leader")

    def _views(self) -> list[dict[str, TopicMetadata]]:
        """The topics as each broker that lives tells them: a client's first question goes where it was told to start."""
        try:
            brokers = self._client.list_topics(timeout=CONNECT_S).brokers.values()
        except KafkaException as error:
            raise translated(error, "listing brokers") from error
        views = []
        for broker in brokers:
            alone = AdminClient({**self._config, "bootstrap.servers": f"{broker.host}:{broker.port}"})
            with contextlib.suppress(KafkaException):  # it may just have died: the others count
                views.append(alone.list_topics(timeout=CONNECT_S).topics)
        return views

    def configure(self, name: str, config: Mapping[str, str]) -> None:
        """Set these of a topic's settings and leave the others; blocks. Raises as facts does."""
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in sorted(config.items())
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        for future in self._client.incremental_alter_configs([resource], request_timeout=REQUEST_S).values():
            _wait(future, f"changing the config of {name}")


async def _bounds(client: AdminClient, place: TopicPartition) -> tuple[Offset, Offset]:
    deadline_s = time.monotonic() + REQUEST_S
    while True:
        try:
            return await _ends(client, place)
        except KafkaException as error:
            # While a partition changes its leader; the library does not repeat this request by itself.
            if error_of(error).code() not in _LEADERLESS or time.monotonic() > deadline_s:
                raise translated(error, f"asking for the ends of {place.topic}/{place.partition}") from error
        await asyncio.sleep(RETRY_S)


async def _ends(client: AdminClient, place: TopicPartition) -> tuple[Offset, Offset]:
    # Two requests: one cannot ask for both ends of a partition. Uncommitted by default, so the end is no LSO.
    asked = [client.list_offsets({place: spec}, request_timeout=REQUEST_S)[place] for spec in _BOTH]
    first, end = await asyncio.gather(*(asyncio.wrap_future(each) for each in asked))
    return Offset(first.offset), Offset(end.offset)


def _is_led(topic: TopicMetadata | None) -> bool:
    if topic is None or topic.error is not None or not topic.partitions:
        return False
    return all(part.leader >= 0 for part in topic.partitions.values())


async def _answer(future: "Future[_T]", doing: str) -> _T | None:
    try:
        return await asyncio.wrap_future(future)
    except KafkaException as error:
        if error_of(error).code() in _MISSING:
            return None
        raise translated(error, doing) from error


def _wait(future: "Future[_T]", doing: str, unless: tuple[int, ...] = _MISSING) -> _T | None:
    try:
        return future.result(timeout=2 * REQUEST_S)
    except KafkaException as error:
        if error_of(error).code() in unless:
            return None
        raise translated(error, doing) from error


def _facts(described: Any, entries: Mapping[str, Any]) -> TopicFacts:
    return TopicFacts(
        id=str(described.topic_id),
        partitions=len(described.partitions),
        replication_factor=min((len(each.replicas) for each in described.partitions), default=0),
        config={name: entry.value or "" for name, entry in entries.items()},
        own=frozenset(name for name, entry in entries.items() if entry.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value),
    )
