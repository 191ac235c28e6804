"""Processes that die or stand still, and the simulated group around them."""

import asyncio

import pytest

from chatstream.core.ids import NodeId, Offset, PartitionNo
from chatstream.log.port import Topic
from chatstream.log.simulated import Faults, SimulatedBroker, SimulatedCrash
from tests.simulation.noting import P0, SEEDS, A, B, Node, landed, over_seeds
from tests.simulation.virtual_loop import run_virtual


def test_a_crashed_process_takes_no_step_any_more() -> None:
    async def scenario(broker: SimulatedBroker, node: Node) -> None:
        await node.group.join(node)
        broker.produce(Topic.MESSAGES, P0, b"key", b"1")
        node.send(1)
        broker.crash(A)
        with pytest.raises(SimulatedCrash):
            node.send(1)
        await asyncio.sleep(30.0)
        assert (node.told, node.acks) == ([], [])

    over_seeds(Faults(), scenario)


def test_a_crash_at_any_step_ends_the_process_at_that_step() -> None:
    async def scenario(at: int, broker: SimulatedBroker) -> int:
        steps = 0

        def hook(_: NodeId, what: str) -> None:
            nonlocal steps
            steps += 1
            if steps == at:
                raise SimulatedCrash(what)

        node = Node(broker, A)
        broker.on_step = hook
        try:
            await node.group.join(node)
            broker.produce(Topic.MESSAGES, P0, b"key", b"1")
            await asyncio.sleep(5.0)
            node.send(1)
            await asyncio.sleep(5.0)
            await node.log.bounds(Topic.EVENTS, P0)
        except SimulatedCrash:
            pass
        await asyncio.sleep(30.0)
        assert node.log.process.alive == (steps < at)
        return steps

    whole = run_virtual(scenario(10_000, SimulatedBroker(1)), 100.0)
    assert whole >= 10
    for at in range(1, whole + 1):
        assert run_virtual(scenario(at, SimulatedBroker(1)), 100.0) == at


async def two_nodes(broker: SimulatedBroker) -> tuple[Node, Node]:
    """Two members that share two partitions."""
    one, other = Node(broker, A), Node(broker, B)
    await one.group.join(one)
    await other.group.join(other)
    await asyncio.sleep(20.0)
    assert sorted([*one.held, *other.held]) == [0, 1]
    assert len(one.held) == 1
    return one, other


@pytest.mark.parametrize("seed", SEEDS)
def test_partitions_of_a_crashed_node_move_after_the_session_timeout_and_not_before(seed: int) -> None:
    async def main() -> None:
        broker = SimulatedBroker(seed, partitions=2, session_timeout_s=10.0)
        _, other = await two_nodes(broker)
        broker.crash(A)
        await asyncio.sleep(9.9)
        assert len(other.held) == 1
        await asyncio.sleep(1.0)
        assert other.held == {0, 1}

    run_virtual(main(), 100.0)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_node_that_comes_back_in_time_gets_its_partitions_back_at_once(seed: int) -> None:
    async def main() -> None:
        broker = SimulatedBroker(seed, partitions=2)
        one, other = await two_nodes(broker)
        had = one.held
        broker.crash(A)
        await asyncio.sleep(5.0)
        again = Node(broker, A)
        await again.group.join(again)
        await asyncio.sleep(0.1)
        assert again.held == had
        await asyncio.sleep(30.0)
        assert (again.held, len(other.held)) == (had, 1)

    run_virtual(main(), 100.0)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_node_that_stood_still_too_long_wakes_as_a_zombie_and_hears_it_later(seed: int) -> None:
    async def main() -> None:
        broker = SimulatedBroker(seed, partitions=2)
        one, other = await two_nodes(broker)
        (mine,) = one.held
        one.send(3)
        broker.pause(A, 15.0)
        await asyncio.sleep(14.0)
        assert landed(broker) == [0, 1, 2]
        assert (one.acks, one.held, other.held) == ([], {mine}, {0, 1})
        await asyncio.sleep(1.0001)
        assert ([ack.tag for ack in one.acks], one.held) == ([0, 1, 2], {mine})
        assert not await one.group.proves_membership(PartitionNo(mine), Offset(0))
        await asyncio.sleep(10.0)
        assert [what for _, what, _ in one.told[-2:]] == ["revoked", "assigned"]
        assert sorted([*one.held, *other.held]) == [0, 1]

    run_virtual(main(), 100.0)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_short_pause_only_delays(seed: int) -> None:
    async def main() -> None:
        broker = SimulatedBroker(seed, partitions=2)
        one, other = await two_nodes(broker)
        had, told = one.held, len(one.told)
        broker.pause(A, 9.0)
        one.send(3)
        await asyncio.sleep(8.9)
        assert (one.acks, landed(broker)) == ([], [])
        await asyncio.sleep(30.0)
        assert ([ack.tag for ack in one.acks], landed(broker)) == ([0, 1, 2], [0, 1, 2])
        assert (one.held, len(other.held), len(one.told)) == (had, 1, told)

    run_virtual(main(), 100.0)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_shuffle_never_gives_a_partition_to_two_who_can_prove_it(seed: int) -> None:
    async def main() -> None:
        broker = SimulatedBroker(seed, partitions=4)
        nodes = [Node(broker, A), Node(broker, B)]
        for node in nodes:
            await node.group.join(node)
        for _ in range(10):
            broker.shuffle()
            await asyncio.sleep(broker.random.random())
            proofs = [await node.group.proves_membership(P0, Offset(0)) for node in nodes]
            assert sum(proofs) <= 1
        await asyncio.sleep(30.0)
        assert sorted([*nodes[0].held, *nodes[1].held]) == [0, 1, 2, 3]

    run_virtual(main(), 100.0)


def test_a_member_cannot_always_prove_it() -> None:
    async def scenario(_: SimulatedBroker, node: Node) -> None:
        await node.group.join(node)
        await asyncio.sleep(5.0)
        assert node.held == {0}
        assert not await node.group.proves_membership(P0, Offset(0))

    over_seeds(Faults(membership_doubt=1.0), scenario)
