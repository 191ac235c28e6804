"""A whole node on the embedded log and its HTTP side, in this process, with short waits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

from chatstream.core.ids import NodeId, PartitionNo
from chatstream.core.limits import Limits
from chatstream.engine.node import Node
from chatstream.log.embedded import EmbeddedLog
from chatstream.log.port import Log, Topic
from chatstream.respond.loading import load
from chatstream.table.memory import MemoryTableStore
from chatstream.web.app import make_app
from chatstream.web.server import HttpServer
from chatstream.web.settings import SseTimes, WebSettings
from tests.listener import until

PARTITIONS: Final = 2
SHORT: Final = WebSettings(poll_s=0.05, sse=SseTimes(shortest_s=0.05, longest_s=0.1))


class Embedded(NamedTuple):
    """A node that runs."""

    log: Log
    url: str

    async def ends(self, *topics: Topic) -> dict[str, int]:
        """How far each partition of these topics goes: it grows with every record."""
        numbers = map(PartitionNo, range(PARTITIONS))
        places = [(topic, number) for number in numbers for topic in topics if not (topic is Topic.DEAD_LETTERS and number)]
        return {f"{topic}/{number}": (await self.log.bounds(topic, number))[1] for topic, number in places}


@asynccontextmanager
async def embedded_node(data: Path, settings: WebSettings = SHORT, limits: Limits | None = None) -> AsyncIterator[Embedded]:
    """A node with the offline model, ready."""
    limits = limits or Limits()
    log = EmbeddedLog(data, partitions=PARTITIONS, fsync=False)
    await log.open()
    responder = load("offline", system="", max_tokens=100, calls=limits.calls)()
    node = Node(
        log=log, tables=MemoryTableStore(), responder=responder, limits=limits, node_id=NodeId("n1"), url="http://127.0.0.1:1"
    )
    server = HttpServer(make_app(node, limits, settings, log=log), "127.0.0.1", 0)
    await node.start()
    await server.start()
    try:
        await until(lambda: [one.state for one in node.status()] == ["active"] * PARTITIONS, "the node serves")
        yield Embedded(log, f"http://127.0.0.1:{server.port}")
    finally:
        await node.stop(drain_s=0.0)
        await server.close()
        await responder.close()
        await log.close()
