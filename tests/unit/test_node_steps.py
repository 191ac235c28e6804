"""Steps, approvals and messages for later on whole nodes that die and are replaced. In virtual time."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatstream.core import codec
from chatstream.core.commands import Approve, Cancel, Message
from chatstream.core.events import AnyEvent, ReplyCancelled, ReplyCompleted, ReplyFailed
from chatstream.core.ids import MessageId, SessionId
from chatstream.core.limits import Limits
from chatstream.engine.desk import Accepted, Refused
from chatstream.engine.node import Node
from chatstream.log.port import Topic
from chatstream.log.simulated import SimulatedBroker
from chatstream.respond.port import Reply, Turn
from chatstream.table import rows
from tests.given import ALICE
from tests.logs import P0
from tests.one_node import one_node, say, serving, until
from tests.virtual import virtual

LONG_S = 1_800.0
"""Thirty times as long as a turn may run: as good as days, and quicker to jump over."""
LONG = Limits(turn_s=60.0, chunk_wait_s=20.0)


class Agent:
    """Takes the steps `one` and `two`, asks for `pay`, then answers. calls: what was really done, over all nodes.

    stuck: hangs in the step of that name. price: what `one` comes to, each time something else.
    """

    def __init__(self, stuck: str = "", asks: bool = True) -> None:
        self.stuck = stuck
        self.asks = asks
        self.calls: list[str] = []
        self.attempts = 0
        self.held = asyncio.Event()

    async def respond(self, turn: Turn) -> AsyncIterator[str | Reply]:
        self.attempts += 1
        one = await turn.step("one", lambda step: self._do("one", step.key))
        two = await turn.step("two", lambda step: self._do("two", step.key))
        yield f"{one} {two}"
        if self.asks:
            approval = await turn.approval("pay", {"price": one})
            yield f" {approval.decision} {approval.comment}"

    async def _do(self, name: str, key: str) -> int:
        self.calls.append(key)
        if name == self.stuck:
            self.held.set()
            await asyncio.Event().wait()
        return len(self.calls)

    async def close(self) -> None: ...


def told(broker: SimulatedBroker) -> list[AnyEvent]:
    """The events of the log, those of one session and one owner after the other."""
    records = broker.records(Topic.EVENTS, P0)
    return [codec.read_event(record.value) for record in records if record.key and record.value and record.key[:1] != b"#"]


def kinds(broker: SimulatedBroker) -> list[str]:
    return [codec.type_name(event) for event in told(broker)]


def ended(broker: SimulatedBroker) -> bool:
    return any(isinstance(event, ReplyCompleted | ReplyFailed | ReplyCancelled) for event in told(broker))


def head(node: Node) -> Any:
    return rows.read_head(node.table(ALICE), ALICE)


async def approve(node: Node, name: str = "pay", id: str = "a1") -> Any:
    return await node.submit(ALICE, Approve(command_id=MessageId(id), name=name, decision="approved", comment="go on"))


@virtual
async def test_an_agent_that_dies_between_two_steps_goes_on_behind_the_first_on_another_node() -> None:
    broker = SimulatedBroker()
    first = Agent(stuck="two", asks=False)
    second = Agent(asks=False)
    async with one_node(broker, responder=first, id="n1") as node:
        await serving(node)
        await say(node, "hello")
        await first.held.wait()
    async with one_node(broker, responder=second, id="n2") as node:
        await until(lambda: ended(broker))
    assert first.calls == ["alice/1/1/one#1", "alice/1/1/two#1"]
    assert second.calls == ["alice/1/1/two#1"]
    assert kinds(broker) == ["message.accepted", "step.completed", "step.completed", "reply.completed"]
    end = told(broker)[-1]
    assert isinstance(end, ReplyCompleted)
    assert end.text == "1 1"


@virtual
async def test_a_turn_waits_for_long_and_holds_nothing_meanwhile() -> None:
    broker = SimulatedBroker()
    agent = Agent()
    async with one_node(broker, responder=agent, limits=LONG) as node:
        await serving(node)
        await say(node, "hello")
        await until(lambda: head(node).running.parked == "pay#1")
        assert (len(node._turns), node._turns.waiting, head(node).queue) == (0, 0, ())
        await asyncio.sleep(LONG_S)
        assert isinstance(await approve(node), Accepted)
        await until(lambda: ended(broker))
    assert agent.calls == ["alice/1/1/one#1", "alice/1/1/two#1"]
    assert agent.attempts == 2
    end = told(broker)[-1]
    assert isinstance(end, ReplyCompleted)
    assert (end.text, end.attempts) == ("1 2 approved go on", 1)


@virtual
async def test_a_decision_on_another_node_that_never_ran_the_turn_lets_it_go_on_there() -> None:
    broker = SimulatedBroker()
    first, second = Agent(), Agent()
    async with one_node(broker, responder=first, id="n1") as node:
        await serving(node)
        await say(node, "hello")
        await until(lambda: bool(head(node).running.parked))
    async with one_node(broker, responder=second, id="n2") as node:
        await serving(node)
        await asyncio.sleep(60.0)
        assert second.attempts == 0
        await approve(node)
        await until(lambda: ended(broker))
    assert second.calls == []
    assert "turn.resumed" not in kinds(broker)


@virtual
async def test_a_parked_turn_survives_any_number_of_restarts_and_is_no_crash_loop() -> None:
    broker = SimulatedBroker()
    agent = Agent()
    limits = Limits(resumes=1)
    async with one_node(broker, responder=agent, limits=limits) as node:
        await serving(node)
        await say(node, "hello")
        await until(lambda: bool(head(node).running.parked))
    for _ in range(5):
        async with one_node(broker, responder=agent, limits=limits) as node:
            await serving(node)
    async with one_node(broker, responder=agent, limits=limits) as node:
        await serving(node)
        await approve(node)
        await until(lambda: ended(broker))
    assert isinstance(told(broker)[-1], ReplyCompleted)


@virtual
async def test_a_parked_turn_can_be_cancelled_and_is_not_asked_again() -> None:
    broker = SimulatedBroker()
    agent = Agent()
    async with one_node(broker, responder=agent) as node:
        await serving(node)
        await say(node, "hello")
        await until(lambda: bool(head(node).running.parked))
        await node.submit(ALICE, Cancel(command_id=MessageId("c")))
        assert await approve(node) == Refused("no-such-approval")
        assert head(node).running is None
    assert agent.attempts == 1


@virtual
async def test_a_turn_that_takes_too_many_steps_fails_and_is_not_tried_again() -> None:
    broker = SimulatedBroker()
    agent = Agent()
    async with one_node(broker, responder=agent, limits=Limits(steps=2)) as node:
        await serving(node)
        await say(node, "hello")
        await until(lambda: ended(broker))
    end = told(broker)[-1]
    assert isinstance(end, ReplyFailed)
    assert (end.code, end.attempts, agent.attempts) == ("too-many-steps", 1, 1)


@virtual
async def test_a_step_that_is_silent_for_too_long_ends_its_attempt_and_the_next_has_what_came_before() -> None:
    broker = SimulatedBroker()
    agent = Agent(stuck="two", asks=False)
    async with one_node(broker, responder=agent, limits=Limits(chunk_wait_s=5.0, attempts=2)) as node:
        await serving(node)
        await say(node, "hello")
        await until(lambda: ended(broker))
    assert agent.calls == ["alice/1/1/one#1", "alice/1/1/two#1", "alice/1/1/two#1"]
    end = told(broker)[-1]
    assert isinstance(end, ReplyFailed)
    assert end.code == "timeout"


# -- messages for later -------------------------------------------------------------------------------------------


async def later(node: Node, delay_s: float, id: str = "m") -> Any:
    return await node.submit(ALICE, Message(command_id=MessageId(id), message_id=MessageId(id), text=id, delay_s=delay_s))


@pytest.mark.parametrize("delay_s", [0.3, 45.0, LONG_S])
def test_a_message_is_sent_when_it_is_due(delay_s: float) -> None:
    @virtual
    async def scene() -> None:
        broker = SimulatedBroker()
        async with one_node(broker) as node:
            await serving(node)
            start_ms = broker.now_ms()
            answer = await later(node, delay_s)
            assert answer.due
            await until(lambda: ended(broker), wait_s=delay_s + 5.0)
            assert 0 <= broker.now_ms() - start_ms - delay_s * 1000 < 500
        assert kinds(broker) == ["message.scheduled", "message.accepted", "reply.completed"]

    scene()


@virtual
async def test_what_became_overdue_while_no_node_ran_is_sent_by_the_next_one() -> None:
    broker = SimulatedBroker()
    async with one_node(broker, id="n1") as node:
        await serving(node)
        for number in range(3):
            await later(node, 60.0 + number, f"m{number}")
    await asyncio.sleep(LONG_S)
    assert not ended(broker)
    async with one_node(broker, id="n2") as node:
        await until(lambda: kinds(broker).count("reply.completed") == 3)
    assert [event.message_id for event in told(broker) if isinstance(event, ReplyCompleted)] == ["m0", "m1", "m2"]


@virtual
async def test_a_message_that_was_taken_back_is_never_sent() -> None:
    broker = SimulatedBroker()
    async with one_node(broker) as node:
        await serving(node)
        await later(node, 60.0)
        await node.submit(SessionId("alice"), Cancel(command_id=MessageId("c"), message_id=MessageId("m")))
        await asyncio.sleep(120.0)
    assert kinds(broker) == ["message.scheduled", "reply.cancelled"]
