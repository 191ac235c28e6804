"""Dead letters as an operator sees them, and one of them produced again."""

import pytest

from chatstream.core.errors import BadCommand
from chatstream.core.ids import InputPosition, MessageId, NodeId, Offset, SessionId
from chatstream.core.limits import Limits
from chatstream.engine.aside import dead_letter, place_of
from chatstream.engine.desk import Accepted
from chatstream.engine.letters import DeadLetters
from chatstream.log.port import Record, Topic
from chatstream.log.simulated import SimulatedBroker, SimulatedLog
from chatstream.table import rows
from tests.logs import P0
from tests.one_node import one_node, say, serving, until
from tests.virtual import virtual


@virtual
async def test_a_dead_letter_is_shown_and_produced_again_with_the_same_bytes() -> None:
    broker = SimulatedBroker()
    async with one_node(broker) as node:
        await serving(node)
        log = SimulatedLog(broker, NodeId("operator"))
        await log.open()
        producer = log.open_producer(lambda _: None)
        for value in (b'{"type": "nothing"}', b"\xff", None):
            producer.append(Topic.MESSAGES, P0, b"alice", value, (), None)
        await until(lambda: len(broker.records(Topic.DEAD_LETTERS, P0)) == 3)
        letters = DeadLetters(log, lambda: 1)
        null, binary, unknown = await letters.newest(10)
        assert [one.offset for one in await letters.newest(1)] == [null.offset]
        assert (unknown.key, unknown.text, unknown.place, unknown.whole) == ("alice", '{"type": "nothing"}', "0/0", True)
        assert unknown.reason
        assert (binary.text, binary.base64, binary.size_bytes) == ("", "/w==", 1)
        assert not null.whole
        await letters.redrive(unknown.offset)
        await until(lambda: len(broker.records(Topic.DEAD_LETTERS, P0)) == 4)
        again = (await letters.newest(1))[0]
        assert (again.text, again.place, again.reason) == (unknown.text, "0/3", unknown.reason)
        with pytest.raises(BadCommand, match="not all bytes"):
            await letters.redrive(null.offset)
        with pytest.raises(BadCommand, match="no such"):
            await letters.redrive(Offset(99))
        await log.close()


@virtual
async def test_a_dead_letter_that_is_produced_again_twice_is_answered_once() -> None:
    broker = SimulatedBroker()
    log = SimulatedLog(broker, NodeId("operator"))
    await log.open()
    letters = DeadLetters(log, lambda: 1)
    async with one_node(broker, limits=Limits(text_bytes=3), id="n1") as node:
        await serving(node)
        log.open_producer(lambda _: None).append(Topic.MESSAGES, P0, b"alice", b"hello", (), None)
        await until(lambda: len(broker.records(Topic.DEAD_LETTERS, P0)) == 1)
    (letter,) = await letters.newest(10)
    async with one_node(broker, id="n2") as node:
        await serving(node)
        for _ in range(3):
            await letters.redrive(letter.offset)
        await until(lambda: len(broker.records(Topic.REPLIES, P0)) == 1)
        answer = await say(node, "behind them")
        assert isinstance(answer, Accepted)
        assert answer.seq == 3
        head = rows.read_head(node.table(SessionId("alice")), SessionId("alice"))
        assert head.messages == 2
        assert rows.read_message_seq(node.table(SessionId("alice")), SessionId("alice"), MessageId("k-0-0")) == 1
    await log.close()


@virtual
async def test_a_dead_letter_of_a_later_generation_keeps_the_id_of_its_own() -> None:
    broker = SimulatedBroker()
    log = SimulatedLog(broker, NodeId("operator"))
    await log.open()
    buried = Record(Offset(7), b"alice", b"hello")
    key, value, headers = dead_letter(buried, P0, BadCommand("too-large", "too large"), 100, generation=2)
    log.open_producer(lambda _: None).append(Topic.DEAD_LETTERS, P0, key, value, headers, None)
    await until(lambda: len(broker.records(Topic.DEAD_LETTERS, P0)) == 1)
    assert await DeadLetters(log, lambda: 1).redrive(Offset(0)) == "k-0-2.7"
    (again,) = broker.records(Topic.MESSAGES, P0)
    assert again.headers == (("forwarded", b"0/2.7"),)
    assert place_of(P0, InputPosition(0, again.offset), b"0/2.7") == "k-0-2.7"
    await log.close()
