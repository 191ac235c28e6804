"""Who serves which partition: the highest epoch, whatever else is on the topic. In virtual time."""

import asyncio
from typing import Any

import msgspec
import pytest

from chatstream.core.ids import NodeId, Offset, PartitionNo
from chatstream.engine.guard import Guard
from chatstream.engine.owners import PARTITION, Owner, Owners, owner_record
from chatstream.engine.producers import SideProducer
from chatstream.log.port import Record, Topic
from chatstream.log.simulated import SimulatedBroker, SimulatedLog
from tests.virtual import virtual

P0, P1 = PartitionNo(0), PartitionNo(1)
ME = NodeId("n1")


def owner(epoch: int, node: str = "n2", partition: PartitionNo = P0) -> Owner:
    return Owner(partition, epoch, NodeId(node), f"http://{node}")


def write(broker: SimulatedBroker, one: Owner) -> None:
    broker.produce(Topic.OWNERS, PARTITION, *owner_record(one))


def written(broker: SimulatedBroker) -> list[Owner]:
    return [msgspec.json.decode(record.value or b"", type=Owner) for record in broker.records(Topic.OWNERS, PARTITION)]


class Scene:
    """A node that reads chat.owners. ours: the partitions it serves."""

    def __init__(self, broker: SimulatedBroker) -> None:
        log = SimulatedLog(broker, ME)
        self.ours: set[PartitionNo] = set()
        self.side = SideProducer(log, lambda: None, Guard(_no_bug))
        self.owners = Owners(log, self.side, ME, self.ours)

    async def read(self) -> None:
        """Until everything was read."""
        task = asyncio.create_task(self.owners.follow())
        await asyncio.sleep(10)
        task.cancel()


def _no_bug(error: BaseException) -> None:
    raise error


@virtual
async def test_the_highest_epoch_holds_and_of_equal_ones_the_last() -> None:
    broker = SimulatedBroker()
    for one in (owner(3), owner(5, "n3"), owner(4, "n4"), owner(5, "n5"), owner(1, "n6", P1)):
        write(broker, one)
    scene = Scene(broker)
    await scene.read()
    assert scene.owners.of(P0) == owner(5, "n5")
    assert scene.owners.of(P1) == owner(1, "n6", P1)
    assert scene.owners.of(PartitionNo(2)) is None


@pytest.mark.parametrize("value", [None, b"", b"{", b"\xff", b"[1]", b'{"partition":0}', b"[" * 100_000])
def test_what_is_no_owner_is_passed_over(value: bytes | None) -> None:
    @virtual
    async def run() -> None:
        broker = SimulatedBroker()
        write(broker, owner(1))
        broker.produce(Topic.OWNERS, PARTITION, b"0", value)
        write(broker, owner(2, "n3"))
        scene = Scene(broker)
        await scene.read()
        assert scene.owners.of(P0) == owner(2, "n3")

    run()


@virtual
async def test_a_lower_epoch_behind_ours_is_answered_by_writing_ours_again() -> None:
    broker = SimulatedBroker()
    scene = Scene(broker)
    scene.ours.add(P0)
    scene.owners.announce(owner(4, "n1"))
    await asyncio.sleep(1)
    write(broker, owner(3, "n2"))
    await scene.read()
    assert written(broker) == [owner(4, "n1"), owner(3, "n2"), owner(4, "n1")]


@virtual
async def test_what_others_own_or_is_no_longer_served_here_is_not_written_again() -> None:
    broker = SimulatedBroker()
    for one in (owner(4, "n2"), owner(3, "n3"), owner(4, "n1", P1), owner(3, "n3", P1)):
        write(broker, one)
    scene = Scene(broker)
    scene.ours.add(P0)
    await scene.read()
    assert len(written(broker)) == 4


@virtual
async def test_an_announcement_that_does_not_get_through_is_only_a_hint_that_is_missing() -> None:
    scene = Scene(SimulatedBroker())
    scene.side.fail(None)
    scene.owners.announce(owner(1, "n1"))


@virtual
async def test_a_reader_that_stopped_and_says_nothing_is_replaced_and_nothing_is_read_twice() -> None:
    broker = SimulatedBroker()
    write(broker, owner(1))
    scene = Scene(broker)
    stuck = StuckOnce(SimulatedLog(broker, ME))
    owners = Owners(stuck, scene.side, ME, scene.ours)  # type: ignore[arg-type]  # all that it asks of a log
    task = asyncio.create_task(owners.follow())
    await asyncio.sleep(20)
    assert owners.of(P0) == owner(1)
    write(broker, owner(2))
    await asyncio.sleep(20)
    assert owners.of(P0) == owner(2)
    assert stuck.opened == [0, 0]
    await asyncio.sleep(600)
    assert stuck.opened == [0, 0]
    task.cancel()


class StuckOnce:
    """A log whose first reader finds nothing for ever. opened: where readers began."""

    def __init__(self, log: SimulatedLog) -> None:
        self._log = log
        self.bounds = log.bounds
        self.opened: list[int] = []

    def open_reader(self, topic: Topic, partition: PartitionNo, offset: Offset) -> Any:
        self.opened.append(offset)
        return self._log.open_reader(topic, partition, offset) if len(self.opened) > 1 else Silent(offset)


class Silent:
    """A reader of which nothing comes."""

    def __init__(self, position: Offset) -> None:
        self.position = position

    async def read(self, most: int, wait_s: float) -> list[Record]:  # noqa: ARG002
        await asyncio.sleep(wait_s)
        return []

    async def close(self) -> None:
        pass
