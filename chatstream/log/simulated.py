"""The simulated log: in memory, in the time of the running event loop, with seeded faults.

simulated           SimulatedLog: one life of one node, its readers and producers
simulated_member    its membership in the group
simulated_broker    SimulatedBroker: what all nodes share
simulated_group     the group's coordinator
simulated_world     faults, processes, partitions
"""

import asyncio
from collections import deque
from typing import Any, Final

import msgspec

from chatstream.core.claims import Headers
from chatstream.core.errors import LogReplaced, LogUnavailable, OutcomeUnknown, QueueFull
from chatstream.core.ids import NodeId, Offset, PartitionNo
from chatstream.log.port import Ack, AckListener, Record, Topic, TopicIdentity
from chatstream.log.simulated_broker import SimulatedBroker
from chatstream.log.simulated_member import SimulatedGroup
from chatstream.log.simulated_world import Faults, Process, SimulatedCrash, wake
from chatstream.log.sizes import checked_bytes

__all__ = ["Faults", "SimulatedBroker", "SimulatedCrash", "SimulatedGroup", "SimulatedLog"]

QUEUE_RECORDS: Final = 100_000
"""Unacknowledged appends of one producer, librdkafka's queue.buffering.max.messages."""


class _Sent(msgspec.Struct, frozen=True):
    """An append on its way."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    tag: Any


class _Lane:
    """What one producer does in one partition. flying: the front of `sent` is on its way."""

    __slots__ = ("acks", "flying", "partition", "sent", "topic")

    def __init__(self, topic: Topic, partition: PartitionNo) -> None:
        self.topic = topic
        self.partition = partition
        self.sent: deque[_Sent] = deque()
        self.acks: deque[list[Ack]] = deque()
        self.flying = False


class SimulatedProducer:
    """See Producer. Appends land in the order in which they were made, whatever becomes of their acks."""

    def __init__(self, broker: SimulatedBroker, process: Process, on_acks: AckListener, queue_records: int) -> None:
        self._broker = broker
        self._process = process
        self._on_acks = on_acks
        self._queue_records = queue_records
        self._lanes: dict[tuple[Topic, PartitionNo], _Lane] = {}
        self._waiting = 0
        self._failed = False
        self._abandoned = False
        self._idle: asyncio.Future[None] | None = None
        process.on_death.append(self._end)

    def append(
        self,
        topic: Topic,
        partition: PartitionNo,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        tag: Any,
    ) -> None:
        """See Producer."""
        self._process.step("before append")
        checked_bytes(topic, key, value, headers)
        if self._abandoned:
            return
        if self._waiting >= self._queue_records:
            raise QueueFull(f"{self._waiting} appends wait for their acks already")
        lane = self._lanes.get((topic, partition))
        if lane is None:
            lane = self._lanes[topic, partition] = _Lane(topic, partition)
        lane.sent.append(_Sent(key, value, headers, tag))
        self._waiting += 1
        if self._failed:
            self._give_up(lane)
        elif not lane.flying:
            lane.flying = True
            self._process.when_running(self._launch, lane)
        self._process.step("after append")

    def abandon(self) -> None:
        """See Producer."""
        if self._process.alive:
            self._end()

    async def close(self, wait_s: float) -> None:
        """See Producer."""
        if self._waiting and not self._abandoned and self._process.alive:
            self._idle = asyncio.get_running_loop().create_future()
            self._process.later(wait_s, wake, self._idle)
            await self._idle
        self.abandon()

    def _launch(self, lane: _Lane) -> None:
        faults = self._broker.faults
        delay_s = self._broker.random.uniform(*faults.slow_s) if self._broker.chance(faults.slow) else self._broker.delay_s()
        # The network, not the process: what was sent lands though the process stands still.
        asyncio.get_running_loop().call_later(delay_s, self._land, lane)

    def _land(self, lane: _Lane) -> None:
        lane.flying = False
        if self._failed or self._abandoned:
            return
        broker = self._broker
        if broker.chance(broker.faults.append_lost):
            self._fail()
            return
        batch = [lane.sent.popleft() for _ in range(broker.some(len(lane.sent)))]
        acks = [Ack(sent.tag, self._write(lane, sent)) for sent in batch]
        broker.log(lane.topic, lane.partition).wake()
        if broker.chance(broker.faults.ack_lost):
            self._answer(lane, [_unknown(ack.tag) for ack in acks])
            self._fail()
            return
        self._answer(lane, acks)
        if lane.sent:
            lane.flying = True
            self._launch(lane)

    def _write(self, lane: _Lane, sent: _Sent) -> Offset:
        return self._broker.land(lane.topic, lane.partition, sent.key, sent.value, sent.headers)

    def _answer(self, lane: _Lane, acks: list[Ack]) -> None:
        # The delays differ, the order must not: each wake-up gives the oldest batch.
        lane.acks.append(acks)
        self._process.later(self._broker.delay_s(), self._give, lane)

    def _give(self, lane: _Lane) -> None:
        if self._abandoned:
            return
        acks = lane.acks.popleft()
        self._waiting -= len(acks)
        self._process.step("before acks")
        self._on_acks(acks)
        self._process.step("after acks")
        if not self._waiting and self._idle is not None:
            wake(self._idle)

    def _fail(self) -> None:
        """Gapless: from now on nothing is sent any more, in no partition."""
        self._failed = True
        for lane in self._lanes.values():
            self._late(lane, always=False)
            self._give_up(lane)

    def _give_up(self, lane: _Lane) -> None:
        if lane.sent:
            acks = [_unknown(sent.tag) for sent in lane.sent]
            lane.sent.clear()
            self._answer(lane, acks)

    def _end(self) -> None:
        """Abandoned or dead: no more acks, and of what is on its way a part still lands."""
        if self._abandoned:
            return
        self._abandoned = True
        if self._idle is not None:
            wake(self._idle)
        for lane in self._lanes.values():
            self._late(lane, always=True)
            lane.sent.clear()
            lane.acks.clear()

    def _late(self, lane: _Lane, *, always: bool) -> None:
        if not lane.sent:
            return
        random, faults = self._broker.random, self._broker.faults
        late = self._broker.chance(faults.late_landing)
        if late or always:
            count = random.randint(0, len(lane.sent))
            delay_s = random.uniform(*faults.late_s) if late else self._broker.delay_s()
            landing = deque(list(lane.sent)[:count])
            asyncio.get_running_loop().call_later(delay_s, self._land_late, lane, landing)

    def _land_late(self, lane: _Lane, landing: deque[_Sent]) -> None:
        if not landing:
            return
        for _ in range(self._broker.some(len(landing))):
            self._write(lane, landing.popleft())
        self._broker.log(lane.topic, lane.partition).wake()
        asyncio.get_running_loop().call_later(self._broker.delay_s(), self._land_late, lane, landing)


def _unknown(tag: Any) -> Ack:
    return Ack(tag, None, OutcomeUnknown("nobody knows whether the append landed"))


class SimulatedReader:
    """See Reader."""

    def __init__(self, broker: SimulatedBroker, process: Process, topic: Topic, partition: PartitionNo, offset: Offset) -> None:
        self._broker = broker
        self._process = process
        self._topic = topic
        self._partition = partition
        self._position = offset

    @property
    def position(self) -> Offset:
        """See Reader."""
        return self._position

    async def read(self, most: int, wait_s: float) -> list[Record]:
        """See Reader."""
        self._process.step("before read")
        await self._process.wait(self._broker.delay_s())
        if self._broker.chance(self._broker.faults.read_fails):
            raise LogUnavailable("no answer from the log")
        records = self._take(most)
        if not records and wait_s > 0:
            await self._more(wait_s)
            records = self._take(most)
        self._process.step("after read")
        return records

    async def close(self) -> None:
        """See Reader."""

    def _take(self, most: int) -> list[Record]:
        log = self._broker.log(self._topic, self._partition)
        if not log.start <= self._position <= log.end:
            raise LogReplaced(f"offset {self._position} of {self._topic}/{self._partition} is outside the log")
        records = log.read(self._position, most)
        self._position = log.after(records, most)
        return records

    async def _more(self, wait_s: float) -> None:
        more = asyncio.get_running_loop().create_future()
        self._process.later(wait_s, wake, more)
        log = self._broker.log(self._topic, self._partition)
        log.watchers.append(lambda: self._process.later(self._broker.delay_s(), wake, more))
        await more


class SimulatedLog:
    """See Log: one life of the node `node_id`. Making another one for the same node ends this one as a crash would."""

    def __init__(self, broker: SimulatedBroker, node_id: NodeId, queue_records: int = QUEUE_RECORDS) -> None:
        self._broker = broker
        self._queue_records = queue_records
        self._producers: list[SimulatedProducer] = []
        self._groups: list[SimulatedGroup] = []
        self.process: Final = broker.start(node_id)

    async def open(self) -> None:
        """See Log."""
        await self._roundtrip("open")

    async def close(self) -> None:
        """See Log."""
        for group in self._groups:
            await group.leave()
        for producer in self._producers:
            producer.abandon()

    async def identify(self) -> dict[Topic, TopicIdentity]:
        """See Log."""
        await self._roundtrip("identify")
        return self._broker.identity()

    async def bounds(self, topic: Topic, partition: PartitionNo) -> tuple[Offset, Offset]:
        """See Log."""
        await self._roundtrip("bounds")
        log = self._broker.log(topic, partition)
        return log.start, log.end

    def open_reader(self, topic: Topic, partition: PartitionNo, offset: Offset) -> SimulatedReader:
        """See Log."""
        return SimulatedReader(self._broker, self.process, topic, partition, offset)

    def open_producer(self, on_acks: AckListener) -> SimulatedProducer:
        """See Log."""
        producer = SimulatedProducer(self._broker, self.process, on_acks, self._queue_records)
        self._producers.append(producer)
        return producer

    def group(self) -> SimulatedGroup:
        """See Log."""
        group = SimulatedGroup(self._broker, self.process)
        self._groups.append(group)
        return group

    async def _roundtrip(self, what: str) -> None:
        self.process.step(f"before {what}")
        await self.process.wait(self._broker.delay_s())
        if self._broker.chance(self._broker.faults.read_fails):
            raise LogUnavailable("no answer from the log")
        self.process.step(f"after {what}")
