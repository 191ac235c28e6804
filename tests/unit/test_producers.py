"""The node's two producers: thrown away and opened anew, and nothing of the old one counts. In virtual time."""

import asyncio
import gc
import weakref
from collections.abc import Callable

import pytest

from chatstream.core.errors import LogUnavailable, OutcomeUnknown
from chatstream.core.ids import NodeId, Offset
from chatstream.engine.guard import Guard
from chatstream.engine.producers import REPLACE_WAIT_S, EventProducer, SideProducer
from chatstream.log.port import Ack, Topic
from chatstream.log.simulated import Faults, SimulatedBroker, SimulatedLog
from tests.logs import P0
from tests.virtual import virtual


def _no_bug(error: BaseException) -> None:
    raise error


def side(broker: SimulatedBroker, replaced: Callable[[], None] = lambda: None) -> SideProducer:
    return SideProducer(SimulatedLog(broker, NodeId("n1")), replaced, Guard(_no_bug))


def events(broker: SimulatedBroker) -> EventProducer:
    return EventProducer(SimulatedLog(broker, NodeId("n1")), Guard(_no_bug))


@virtual
async def test_a_claim_is_told_where_it_landed() -> None:
    broker = SimulatedBroker()
    broker.produce(Topic.EVENTS, P0, b"x", b"y")
    assert await events(broker).append_claim(P0, b"k", b"v", 5.0) == 1


@pytest.mark.parametrize("faults", [Faults(), Faults(ack_lost=1.0)])
def test_nothing_is_left_of_a_claim_that_was_acknowledged(faults: Faults) -> None:
    claims: list[weakref.ref[asyncio.Future[Offset]]] = []

    @virtual
    async def run() -> None:
        producer = events(SimulatedBroker(faults=faults))
        claim = asyncio.create_task(producer.append_claim(P0, b"k", b"v", 5.0))
        await asyncio.sleep(0)
        claims.extend(map(weakref.ref, producer._claims))
        await asyncio.wait([claim])
        assert claim.exception() is None or isinstance(claim.exception(), OutcomeUnknown)

    run()
    gc.collect()
    assert [claim() for claim in claims] == [None]


@pytest.mark.parametrize(
    ("faults", "wait_s", "sentence"),
    [
        (Faults(ack_lost=1.0), 5.0, "outcome of a claim is unknown"),
        (Faults(append_lost=1.0), 5.0, "outcome of a claim is unknown"),
        (Faults(slow=1.0, slow_s=(60.0, 60.0)), 5.0, "not acknowledged within 5 s"),
    ],
)
def test_a_claim_without_an_ack_is_an_unknown_outcome(faults: Faults, wait_s: float, sentence: str) -> None:
    @virtual
    async def run() -> None:
        producer = events(SimulatedBroker(faults=faults))
        with pytest.raises(OutcomeUnknown, match=sentence):
            await producer.append_claim(P0, b"k", b"v", wait_s)
        assert producer._claims == set()

    run()


@virtual
async def test_claims_under_way_fail_when_their_producer_is_replaced_and_the_next_one_works() -> None:
    broker = SimulatedBroker(faults=Faults(slow=1.0, slow_s=(60.0, 60.0)))
    producer = events(broker)
    claims = [asyncio.create_task(producer.append_claim(P0, b"k", b"v", 30.0)) for _ in range(2)]
    await asyncio.sleep(1)
    producer.replace()
    for claim in claims:
        with pytest.raises(OutcomeUnknown, match="the producer was replaced"):
            await claim
    broker.faults = Faults()
    assert await producer.append_claim(P0, b"k", b"v", 30.0) >= 0
    assert producer.replaced == 1


@virtual
async def test_a_side_producer_that_failed_takes_nothing_until_it_is_replaced_a_moment_later_and_once() -> None:
    broker, replaced = SimulatedBroker(faults=Faults(append_lost=1.0)), [0]

    def count() -> None:
        replaced[0] += 1

    producer, acks = side(broker, count), list[Ack]()
    for _ in range(3):
        producer.append(Topic.REPLIES, P0, b"k", b"v", (), acks.append)
    await asyncio.sleep(REPLACE_WAIT_S / 2)
    assert [ack.offset for ack in acks] == [None] * 3
    with pytest.raises(LogUnavailable):
        producer.append(Topic.REPLIES, P0, b"k", b"v", (), acks.append)
    broker.faults = Faults()
    await asyncio.sleep(REPLACE_WAIT_S)
    assert replaced == [1]
    producer.append(Topic.REPLIES, P0, b"k", b"v", (), acks.append)
    await asyncio.sleep(1)
    assert acks[-1].offset is not None


@virtual
async def test_a_side_producer_that_is_closed_is_not_replaced_and_takes_nothing() -> None:
    broker, replaced = SimulatedBroker(), [0]
    producer = side(broker, lambda: replaced.append(1))
    producer.fail(None)
    await producer.close(1.0)
    producer.fail(None)
    await asyncio.sleep(10)
    assert replaced == [0]
    with pytest.raises(LogUnavailable):
        producer.append(Topic.REPLIES, P0, b"k", b"v", (), lambda _: None)


@virtual
async def test_closing_lets_what_is_on_its_way_be_acknowledged() -> None:
    broker, acks = SimulatedBroker(faults=Faults(slow=1.0, slow_s=(2.0, 2.0))), list[Ack]()
    producer = side(broker)
    producer.append(Topic.REPLIES, P0, b"k", b"v", (), acks.append)
    await producer.close(5.0)
    assert [ack.offset for ack in acks] == [0]
