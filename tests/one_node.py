"""A whole node on the simulated log, in this process and in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Final

from chatstream.core.commands import Message
from chatstream.core.ids import MessageId, NodeId, SessionId
from chatstream.core.limits import Limits
from chatstream.engine.desk import Answer
from chatstream.engine.node import Node
from chatstream.log.simulated import QUEUE_RECORDS, SimulatedBroker, SimulatedLog
from chatstream.respond.port import Reply, Responder, Turn
from chatstream.table.memory import MemoryTableStore
from chatstream.table.port import TableStore

LOOK_S: Final = 0.05


class Echo:
    """Answers with what was said. held: sessions that are not answered before the test lets them."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, int]] = []
        self.held: dict[str, asyncio.Event] = {}

    async def respond(self, turn: Turn) -> AsyncIterator[str | Reply]:
        self.calls.append((turn.session, turn.seq, turn.attempt))
        held = self.held.get(turn.session)
        if held is not None:
            yield "so far"
            await held.wait()
        yield f"re: {turn.text}"

    async def close(self) -> None: ...


@asynccontextmanager
async def one_node(
    broker: SimulatedBroker,
    *,
    tables: TableStore | None = None,
    responder: Responder | None = None,
    limits: Limits | None = None,
    id: str = "n1",
    queue_records: int = QUEUE_RECORDS,
    **more: Any,
) -> AsyncIterator[Node]:
    """A node that runs as long as the block does. Making another of the same id on the same broker ends this one."""
    log = SimulatedLog(broker, NodeId(id), queue_records)
    await log.open()
    names = iter(range(1_000_000))
    node = Node(
        log=log,
        tables=tables or MemoryTableStore(),
        responder=responder or Echo(),
        limits=limits or Limits(),
        node_id=NodeId(id),
        url=f"http://{id}",
        now_ms=broker.now_ms,
        fresh_id=lambda: f"{id}.{next(names)}",
        rng=Random(1),
        **more,
    )
    node.failed.add_done_callback(lambda failed: failed.exception())
    await node.start()
    try:
        yield node
    finally:
        await node.stop(0.0)
        await log.close()


async def until(condition: Callable[[], bool], wait_s: float = 120.0) -> None:
    """Wait, in virtual time, until it holds. Raises AssertionError at the deadline."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + wait_s
    while not condition():
        assert loop.time() < deadline_s, f"not within {wait_s:g} s"
        await asyncio.sleep(LOOK_S)


def states(node: Node) -> list[str]:
    """The state of each partition that is assigned to it."""
    return [status.state for status in node.status()]


async def serving(node: Node, partitions: int = 1) -> None:
    """Wait until it serves them all."""
    await until(lambda: states(node) == ["active"] * partitions)


async def say(node: Node, text: str, *, session: str = "alice", id: str = "") -> Answer:
    """A message as HTTP brings it; what its sender is told."""
    named = MessageId(id or f"id-{text.replace(' ', '-')}")
    return await node.submit(SessionId(session), Message(command_id=named, message_id=named, text=text))
