"""What a node says of the partitions that are assigned to it."""

import asyncio

from chatstream.core.claims import Ownership
from chatstream.core.ids import Epoch, InputPosition, Offset
from chatstream.engine.assigned import Assigned
from chatstream.engine.desk import PartitionStatus
from chatstream.engine.projection import Projection
from chatstream.log.port import Topic
from chatstream.log.simulated import SimulatedBroker
from chatstream.table.memory import MemoryTableStore
from tests.given import accepted, completed
from tests.logs import P0, write_claim, write_events
from tests.one_node import one_node, say, serving, until
from tests.virtual import virtual


async def test_a_partition_that_is_folded_says_how_far_it_is_until_nobody_folds_it_any_more() -> None:
    assigned = Assigned()
    assert assigned.status() == []
    assigned.tasks[P0] = task = asyncio.create_task(asyncio.sleep(0))
    assert assigned.status() == [PartitionStatus(P0, "restoring")]
    projection = Projection(P0, MemoryTableStore().open(P0), 10)
    projection.ownership = Ownership(epoch=Epoch(3), position=InputPosition(0, 9))
    projection.next_offset, projection.restored_to = Offset(40), Offset(100)
    assigned.folds(projection)
    (status,) = assigned.status()
    assert (status.state, status.epoch, status.position, status.folded, status.end) == ("restoring", 3, 9, 40, 100)
    assigned.refused[P0] = "it was made again"
    assert assigned.status() == [PartitionStatus(P0, "refused", detail="it was made again")]
    del assigned.refused[P0], projection
    assert assigned.status() == [PartitionStatus(P0, "restoring")]
    await task


@virtual
async def test_a_partition_that_is_served_says_where_it_stands() -> None:
    broker = SimulatedBroker()
    write_claim(broker, 1)
    write_events(broker, "1-past", [accepted(1), completed(2, 1)])
    async with one_node(broker) as node:
        await serving(node)
        (status,) = node.status()
        assert (status.epoch, status.position, status.folded) == (2, -1, status.end)
        await say(node, "hello", session="bob")
        await until(lambda: node.status()[0].position == 0)
        (status,) = node.status()
        assert status.folded == status.end == len(broker.records(Topic.EVENTS, P0))
