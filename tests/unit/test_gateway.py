"""Commands that come in over HTTP: when the request behind each is answered, and with what. In virtual time."""

import asyncio
from typing import Any

import pytest

from chatstream.core.errors import LogUnavailable, OutcomeUnknown, QueueFull
from chatstream.core.ids import NodeId, PartitionNo
from chatstream.engine import gateway
from chatstream.engine.desk import Accepted, Answer, Unnumbered
from chatstream.engine.gateway import Gateway
from chatstream.engine.guard import Guard
from chatstream.engine.producers import SideProducer
from chatstream.engine.surroundings import WAITER_HEADER
from chatstream.log.port import Topic
from chatstream.log.simulated import Faults, SimulatedBroker, SimulatedLog
from tests.given import ALICE, accepted, message
from tests.logs import P0
from tests.virtual import virtual

WAIT_S = 30.0
P1 = PartitionNo(1)
YES = Accepted(accepted(1).seq)


class Scene:
    """A gateway on a simulated log."""

    def __init__(self, **faults: Any) -> None:
        self.broker = SimulatedBroker(partitions=2, faults=Faults(**faults))
        log = SimulatedLog(self.broker, NodeId("n1"))
        self.side = SideProducer(log, lambda: self.gateway.producer_replaced(), Guard(_no_bug))
        self.gateway = Gateway(self.side, "me", WAIT_S)

    def submit(self, partition: PartitionNo = P0) -> "asyncio.Task[Answer]":
        return asyncio.create_task(self.gateway.submit(partition, ALICE, message()))

    async def stored(self, count: int = 1) -> list[bytes]:
        """Wait until so many are on the topic and acknowledged; the tokens they carry."""
        await asyncio.sleep(1)
        records = [record for n in (P0, P1) for record in self.broker.records(Topic.MESSAGES, n)]
        assert len(records) == count
        return [dict(record.headers)[WAITER_HEADER] for record in records]


def _no_bug(error: BaseException) -> None:
    raise error


async def told(work: "asyncio.Task[Answer]") -> Answer:
    """What the request is answered with, at once."""
    async with asyncio.timeout(0.01):
        return await work


@virtual
async def test_a_request_is_answered_by_its_own_token_and_once() -> None:
    scene = Scene()
    first, second = scene.submit(), scene.submit()
    tokens = await scene.stored(2)
    assert len(set(tokens)) == 2
    scene.gateway.answer(b"another/1", YES)
    assert not first.done()
    scene.gateway.answer(tokens[0], YES)
    scene.gateway.answer(tokens[0], Unnumbered())
    assert await told(first) == YES
    assert not second.done()
    second.cancel()


@virtual
async def test_an_answer_may_come_before_the_ack() -> None:
    scene = Scene(slow=1.0, slow_s=(5.0, 5.0))
    request = scene.submit()
    await asyncio.sleep(0)
    scene.gateway.answer(b"me/1", YES)
    assert await told(request) == YES


@virtual
async def test_whoever_waits_at_a_partition_that_is_lost_is_told_that_it_is_stored_and_not_before_it_is() -> None:
    scene = Scene(slow=1.0, slow_s=(5.0, 5.0))
    here, elsewhere = scene.submit(P0), scene.submit(P1)
    await asyncio.sleep(1)
    scene.gateway.lose(P0)
    await asyncio.sleep(0)
    assert not here.done()
    await asyncio.sleep(6)
    assert await told(here) == Unnumbered()
    assert not elsewhere.done()
    scene.gateway.lose(P1)
    assert await told(elsewhere) == Unnumbered()


@virtual
async def test_an_append_that_fails_is_an_unknown_outcome() -> None:
    scene = Scene(append_lost=1.0)
    with pytest.raises(OutcomeUnknown):
        await told_later(scene.submit())


@virtual
async def test_what_was_not_stored_when_the_producer_was_replaced_never_will_be() -> None:
    scene = Scene(slow=1.0, slow_s=(5.0, 5.0))
    request = scene.submit()
    await asyncio.sleep(1)
    scene.gateway.producer_replaced()
    with pytest.raises(OutcomeUnknown, match="did not answer"):
        await told(request)


@virtual
async def test_a_stored_request_outlives_a_producer() -> None:
    scene = Scene()
    request = scene.submit()
    (token,) = await scene.stored()
    scene.gateway.producer_replaced()
    scene.gateway.answer(token, YES)
    assert await told(request) == YES


@virtual
async def test_nobody_waits_longer_than_the_limit() -> None:
    scene = Scene()
    stored = scene.submit()
    await scene.stored()
    scene.broker.faults = Faults(slow=1.0, slow_s=(900.0, 900.0))
    unstored = scene.submit()
    await asyncio.sleep(WAIT_S - 1.5)
    scene.gateway.tick()
    await asyncio.sleep(0)
    assert not stored.done()
    await asyncio.sleep(2)
    scene.gateway.tick()
    assert await told(stored) == Unnumbered()
    with pytest.raises(OutcomeUnknown, match="within 30 s"):
        await told(unstored)


@virtual
async def test_so_many_may_wait_and_no_more() -> None:
    scene = Scene()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gateway, "WAITING_MOST", 2)  # 50,000 requests would only take longer
        requests = [scene.submit(), scene.submit()]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull, match="2 requests wait"):
            await told(scene.submit())
        requests[0].cancel()
        await asyncio.sleep(0)
        requests.append(scene.submit())
        await asyncio.sleep(0)
        assert not requests[-1].done()
    for request in requests:
        request.cancel()


@virtual
async def test_nothing_is_kept_of_a_request_that_could_not_be_sent() -> None:
    scene = Scene()
    scene.side.fail(None)
    with pytest.raises(LogUnavailable):
        await told(scene.submit())
    assert scene.gateway._waiters == {}


async def told_later(work: "asyncio.Task[Answer]") -> Answer:
    async with asyncio.timeout(10):
        return await work
