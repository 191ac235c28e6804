"""Going on with commands that were made again or lost: what is adopted, what is refused, and what is decided afterwards."""

import asyncio
from collections.abc import Callable
from itertools import count

import pytest

from chatstream.core.errors import LogReplaced, UnknownFormat
from chatstream.core.ids import NodeId, PartitionNo
from chatstream.core.limits import Limits
from chatstream.engine.adopting import CannotAdopt, adopt
from chatstream.engine.desk import Accepted, Repeated
from chatstream.engine.node import Node
from chatstream.log.port import Topic
from chatstream.log.simulated import SimulatedBroker, SimulatedLog
from chatstream.table import rows
from chatstream.table.memory import MemoryTableStore
from tests.given import ALICE, accepted, place
from tests.logs import P0, write_claim, write_events
from tests.one_node import one_node, say, serving, states, until
from tests.virtual import virtual


async def run(broker: SimulatedBroker, name: str = "new") -> list[str]:
    """`chatstream adopt`; what it said."""
    log = SimulatedLog(broker, NodeId("operator"))
    await log.open()
    said: list[str] = []
    numbers = count(1)
    try:
        await adopt(log, lambda: f"{name}{next(numbers)}", said.append)
    finally:
        await log.close()
    return said


async def refused(broker: SimulatedBroker, match: str, kind: type[Exception] = CannotAdopt) -> None:
    """It says so, and claims nothing."""
    with pytest.raises(kind, match=match):
        await run(broker, "refused")
    keys = [record.key or b"" for n in range(broker.partitions) for record in broker.records(Topic.EVENTS, PartitionNo(n))]
    assert [key for key in keys if b"-refused" in key] == []


@virtual
async def test_where_nothing_has_changed_there_is_nothing_to_adopt() -> None:
    broker = SimulatedBroker()
    await refused(broker, "there is nothing to adopt")
    async with one_node(broker) as node:
        await serving(node)
        await say(node, "hello")
        await refused(broker, "there is nothing to adopt")
        assert states(node) == ["active"]


@virtual
async def test_a_conversation_goes_on_over_commands_that_were_made_again() -> None:
    broker, tables = SimulatedBroker(), MemoryTableStore()
    async with one_node(broker, tables=tables) as node:
        await serving(node)
        for number in range(5):
            await say(node, f"old {number}")
        await until(lambda: all_answered(node, 5))
    broker.recreate(Topic.MESSAGES)
    broker.produce(Topic.MESSAGES, P0, ALICE.encode(), b"before anybody adopted it")
    async with one_node(broker, tables=tables) as node:
        await until(lambda: states(node) == ["refused"])
        said = await run(broker)
        assert "deleted and made again" in said[0]
        assert said[1] == "partition 0 goes on from offset 0 of chat.messages, as input generation 1"
        await serving(node)
        await until(lambda: all_answered(node, 6))
        assert await say(node, "old 3") == Repeated(accepted(7).seq)  # the seventh event: its id is known for ever
        again = await say(node, "new")
        assert isinstance(again, Accepted)
        await until(lambda: all_answered(node, 7))
        await refused(broker, "there is nothing to adopt")
    async with one_node(broker, id="n2") as other:
        await serving(other)
        assert all_answered(other, 7)


@pytest.mark.parametrize("refused_s", [5.0, 100.0])
@virtual
async def test_a_node_looks_at_a_refused_partition_again_after_refused_s(refused_s: float) -> None:
    broker, tables, time_s = SimulatedBroker(), MemoryTableStore(), asyncio.get_running_loop().time
    async with one_node(broker, tables=tables) as node:
        await serving(node)
    broker.recreate(Topic.MESSAGES)
    async with one_node(broker, tables=tables, limits=Limits(refused_s=refused_s)) as node:
        await until(lambda: states(node) == ["refused"])
        began_s = time_s()
        await run(broker)
        await until(lambda: states(node) != ["refused"])
        assert refused_s - 1 < time_s() - began_s < refused_s + 4
        await serving(node)


def all_answered(node: Node, replies: int) -> bool:
    head = rows.read_head(node.table(ALICE), ALICE)
    return head.replies == replies and head.running is None


@virtual
async def test_ids_of_messages_that_brought_none_do_not_meet_those_of_the_old_topic() -> None:
    broker, tables = SimulatedBroker(), MemoryTableStore()
    async with one_node(broker, tables=tables) as node:
        await serving(node)
        broker.produce(Topic.MESSAGES, P0, ALICE.encode(), b"at offset 0")
        await until(lambda: all_answered(node, 1))
    broker.recreate(Topic.MESSAGES)
    broker.produce(Topic.MESSAGES, P0, ALICE.encode(), b"at offset 0 again")
    await run(broker)
    async with one_node(broker, tables=tables) as node:
        await serving(node)
        await until(lambda: all_answered(node, 2))


@virtual
async def test_what_is_left_after_retention_took_commands_is_decided_and_nothing_else() -> None:
    broker = SimulatedBroker()
    write_claim(broker, 1)
    for number in range(9):
        broker.produce(Topic.MESSAGES, P0, ALICE.encode(), b"number %d" % number)
    write_events(broker, "1-past", [accepted(1)], position=place(0))
    broker.log(Topic.MESSAGES, P0).trim(6)
    said = await run(broker)
    assert "lost to retention" in said[0]
    assert said[1] == "partition 0 goes on from offset 6 of chat.messages, as input generation 1"
    async with one_node(broker) as node:
        await serving(node)
        await until(lambda: all_answered(node, 4))
        await refused(broker, "there is nothing to adopt")


@virtual
async def test_an_adoption_that_died_before_its_mark_is_made_again() -> None:
    broker = SimulatedBroker()
    write_claim(broker, 1)
    for _ in range(3):
        broker.produce(Topic.MESSAGES, P0, ALICE.encode(), b"hello")
    broker.log(Topic.MESSAGES, P0).trim(2)
    write_claim(broker, 2, "half", generation=1)
    said = await run(broker)
    assert said[1] == "partition 0 goes on from offset 2 of chat.messages, as input generation 2"
    async with one_node(broker) as node:
        await serving(node)
        await until(lambda: all_answered(node, 1))


@virtual
async def test_only_the_partitions_that_stand_still_are_adopted() -> None:
    broker = SimulatedBroker(partitions=3)
    async with one_node(broker) as node:
        await serving(node, 3)
    for _ in range(3):
        broker.produce(Topic.MESSAGES, PartitionNo(1), b"lost", b"hello")
    broker.log(Topic.MESSAGES, PartitionNo(1)).trim(3)
    ends = [broker.log(Topic.EVENTS, PartitionNo(n)).end for n in range(3)]
    assert len(await run(broker)) == 2
    assert [broker.log(Topic.EVENTS, PartitionNo(n)).end - ends[n] for n in range(3)] == [0, 2, 0]
    async with one_node(broker) as node:
        await serving(node, 3)


def events_made_again(broker: SimulatedBroker) -> None:
    write_claim(broker, 1, topics={Topic.EVENTS.value: "another"})
    broker.recreate(Topic.MESSAGES)


def partitions_raised(broker: SimulatedBroker) -> None:
    write_claim(broker, 1, partitions=7)
    broker.recreate(Topic.MESSAGES)


def commands_cut(broker: SimulatedBroker) -> None:
    write_claim(broker, 1)
    broker.produce(Topic.MESSAGES, P0, ALICE.encode(), b"hello")
    write_events(broker, "1-past", [accepted(1)], position=place(0))
    broker.log(Topic.MESSAGES, P0).truncate(0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (events_made_again, r"cannot mend this: chat\.events is not the topic"),
        (partitions_raised, "cannot mend this: .* Put the old count back"),
        (commands_cut, "cannot mend this: .* it was cut"),
    ],
)
def test_what_adopting_cannot_mend_is_refused_and_nothing_is_changed(
    change: Callable[[SimulatedBroker], None], sentence: str
) -> None:
    @virtual
    async def scene() -> None:
        broker = SimulatedBroker()
        change(broker)
        await refused(broker, sentence)

    scene()


@virtual
async def test_one_partition_that_cannot_be_mended_keeps_the_others_as_they_are() -> None:
    broker = SimulatedBroker(partitions=2)
    async with one_node(broker) as node:
        await serving(node, 2)
    for number in (0, 1):
        broker.produce(Topic.MESSAGES, PartitionNo(number), b"x", b"hello")
    async with one_node(broker) as node:
        await serving(node, 2)
        await until(lambda: all(status.lag == 0 for status in node.status()))
    broker.log(Topic.MESSAGES, P0).truncate(0)
    for _ in range(2):
        broker.produce(Topic.MESSAGES, PartitionNo(1), b"lost", b"hello")
    broker.log(Topic.MESSAGES, PartitionNo(1)).trim(3)
    await refused(broker, "chat.messages/0 ends at offset 0")


@virtual
async def test_a_partition_of_a_newer_version_is_left_to_it() -> None:
    broker = SimulatedBroker()
    write_claim(broker, 1, format=999)
    await refused(broker, "upgrade", UnknownFormat)


@virtual
async def test_a_claim_that_lands_in_the_same_moment_is_said_so() -> None:
    broker = SimulatedBroker()
    write_claim(broker, 1)
    broker.recreate(Topic.MESSAGES)
    steps: list[str] = []

    def rival(_: NodeId, step: str) -> None:
        if step == "before append" and not steps:
            steps.append(step)
            write_claim(broker, 2, "rival")

    broker.on_step = rival
    with pytest.raises(CannotAdopt, match="was claimed by n9 in the same moment: run it again"):
        await run(broker)


@virtual
async def test_missing_topics_are_said_so() -> None:
    broker = SimulatedBroker()
    del broker._ids[Topic.OWNERS], broker._logs[Topic.OWNERS]
    await refused(broker, r"topics are missing: chat\.owners", LogReplaced)
