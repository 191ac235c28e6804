"""The simulated log's own promises: the same seed is the same world, and each fault does what it says and nothing else."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from chatstream.core.errors import LogReplaced, LogUnavailable, OutcomeUnknown
from chatstream.core.ids import NodeId, Offset, PartitionNo
from chatstream.log.port import Ack, Group, Lease, Record, Topic
from chatstream.log.simulated import Faults, SimulatedBroker, SimulatedCrash, SimulatedLog
from tests.simulation.virtual_loop import Deadlock, OutOfTime, run_virtual

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


def test_a_deadlock_is_an_error_and_not_a_hang() -> None:
    async def wait_for_nobody() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        run_virtual(wait_for_nobody(), 1.0)


def test_virtual_time_costs_nothing_and_ends_at_its_limit() -> None:
    async def slow() -> float:
        await asyncio.sleep(1_000_000.0)
        return asyncio.get_running_loop().time()

    assert run_virtual(slow(), 1_000_000.1) == pytest.approx(1_000_000.0)
    with pytest.raises(OutOfTime):
        run_virtual(slow(), 999_999.0)


def test_what_a_callback_raises_is_not_lost() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(lambda: [][0])
        await asyncio.sleep(1.0)

    with pytest.raises(IndexError):
        run_virtual(main(), 10.0)
    run_virtual(main(), 10.0, expected=(IndexError,))


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


# ── processes and the group ──


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
