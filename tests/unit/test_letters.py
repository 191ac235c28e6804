"""Dead letters as an operator sees them, and one of them produced again."""

import pytest

from chatstream.core.errors import BadCommand
from chatstream.core.ids import NodeId, Offset
from chatstream.engine.letters import DeadLetters
from chatstream.log.port import Topic
from chatstream.log.simulated import SimulatedBroker, SimulatedLog
from tests.logs import P0
from tests.one_node import one_node, serving, until
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
        letters = DeadLetters(log)
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
