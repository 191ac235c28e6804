"""A node: what it takes, what it refuses, what it tells those who ask, and how it stops. In virtual time."""

import asyncio

import pytest

from chatstream.core.claims import POS_HEADER
from chatstream.core.errors import PartitionRefused
from chatstream.core.ids import InputPosition
from chatstream.engine.publishing import SOURCE_HEADER
from chatstream.log.port import Topic
from chatstream.log.simulated import Faults, SimulatedBroker
from chatstream.table.memory import MemoryTableStore
from tests.given import ALICE
from tests.logs import P0, write_claim
from tests.one_node import one_node, say, serving, states, until
from tests.virtual import virtual


@virtual
async def test_whoever_asks_for_a_refused_partition_is_told_why_and_nothing_is_stored() -> None:
    broker = SimulatedBroker()
    write_claim(broker, 1)
    broker.recreate(Topic.MESSAGES)
    async with one_node(broker) as node:
        await until(lambda: states(node) == ["refused"])
        sentence = r"partition 0 is not served: chat\.messages is not the topic .* it was deleted and made again"
        with pytest.raises(PartitionRefused, match=sentence):
            node.table(ALICE)
        with pytest.raises(PartitionRefused, match=sentence):
            await node.wait_for_table(ALICE, wait_s=60.0)
        with pytest.raises(PartitionRefused, match=sentence):
            await say(node, "hello")
        assert broker.records(Topic.MESSAGES, P0) == ()
        (status,) = node.status()
        assert "deleted and made again" in status.detail


@virtual
async def test_an_idle_partition_whose_last_offsets_were_holes_is_served_again_after_retention_removed_them() -> None:
    broker, tables = SimulatedBroker(), MemoryTableStore()
    async with one_node(broker, tables=tables) as node:
        await serving(node)
        await say(node, "hello")
        messages = broker.log(Topic.MESSAGES, P0)
        messages.skip(4)
        await until(lambda: position(broker) == messages.end - 1)
    messages.trim(messages.end)
    async with one_node(broker, tables=tables) as node:
        await serving(node)
        await say(node, "again")


@virtual
async def test_producers_whose_queues_are_full_are_kept_and_all_is_answered_once_in_the_end() -> None:
    broker, count = SimulatedBroker(faults=Faults(delay_s=(0.5, 1.0))), 40
    async with one_node(broker, queue_records=6) as node:
        await serving(node)
        for number in range(count):
            broker.produce(Topic.MESSAGES, P0, b"s%d" % number, b"hello")
        await until(lambda: len(sources(broker)) == count, 3_000)
        assert node._events.replaced == 0
        assert sources(broker) == sorted(set(sources(broker)))


def sources(broker: SimulatedBroker) -> list[int]:
    """Which events were published, in order."""
    return [int(dict(record.headers)[SOURCE_HEADER]) for record in broker.records(Topic.REPLIES, P0)]


def position(broker: SimulatedBroker) -> int:
    """The input position that the log carries."""
    found = [dict(record.headers).get(POS_HEADER) for record in broker.records(Topic.EVENTS, P0)]
    return max((InputPosition(*map(int, each.split(b":"))).offset for each in found if each is not None), default=-1)


@virtual
async def test_a_refused_partition_is_looked_at_again_stays_refused_meanwhile_and_is_served_once_put_right() -> None:
    broker = SimulatedBroker()
    write_claim(broker, 1, partitions=2)
    async with one_node(broker) as node:
        await until(lambda: states(node) == ["refused"])
        identified: list[str] = []
        broker.on_step = lambda _, step: identified.append(step) if step == "after identify" else None
        while len(identified) < 2:
            assert states(node) == ["refused"]
            await asyncio.sleep(0.001)
        write_claim(broker, 2)
        await serving(node)
        await say(node, "hello")
