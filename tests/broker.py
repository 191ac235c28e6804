"""Real Apache Kafka for tests: one broker, or a cluster whose brokers can be killed. Brokers die with the test process."""

import asyncio
import atexit
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from chatstream.log.port import Topic
from chatstream.log.sizes import RECORD_BYTES_MAX
from dev.kafka import jars
from dev.kafka.server import Server, free_addresses

READY_S = 60.0
SEVERAL = {"broker.session.timeout.ms": "4000", "broker.heartbeat.interval.ms": "500"}
"""A killed broker is noticed after 4 s in place of 9, so that failover tests do not mostly wait."""
COMPACTED = (Topic.EVENTS, Topic.OWNERS)


def require_kafka() -> None:
    """Skip the test where Kafka cannot run, with the reason; fail in continuous integration."""
    reason = jars.problem()
    if reason is None:
        try:
            jars.fetch()
        except jars.Missing as error:
            reason = str(error)
    if reason is None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"Apache Kafka cannot run here: {reason}")
    pytest.skip(f"Apache Kafka cannot run here: {reason}")


class Cluster:
    """Brokers numbered from 0. With three, everything is replicated three times and two must be in sync.

    directory: an empty one for their data, removed in the end; by default a new one. quick_start: as in jars.java_command.
    """

    def __init__(
        self,
        count: int = 1,
        settings: Mapping[str, str] | None = None,
        directory: Path | None = None,
        quick_start: bool = True,
    ) -> None:
        self.directory = directory or Path(tempfile.mkdtemp(prefix="chatstream-kafka-"))
        addresses = free_addresses(count)
        self.servers = [
            Server(
                address,
                self.directory / str(address.number),
                addresses,
                {**(SEVERAL if count > 1 else {}), **(settings or {})},
                quick_start,
            )
            for address in addresses
        ]
        atexit.register(self.close)

    @property
    def bootstrap(self) -> str:
        """All brokers, as bootstrap.servers."""
        return ",".join(server.address.bootstrap for server in self.servers)

    def start(self) -> "Cluster":
        """Format, start and wait until every broker is ready."""
        formatting = [threading.Thread(target=server.format) for server in self.servers]
        for thread in formatting:
            thread.start()
        for thread in formatting:
            thread.join()
        for server in self.servers:
            server.start()
        self.wait_ready()
        return self

    def kill9(self, number: int) -> None:
        """kill -9 one broker."""
        self.servers[number].kill()

    def stop(self, number: int) -> None:
        """SIGSTOP one broker: its connections stay open and nothing answers."""
        self.servers[number].signal(signal.SIGSTOP)

    def cont(self, number: int) -> None:
        """SIGCONT it."""
        self.servers[number].signal(signal.SIGCONT)

    def restart(self, number: int) -> None:
        """Start a broker that was killed, on the same port and data. Does not wait."""
        self.kill9(number)
        self.servers[number].start()

    def wait_ready(self, wait_s: float = READY_S) -> None:
        """Wait until every broker that runs takes connections and the cluster knows it."""
        running = [server for server in self.servers if server.process is not None and server.process.poll() is None]
        for server in running:
            server.wait_listening(wait_s)
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        for _ in range(round(wait_s / 0.2)):
            try:
                known = admin.list_topics(timeout=5).brokers
            except KafkaException:
                known = {}
            if {server.address.number for server in running} <= set(known):
                return
            threading.Event().wait(0.2)
        raise RuntimeError(f"the cluster knows only the brokers {sorted(known)}")

    def close(self) -> None:
        """Kill all and remove their data. Repeatable."""
        for server in self.servers:
            server.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
        atexit.unregister(self.close)

    def __enter__(self) -> "Cluster":
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def make_topics(bootstrap: str, partitions: int = 4, config: Mapping[Topic, Mapping[str, str]] | None = None) -> None:
    """Create our five topics, with the declared size limits. config: more settings per topic."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    topics = []
    for topic in Topic:
        settings = {
            "max.message.bytes": str(RECORD_BYTES_MAX[topic]),
            "cleanup.policy": "compact" if topic in COMPACTED else "delete",
            **((config or {}).get(topic) or {}),
        }
        topics.append(NewTopic(topic.value, partitions, -1, config=settings))
    for future in admin.create_topics(topics).values():
        future.result(READY_S)
    wait_for_topics(admin, len(topics), partitions)


def wait_for_topics(admin: AdminClient, count: int, partitions: int) -> None:
    """Wait until every partition of our topics has a leader: creating returns before that."""
    for _ in range(300):
        known = [topic for name, topic in admin.list_topics(timeout=10).topics.items() if name.startswith("chat.")]
        led = [topic for topic in known if len(topic.partitions) == partitions]
        if len(led) == count and all(each.leader >= 0 for topic in led for each in topic.partitions.values()):
            return
        threading.Event().wait(0.05)
    raise RuntimeError("the topics have no leaders")


def drop_topics(bootstrap: str) -> None:
    """Delete every topic that is ours, and wait until they are gone."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    for _ in range(300):
        there = [name for name in admin.list_topics(timeout=10).topics if name.startswith("chat.")]
        if not there:
            return
        for future in admin.delete_topics(there).values():
            try:
                future.result(READY_S)
            except KafkaException:
                break  # gone already, though the metadata still names it
        threading.Event().wait(0.05)
    raise RuntimeError("the topics are still there")


def fresh_topics(bootstrap: str, partitions: int = 4, config: Mapping[Topic, Mapping[str, str]] | None = None) -> None:
    """Our five topics, empty, whatever was there before."""
    drop_topics(bootstrap)
    make_topics(bootstrap, partitions, config)


async def fresh_topics_async(
    bootstrap: str, partitions: int = 4, config: Mapping[Topic, Mapping[str, str]] | None = None
) -> None:
    """The same without blocking the loop."""
    await asyncio.to_thread(fresh_topics, bootstrap, partitions, config)
