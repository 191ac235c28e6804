"""The world that simulated nodes share: topics, the consumer group, and what an operator or bad luck does to them."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Final

from chatstream.core.claims import Headers
from chatstream.core.ids import NodeId, Offset, PartitionNo
from chatstream.log.port import Record, Topic, TopicIdentity
from chatstream.log.simulated_group import Coordinator
from chatstream.log.simulated_world import Faults, Hook, PartitionLog, Process
from chatstream.log.sizes import checked_bytes

_BEGIN_MS: Final = 1_767_225_600_000
"""The simulation begins at 2026-01-01T00:00:00Z."""

_ONE_PARTITION: Final = (Topic.DEAD_LETTERS, Topic.OWNERS)


class SimulatedBroker:
    """The shared world. All chance comes from `seed`; time is what the running event loop says.

    faults may be exchanged at any time (the end of a scenario is usually run without). on_step: called with a node's id
    and `before …` or `after …` at each of its steps (append, acks, read, bounds, identify, records, membership, commit,
    join, leave, assigned, revoked); raising SimulatedCrash there kills that process at that very place.
    """

    def __init__(
        self, seed: int = 0, partitions: int = 1, faults: Faults | None = None, session_timeout_s: float = 10.0
    ) -> None:
        self.random: Final = Random(seed)
        self.partitions: Final = partitions
        self.faults = faults or Faults()
        self.on_step: Hook | None = None
        self.committed: dict[PartitionNo, Offset] = {}
        self._ids: dict[Topic, str] = {}
        self._logs: dict[Topic, list[PartitionLog]] = {}
        self._processes: dict[NodeId, Process] = {}
        self.coordinator: Final = Coordinator(self.random, partitions, session_timeout_s)
        for topic in Topic:
            self.recreate(topic)

    # ── records ──

    def produce(
        self, topic: Topic, partition: PartitionNo, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> Offset:
        """A client's record lands at once, now and then twice. Returns its first offset. Raises RecordTooLarge."""
        checked_bytes(topic, key, value, headers)
        offset = self.land(topic, partition, key, value, headers)
        if self.chance(self.faults.duplicate_produce):
            self.land(topic, partition, key, value, headers)
        self.log(topic, partition).wake()
        return offset

    def land(self, topic: Topic, partition: PartitionNo, key: bytes | None, value: bytes | None, headers: Headers) -> Offset:
        """Append without waking readers."""
        log = self.log(topic, partition)
        offset = log.append(key, value, headers, self.now_ms())
        if topic is Topic.MESSAGES and self.chance(self.faults.holes):
            log.end = Offset(log.end + self.random.randint(1, 3))
        return offset

    def records(self, topic: Topic, partition: PartitionNo) -> Sequence[Record]:
        """All that is there now, for the test that judges."""
        return tuple(self.log(topic, partition).records)

    def log(self, topic: Topic, partition: PartitionNo) -> PartitionLog:
        """One partition."""
        return self._logs[topic][partition]

    def identity(self) -> dict[Topic, TopicIdentity]:
        """All topics."""
        return {topic: TopicIdentity(self._ids[topic], len(logs)) for topic, logs in self._logs.items()}

    # ── processes ──

    def start(self, node_id: NodeId) -> Process:
        """A new life of a node; one that still lives dies."""
        self.crash(node_id)
        process = Process(node_id, lambda: self.on_step)
        process.on_death.append(lambda: self.coordinator.lost_contact(process))
        self._processes[node_id] = process
        return process

    def crash(self, node_id: NodeId) -> None:
        """`kill -9`: its handles are dead at once; what it had in flight lands or does not."""
        if node_id in self._processes:
            self._processes[node_id].die()

    def pause(self, node_id: NodeId, wait_s: float) -> None:
        """SIGSTOP for wait_s: what it sent lands, nothing reaches it; then it goes on as if nothing had been."""
        process = self._processes[node_id]
        process.pause()
        self.coordinator.lost_contact(process)
        asyncio.get_running_loop().call_later(wait_s, self._go_on, process)

    def _go_on(self, process: Process) -> None:
        if process.alive:
            process.go_on()
            self.coordinator.in_contact(process)

    # ── what an operator or bad luck does ──

    def recreate(self, topic: Topic) -> None:
        """The topic is made again under the same name: another id, no records."""
        self._ids[topic] = f"simulated-{self.random.getrandbits(64):016x}"
        count = 1 if topic in _ONE_PARTITION else self.partitions
        self._logs[topic] = [PartitionLog() for _ in range(count)]

    def shuffle(self) -> None:
        """A rebalance out of nowhere: partitions go to other members."""
        self.coordinator.shuffle()

    # ── chance and time ──

    def chance(self, probability: float) -> bool:
        """Does it happen this time?"""
        return probability > 0 and self.random.random() < probability

    def delay_s(self) -> float:
        """How long one way takes."""
        return self.random.uniform(*self.faults.delay_s)

    def some(self, count: int) -> int:
        """How many of `count` (at least 1) go together this time."""
        return self.random.randint(1, count) if count > 1 and self.chance(self.faults.small_batches) else count

    def now_ms(self) -> int:
        """Milliseconds since 1970 in virtual time."""
        return _BEGIN_MS + int(asyncio.get_running_loop().time() * 1000)
