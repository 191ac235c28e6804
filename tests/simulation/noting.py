"""A node on the simulated log that notes all it is told."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from chatstream.core.ids import NodeId, Offset, PartitionNo
from chatstream.log.port import Ack, Group, Lease, Record, Topic
from chatstream.log.simulated import Faults, SimulatedBroker, SimulatedCrash, SimulatedLog
from tests.simulation.virtual_loop import run_virtual

A, B = NodeId("a"), NodeId("b")
P0 = PartitionNo(0)
SEEDS = range(30)


class Node:
    """A node that notes everything it is told, and fetches what it gets."""

    def __init__(self, broker: SimulatedBroker, node_id: NodeId) -> None:
        self.log = SimulatedLog(broker, node_id)
        self.group: Group = self.log.group()
        self.acks: list[Ack] = []
        self.told: list[tuple[float, str, tuple[int, ...]]] = []
        self.records: list[Record] = []
        self.held: set[int] = set()
        self.producer = self.log.open_producer(self.acks.extend)

    def _tell(self, what: str, *numbers: int) -> None:
        self.told.append((asyncio.get_running_loop().time(), what, numbers))

    def on_assigned(self, partitions: Sequence[PartitionNo]) -> None:
        self._tell("assigned", *partitions)
        self.held |= set(partitions)
        for partition in partitions:
            self.group.fetch_from(partition, Offset(0), Lease(1))

    def on_revoked(self, partitions: Sequence[PartitionNo]) -> None:
        self._tell("revoked", *partitions)
        self.held -= set(partitions)

    def on_records(self, partition: PartitionNo, lease: Lease, records: Sequence[Record]) -> None:
        self._tell("records", partition, lease, *(record.offset for record in records))
        self.records += records

    def on_reached(self, partition: PartitionNo, lease: Lease, end: Offset) -> None:
        self._tell("reached", partition, lease, end)

    def send(self, count: int, first: int = 0, partition: PartitionNo = P0) -> None:
        for number in range(first, first + count):
            self.producer.append(Topic.EVENTS, partition, b"key", b"%d" % number, (), number)


def landed(broker: SimulatedBroker, topic: Topic = Topic.EVENTS, partition: PartitionNo = P0) -> list[int]:
    return [int(record.value or b"-1") for record in broker.records(topic, partition)]


def over_seeds(faults: Faults, scenario: Callable[[SimulatedBroker, Node], Coroutine[Any, Any, None]]) -> list[SimulatedBroker]:
    """One node and its world after a scenario, once per seed."""
    brokers = []

    async def main(seed: int) -> None:
        broker = SimulatedBroker(seed, partitions=1, faults=faults)
        brokers.append(broker)
        await scenario(broker, Node(broker, A))

    for seed in SEEDS:
        run_virtual(main(seed), 600.0, expected=(SimulatedCrash,))
    return brokers
