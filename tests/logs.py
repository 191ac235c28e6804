"""A simulated log for engine tests: claims, events and commands put where a test wants them."""

from collections.abc import Iterable
from typing import Any

from chatstream.core import claims
from chatstream.core.claims import Claim
from chatstream.core.codec import FORMAT
from chatstream.core.events import AnyEvent
from chatstream.core.ids import Epoch, InputPosition, NodeId, Offset, PartitionNo
from chatstream.log.port import Topic
from chatstream.log.simulated import SimulatedBroker
from tests.surroundings import event_record

P0 = PartitionNo(0)


def ids_of(broker: SimulatedBroker) -> dict[str, str]:
    """Topic names and ids as a claim names them."""
    return {str(topic): found.id for topic, found in broker.identity().items()}


def claim_on(broker: SimulatedBroker, epoch: int, id: str = "past", **fields: Any) -> Claim:
    """A claim as a node on this log would make it."""
    given: dict[str, Any] = {
        "epoch": Epoch(epoch),
        "id": id,
        "node": NodeId("n9"),
        "url": "",
        "format": FORMAT,
        "topics": ids_of(broker),
        "partitions": broker.partitions,
    }
    return Claim(**(given | fields))


def write_claim(broker: SimulatedBroker, epoch: int, id: str = "past", **fields: Any) -> Offset:
    """A claim lands."""
    return broker.produce(Topic.EVENTS, P0, *claims.claim_record(claim_on(broker, epoch, id, **fields)))


def write_events(
    broker: SimulatedBroker, claim_name: str, events: Iterable[AnyEvent], position: InputPosition | None = None
) -> None:
    """Events land under a claim; the last one may carry an input position."""
    for event in events:
        key, value, headers = event_record(claim_name, event)
        if position is not None:
            headers = (*headers, (claims.POS_HEADER, claims.write_position(position)))
        broker.produce(Topic.EVENTS, P0, key, value, headers)
