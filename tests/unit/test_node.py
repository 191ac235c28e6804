"""A node: what it takes, what it refuses, what it tells those who ask, and how it stops. In virtual time."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from chatstream.core.claims import POS_HEADER
from chatstream.core.commands import Cancel, Message
from chatstream.core.errors import LogReplaced, PartitionRefused
from chatstream.core.ids import InputPosition, MessageId, NodeId, PartitionNo, SessionId
from chatstream.core.limits import Limits
from chatstream.engine.publishing import SOURCE_HEADER
from chatstream.log.port import Record, Topic
from chatstream.log.simulated import Faults, SimulatedBroker, SimulatedLog
from chatstream.serve import TOPICS_WAIT_S, until_topics_known
from chatstream.table import rows
from chatstream.table.memory import MemoryTableStore
from tests.given import ALICE
from tests.logs import P0, write_claim
from tests.one_node import Echo, one_node, say, serving, states, until
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


@virtual
async def test_a_turn_that_waits_for_a_free_call_can_be_interrupted_and_cancelled() -> None:
    broker, model = SimulatedBroker(), Echo()
    model.held["busy"] = asyncio.Event()
    async with one_node(broker, responder=model, limits=Limits(calls=1)) as node:
        await serving(node)
        await say(node, "first", session="busy")
        await until(lambda: len(model.calls) == 1)
        for session in ("one", "two"):
            await say(node, "waits", session=session)
        named = MessageId("id-instead")
        await node.submit(SessionId("one"), Message(command_id=named, message_id=named, text="instead", on_busy="interrupt"))
        await node.submit(SessionId("two"), Cancel(command_id=MessageId("stop")))
        await asyncio.sleep(5)
        assert model.calls == [("busy", 1, 1)]
        model.held["busy"].set()
        await until(lambda: len(sources(broker)) == 4)
        assert model.calls == [("busy", 1, 1), ("one", 2, 1)]
        kinds = [(json.loads(each.value or b"")["session"], json.loads(each.value or b"")["type"]) for each in replies(broker)]
        assert sorted(kinds) == [
            ("busy", "reply.completed"),
            ("one", "reply.cancelled"),
            ("one", "reply.completed"),
            ("two", "reply.cancelled"),
        ]


def replies(broker: SimulatedBroker) -> Sequence[Record]:
    """What is on chat.replies."""
    return broker.records(Topic.REPLIES, P0)


@virtual
async def test_partitions_that_lose_the_producer_in_the_same_moment_are_claimed_again_and_it_is_replaced_once() -> None:
    broker = SimulatedBroker(partitions=4)
    async with one_node(broker) as node:
        await serving(node, 4)
        epochs = [status.epoch for status in node.status()]
        broker.faults = Faults(append_lost=1.0)
        for number in range(40):
            broker.produce(Topic.MESSAGES, node.partition_of(SessionId(f"s{number}")), b"s%d" % number, b"hello")
        await until(lambda: node._events.replaced == 1)
        broker.faults = Faults()
        await serving(node, 4)
        await until(lambda: all(status.lag == 0 for status in node.status()))
        assert node._events.replaced == 1
        assert all(status.epoch > before for status, before in zip(node.status(), epochs, strict=True))
        answered = {b"s%d" % number for number in range(40)}
        await until(lambda: {each.key for n in range(4) for each in broker.records(Topic.REPLIES, PartitionNo(n))} == answered)


@virtual
async def test_a_call_that_is_left_when_the_writer_ends_is_no_death_of_the_process() -> None:
    broker, model, tables = SimulatedBroker(), Echo(), MemoryTableStore()
    model.held[ALICE] = asyncio.Event()
    async with one_node(broker, responder=model, tables=tables) as node:
        await serving(node)
        await say(node, "hello")
        await until(lambda: node.table(ALICE).get(rows.running_key(ALICE)) is not None)
    async with one_node(broker, responder=model, tables=tables) as node:
        await serving(node)
        assert rows.read_head(node.table(ALICE), ALICE).last_seq == 1  # no turn.resumed
        await until(lambda: len(model.calls) == 2)


@virtual
async def test_topics_that_a_broker_hears_of_late_are_waited_for() -> None:
    broker = SimulatedBroker()
    late = broker._ids.pop(Topic.OWNERS), broker._logs.pop(Topic.OWNERS)
    opened = SimulatedLog(broker, NodeId("n0"))
    await opened.open()
    waiting = asyncio.create_task(until_topics_known(opened))
    await asyncio.sleep(5.0)
    assert not waiting.done()
    broker._ids[Topic.OWNERS], broker._logs[Topic.OWNERS] = late
    await asyncio.wait_for(waiting, 1.0)
    del broker._ids[Topic.OWNERS], broker._logs[Topic.OWNERS]
    await asyncio.wait_for(until_topics_known(opened), TOPICS_WAIT_S + 1)  # whoever needs it says that it is missing
    await opened.close()


@virtual
async def test_missing_topics_and_a_stop_before_the_start_leave_nothing_behind() -> None:
    broker = SimulatedBroker()
    del broker._ids[Topic.REPLIES], broker._logs[Topic.REPLIES]
    with pytest.raises(LogReplaced, match=r"topics are missing: chat\.replies"):
        async with one_node(broker):
            raise AssertionError("it has started")


@virtual
async def test_idle_sessions_are_erased_once_also_when_their_owner_dies_in_between() -> None:
    broker, tables = SimulatedBroker(), MemoryTableStore()
    async with one_node(broker, tables=tables) as node:
        await serving(node)
        for session in ("s1", "s2", "s3"):
            await say(node, "hello", session=session, id=f"of-{session}")
        await until(lambda: len(replies(broker)) == 3)
    await asyncio.sleep(100.0)
    limits = Limits(erase_idle_days=60 / 86_400)
    async with one_node(broker, tables=tables.after_crash(), limits=limits) as node:
        await serving(node)
        await say(node, "still here", session="s2", id="again")
        await until(lambda: len(asked_to_erase(broker)) >= 2)
    # What was asked may be undecided: the next owner asks again, without harm.
    async with one_node(broker, tables=MemoryTableStore(), limits=limits) as node:
        await serving(node)
        await until(lambda: all(rows.read_head(node.tables()[P0], SessionId(s)).erased for s in ("s1", "s3")))
        assert rows.read_head(node.tables()[P0], SessionId("s2")).replies == 2
        await asyncio.sleep(30.0)
    assert broker.records(Topic.DEAD_LETTERS, P0) == ()
    erased = [json.loads(record.value or b"")["session"] for record in broker.records(Topic.EVENTS, P0) if is_erasure(record)]
    assert sorted(erased) == ["s1", "s3"]


def asked_to_erase(broker: SimulatedBroker) -> list[Record]:
    return [record for record in broker.records(Topic.MESSAGES, P0) if b'"erase"' in (record.value or b"")]


def is_erasure(record: Record) -> bool:
    return b'"session.erased"' in (record.value or b"")
