"""The simulated log's own promises: the same seed is the same world, and each fault does what it says and nothing else."""

import asyncio

import pytest

from chatstream.core.errors import LogReplaced, LogUnavailable, OutcomeUnknown
from chatstream.core.ids import Offset, PartitionNo
from chatstream.log.port import Topic
from chatstream.log.simulated import Faults, SimulatedBroker
from tests.simulation.noting import P0, A, B, Node, landed, over_seeds
from tests.simulation.virtual_loop import run_virtual

# ── the world ──


def bad_day(seed: int) -> object:
    """Everything that can go wrong. Gives all that anybody saw of it."""
    faults = Faults(slow=0.1, ack_lost=0.05, late_landing=0.5, duplicate_produce=0.2, holes=0.2, small_batches=0.5)
    broker = SimulatedBroker(seed, partitions=2, faults=faults)
    steps: list[tuple[str, str]] = []
    nodes: list[Node] = []

    async def main() -> None:
        nodes.extend((Node(broker, A), Node(broker, B)))
        for node in nodes:
            await node.group.join(node)
        for number in range(30):
            broker.produce(Topic.MESSAGES, PartitionNo(number % 2), b"key", b"%d" % number)
            nodes[number % 2].send(3, number * 3, PartitionNo(number % 2))
            await asyncio.sleep(0.1)
        broker.pause(A, 12.0)
        broker.shuffle()
        await asyncio.sleep(20.0)
        broker.crash(B)
        await asyncio.sleep(20.0)

    broker.on_step = lambda node, what: steps.append((node, what))
    run_virtual(main(), 600.0)
    records = [broker.records(topic, PartitionNo(p)) for topic in (Topic.MESSAGES, Topic.EVENTS) for p in (0, 1)]
    told = [(node.told, [(ack.tag, ack.offset) for ack in node.acks]) for node in nodes]
    return steps, records, told, broker.identity()


def test_the_same_seed_is_the_same_day_and_another_seed_another() -> None:
    assert bad_day(1) == bad_day(1)
    assert bad_day(1) != bad_day(2)


# ── appends ──


def test_a_lost_append_does_not_land_and_nothing_lands_behind_it() -> None:
    async def scenario(broker: SimulatedBroker, node: Node) -> None:
        node.send(10)
        await asyncio.sleep(30.0)
        node.send(5, 10)
        await asyncio.sleep(30.0)
        good = [ack.tag for ack in node.acks if ack.error is None]
        assert [ack.tag for ack in node.acks] == list(range(15))
        assert landed(broker) == good == list(range(len(good)))
        assert {type(ack.error) for ack in node.acks[len(good) :]} <= {OutcomeUnknown}

    brokers = over_seeds(Faults(append_lost=0.5, small_batches=1.0), scenario)
    assert len({len(landed(broker)) for broker in brokers}) > 3


def test_a_lost_ack_leaves_the_record_in_the_log_and_fails_the_producer() -> None:
    async def scenario(broker: SimulatedBroker, node: Node) -> None:
        node.send(10)
        await asyncio.sleep(30.0)
        good = [ack for ack in node.acks if ack.error is None]
        assert [ack.tag for ack in node.acks] == list(range(10))
        assert len(landed(broker)) > len(good)
        assert landed(broker) == list(range(len(landed(broker))))

    over_seeds(Faults(ack_lost=1.0), scenario)


@pytest.mark.parametrize("end", ["abandon", "crash", "failure"])
def test_what_was_in_flight_lands_late_in_order_and_without_a_gap(end: str) -> None:
    async def scenario(broker: SimulatedBroker, node: Node) -> None:
        node.send(10)
        if end == "abandon":
            node.producer.abandon()
        elif end == "crash":
            broker.crash(A)
        await asyncio.sleep(0.4)
        assert landed(broker) == []
        other = Node(broker, B)
        broker.faults = Faults()
        other.send(1, 100)
        await asyncio.sleep(30.0)
        late = [number for number in landed(broker) if number < 100]
        assert late == list(range(len(late)))
        assert landed(broker)[0] == 100
        assert all(ack.error is not None for ack in node.acks)

    lost = 1.0 if end == "failure" else 0.0
    brokers = over_seeds(Faults(late_landing=1.0, late_s=(0.5, 12.0), append_lost=lost), scenario)
    assert {len(landed(broker)) for broker in brokers} >= {1, 11}


def test_a_slow_append_holds_up_what_is_behind_it() -> None:
    async def scenario(broker: SimulatedBroker, node: Node) -> None:
        node.send(5)
        await asyncio.sleep(0.9)
        assert (landed(broker), node.acks) == ([], [])
        await asyncio.sleep(10.0)
        assert [ack.tag for ack in node.acks] == landed(broker) == list(range(5))

    over_seeds(Faults(slow=1.0, small_batches=0.0), scenario)


# ── inbound ──


def test_a_clients_record_may_land_twice() -> None:
    async def scenario(broker: SimulatedBroker, _: Node) -> None:
        broker.produce(Topic.MESSAGES, P0, b"key", b"1")

    assert [landed(broker, Topic.MESSAGES) for broker in over_seeds(Faults(duplicate_produce=1.0), scenario)] == [[1, 1]] * 30
    assert [landed(broker, Topic.MESSAGES) for broker in over_seeds(Faults(), scenario)] == [[1]] * 30


def test_inbound_offsets_have_holes_and_own_topics_have_none() -> None:
    async def scenario(broker: SimulatedBroker, node: Node) -> None:
        for number in range(10):
            broker.produce(Topic.MESSAGES, P0, b"key", b"%d" % number)
        node.send(10)
        await node.group.join(node)
        await asyncio.sleep(10.0)
        assert [record.value for record in node.records] == [b"%d" % number for number in range(10)]
        assert [ack.offset for ack in node.acks] == list(range(10))
        assert (await node.log.bounds(Topic.MESSAGES, P0))[1] >= 20

    over_seeds(Faults(holes=1.0), scenario)


def test_reads_fail_now_and_then() -> None:
    async def scenario(_: SimulatedBroker, node: Node) -> None:
        reader = node.log.open_reader(Topic.EVENTS, P0, Offset(0))
        for ask in (reader.read(1, 0.0), node.log.bounds(Topic.EVENTS, P0), node.log.identify()):
            with pytest.raises(LogUnavailable):
                await ask

    over_seeds(Faults(read_fails=1.0), scenario)


def test_a_trimmed_truncated_or_recreated_log_is_noticed() -> None:
    async def scenario(broker: SimulatedBroker, node: Node) -> None:
        node.send(10)
        await asyncio.sleep(1.0)
        before = await node.log.identify()
        broker.log(Topic.EVENTS, P0).trim(3)
        broker.log(Topic.EVENTS, P0).truncate(8)
        assert await node.log.bounds(Topic.EVENTS, P0) == (3, 8)
        assert landed(broker) == [3, 4, 5, 6, 7]
        for outside in (2, 9):
            with pytest.raises(LogReplaced):
                await node.log.open_reader(Topic.EVENTS, P0, Offset(outside)).read(1, 0.0)
        broker.recreate(Topic.EVENTS)
        assert (await node.log.identify())[Topic.EVENTS] != before[Topic.EVENTS]
        assert await node.log.bounds(Topic.EVENTS, P0) == (0, 0)

    over_seeds(Faults(), scenario)
