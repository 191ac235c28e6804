"""A table beside the log that it was folded from: what differs, and what is no difference."""

from chatstream.cli.replay import differences, erased_from, fold_until
from chatstream.core import claims
from chatstream.core.events import AnyEvent
from chatstream.core.ids import NodeId, SessionId
from chatstream.log.port import Topic
from chatstream.log.simulated import SimulatedBroker, SimulatedLog
from chatstream.table.memory import MemoryTableStore
from tests.given import accepted, completed, erased
from tests.logs import P0, write_claim, write_events
from tests.surroundings import event_record
from tests.virtual import virtual

CLAIM = "1-past"


@virtual
async def test_a_table_of_before_an_erasure_differs_in_nothing_when_the_log_was_compacted() -> None:
    broker, store = SimulatedBroker(1), MemoryTableStore()
    write_claim(broker, 1)
    mine: list[AnyEvent] = [accepted(1), completed(2, turn=1), erased(3)]
    write_events(broker, CLAIM, mine[:2])
    log = SimulatedLog(broker, NodeId("operator"))
    await log.open()
    kept, (_, stop) = store.open(P0), await log.bounds(Topic.EVENTS, P0)
    await fold_until(log, kept, P0, stop)

    write_events(broker, CLAIM, mine[2:])
    for event in mine[:2]:
        key, _, headers = event_record(CLAIM, event)
        broker.produce(Topic.EVENTS, P0, key, None, (*headers, (claims.ERASES_HEADER, b"alice")))
    broker.log(Topic.EVENTS, P0).compact()

    rebuilt = MemoryTableStore().open(P0)
    await fold_until(log, rebuilt, P0, stop)
    assert list(differences(kept, rebuilt)) != []
    gone = await erased_from(log, P0, stop)
    assert gone == {SessionId("alice")}
    assert list(differences(kept, rebuilt, gone)) == []
    _, end = await log.bounds(Topic.EVENTS, P0)
    assert await erased_from(log, P0, end) == set()
    await log.close()
