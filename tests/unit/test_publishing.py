"""Replies onto chat.replies: in order, gapless, stopped at the first error, and nothing of a stranger's. In virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from chatstream.core import codec
from chatstream.core.claims import Headers
from chatstream.core.errors import LogError, LogUnavailable, QueueFull, TableBroken
from chatstream.core.events import AnyEvent
from chatstream.core.ids import NodeId, Offset, PartitionNo
from chatstream.engine.projection import Projection
from chatstream.engine.publishing import SOURCE_HEADER, Publisher, last_source
from chatstream.log.port import Ack, Topic
from chatstream.log.simulated import SimulatedBroker, SimulatedLog
from chatstream.table.memory import MemoryTableStore
from tests.given import accepted, completed
from tests.logs import P0, write_claim, write_events
from tests.virtual import virtual


class Scene:
    """A publisher on a simulated chat.events whose sending is written down. fails: raised by sending, while it is set."""

    def __init__(self, turns: int = 0, published: int = -1) -> None:
        self.broker = SimulatedBroker()
        self.log = SimulatedLog(self.broker, NodeId("n1"))
        write_claim(self.broker, 1)
        self.projection = Projection(P0, MemoryTableStore().open(P0), 100)
        self.sent: list[int] = []
        self.acks: list[Callable[[Ack], None]] = []
        self.fails: LogError | None = None
        self.failures = 0
        self.broken: list[TableBroken] = []
        self.seq = 0
        self.tasks: list[asyncio.Task[None]] = []
        for _ in range(turns):
            self.turn()
        self.publisher = Publisher(
            self.log, self.projection, Offset(published), self._send, self._failed, self.broken.append, self._spawn
        )

    def turn(self) -> tuple[Offset, AnyEvent, bytes]:
        """A turn is asked, answered, confirmed; the answer and its place."""
        self.seq += 2
        answer = completed(self.seq, self.seq - 1)
        write_events(self.broker, "1-past", [accepted(self.seq - 1), answer])
        records = self.broker.records(Topic.EVENTS, P0)
        self.projection.fold_all(records[self.projection.next_offset :])
        return Offset(len(records) - 1), answer, codec.write_event(answer)

    def _send(self, partition: PartitionNo, key: bytes, value: bytes, headers: Headers, on_ack: Callable[[Ack], None]) -> None:
        assert (partition, key) == (P0, b"alice")
        assert codec.read_event(value).session == "alice"
        if self.fails is not None:
            raise self.fails
        self.sent.append(int(dict(headers)[SOURCE_HEADER]))
        self.acks.append(on_ack)

    def _failed(self) -> None:
        self.failures += 1

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(work))
        return self.tasks[-1]

    def ack(self, offset: int | None = 0) -> None:
        """The oldest is acknowledged."""
        error = None if offset is not None else LogUnavailable("no")
        self.acks.pop(0)(Ack(None, None if offset is None else Offset(offset), error))

    async def end(self) -> None:
        self.publisher.close()
        await asyncio.sleep(1)
        assert all(task.done() for task in self.tasks)
        for task in self.tasks:
            assert task.cancelled() or task.exception() is None


@virtual
async def test_what_was_confirmed_before_is_read_back_and_what_comes_meanwhile_follows_in_order() -> None:
    scene = Scene(turns=3)
    scene.publisher.publish(*scene.turn())
    await asyncio.sleep(5)
    assert scene.sent == [2, 4, 6, 8]
    scene.publisher.publish(*scene.turn())
    assert scene.sent == [2, 4, 6, 8, 10]
    await scene.end()


@virtual
async def test_it_goes_on_behind_what_is_published_and_published_means_acknowledged() -> None:
    scene = Scene(turns=3, published=4)
    await asyncio.sleep(5)
    assert (scene.sent, scene.publisher.published) == ([6], 4)
    scene.ack()
    assert scene.publisher.published == 6
    await scene.end()


@virtual
async def test_after_an_error_nothing_more_is_sent_until_it_is_restarted_and_then_all_behind_what_was_published() -> None:
    scene = Scene()
    for _ in range(3):
        scene.publisher.publish(*scene.turn())
    scene.ack()
    scene.ack(None)
    assert (scene.failures, scene.publisher.published) == (1, 2)
    scene.ack()  # what lands behind a failure is no longer looked at
    scene.publisher.publish(*scene.turn())
    assert (scene.sent, scene.publisher.published) == ([2, 4, 6], 2)
    scene.publisher.restart()
    await asyncio.sleep(5)
    assert scene.sent == [2, 4, 6, 4, 6, 8]
    await scene.end()


@virtual
async def test_a_producer_that_does_not_take_a_record_stops_it() -> None:
    scene = Scene()
    scene.fails = LogUnavailable("no")
    scene.publisher.publish(*scene.turn())
    assert (scene.sent, scene.failures) == ([], 1)
    scene.fails = None
    scene.publisher.restart()
    await asyncio.sleep(5)
    assert scene.sent == [2]
    await scene.end()


@pytest.mark.parametrize("before", [0, 3])
def test_a_full_queue_is_waited_for_and_no_failure(before: int) -> None:
    @virtual
    async def run() -> None:
        scene = Scene(turns=before)
        scene.fails = QueueFull("full")
        await asyncio.sleep(3)
        scene.publisher.publish(*scene.turn())
        await asyncio.sleep(3)
        assert (scene.sent, scene.failures) == ([], 0)
        scene.fails = None
        await asyncio.sleep(5)
        assert scene.sent == [2 * n for n in range(1, before + 2)]
        scene.publisher.publish(*scene.turn())
        assert scene.sent[-1] == 2 * before + 4
        await scene.end()

    run()


@virtual
async def test_a_queue_that_fills_up_while_it_hands_over_loses_nothing() -> None:
    scene = Scene(turns=1)
    for _ in range(3):
        scene.publisher.publish(*scene.turn())
    send = scene._send

    def fills_up(*args: Any) -> None:
        if len(scene.sent) == 2 and scene.fails is None:
            scene.fails = QueueFull("full")
        send(*args)

    scene.publisher._send = fills_up
    await asyncio.sleep(5)
    assert (scene.sent, scene.failures) == ([2, 4], 0)
    scene.publisher._send = send
    scene.fails = None
    await asyncio.sleep(5)
    assert scene.sent == [2, 4, 6, 8]
    await scene.end()


@virtual
async def test_a_table_that_breaks_while_it_reads_back_is_told_and_ends_it() -> None:
    scene = Scene(turns=1)
    scene.projection.table.close()
    await asyncio.sleep(5)
    assert (len(scene.broken), scene.sent) == (1, [])
    await scene.end()


@virtual
async def test_a_closed_one_sends_nothing_and_cannot_be_restarted() -> None:
    scene = Scene(turns=1)
    scene.publisher.close()
    scene.publisher.restart()
    scene.publisher.publish(*scene.turn())
    await asyncio.sleep(5)
    assert scene.sent == []
    await scene.end()


def reply(broker: SimulatedBroker, source: bytes | None) -> None:
    headers = () if source is None else ((SOURCE_HEADER, source),)
    broker.produce(Topic.REPLIES, P0, b"alice", b"{}", headers)


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        ([], -1),
        ([None, b"", b"x", b"-3"], -1),
        ([b"3", b"7", b"5"], 7),
        ([b"7", b"99"], 99),
        ([b"7", b"100", b"9" * 18], 7),
        ([b"7", b"9" * 19, b"9" * 10_000], 7),
        ([b"7", *[None] * 99], 7),
        ([b"7", *[None] * 100], -1),
    ],
)
def test_the_highest_source_is_looked_for_at_the_end_and_strangers_do_not_count(
    sources: list[bytes | None], found: int
) -> None:
    @virtual
    async def run() -> None:
        broker = SimulatedBroker()
        for source in sources:
            reply(broker, source)
        assert await last_source(SimulatedLog(broker, NodeId("n1")), P0, Offset(100)) == found

    run()
