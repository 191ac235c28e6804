"""GET /v1/cluster: every partition, who serves it and how far that is, as the owners themselves say.

Each node tells of its own (`scope=node`), and is asked by the one that is asked for all. A partition that nobody tells of is
`unknown`: its owner is the one that was announced last, if any was.
"""

import asyncio
from collections.abc import Iterable
from typing import Final, Literal

import msgspec
from aiohttp import web

from chatstream.core.errors import LogError
from chatstream.core.ids import Offset, PartitionNo
from chatstream.engine.desk import Desk, PartitionStatus
from chatstream.log.port import Log, Topic
from chatstream.web.conditional import NO_STORE
from chatstream.web.offsets import one
from chatstream.web.peers import ask_owners
from chatstream.web.problems import bad_field
from chatstream.web.settings import DESK, SETTINGS

LOG: Final = web.AppKey("log", Log)
"""Where the node's application was given one."""
PARTITION_BYTES_MOST: Final = 4_096
"""One partition in another node's answer; the sentence why it is refused is the longest part."""

_encode: Final = msgspec.json.Encoder().encode


class PartitionNow(msgspec.Struct, frozen=True, kw_only=True):
    """One partition. node, url: of who serves it, or restores it, or was announced last; empty where nobody was.

    position: of the last inbound record that is decided and safe, -1 for none. lag: offsets of chat.messages behind it.
    folded, end: how far chat.events has been read, and how far it went when that began: equal once it is served. detail: why
    it is refused.
    """

    partition: PartitionNo
    state: Literal["active", "restoring", "refused", "unknown"]
    node: str
    url: str
    epoch: int
    position: Offset
    lag: int
    folded: Offset
    end: Offset
    detail: str


class NodeThere(msgspec.Struct, frozen=True, kw_only=True):
    """One node that answered. serves: how many partitions."""

    node: str
    url: str
    serves: int


class ClusterNow(msgspec.Struct, frozen=True, kw_only=True):
    """The body of GET /v1/cluster. node: who was asked. nodes: who answered, in the order of their ids."""

    node: str
    of: int
    nodes: list[NodeThere]
    partitions: list[PartitionNow]


async def get_cluster(request: web.Request) -> web.Response:
    """Nodes and partitions: who serves what, and how far each is."""
    app = request.app
    desk, url = app[DESK], app[SETTINGS].url
    statuses = desk.status()
    lags = await asyncio.gather(*(_lag(app, status) for status in statuses))
    found = [_now(status, lag, desk.node_id, url) for status, lag in zip(statuses, lags, strict=True)]
    nodes = [_there(desk.node_id, url, found)]
    if _asks_all(request):
        served = {each.partition for each in found if each.state == "active"}
        most_bytes = PARTITION_BYTES_MOST * (desk.partitions + 1)
        for answer in await ask_owners(request, "/v1/cluster", {}, served, ClusterNow, most_bytes):
            found += answer.partitions
            nodes += answer.nodes
        found = [_best(desk, number, found) for number in map(PartitionNo, range(desk.partitions))]
    body = ClusterNow(node=desk.node_id, of=desk.partitions, nodes=sorted(nodes, key=lambda each: each.node), partitions=found)
    return web.Response(body=_encode(body), content_type="application/json", headers={"Cache-Control": NO_STORE})


def _asks_all(request: web.Request) -> bool:
    scope = one(request, "scope")
    if scope not in (None, "all", "node"):
        raise bad_field("scope", "bad-parameter", "scope is all or node")
    return scope != "node"


async def _lag(app: web.Application, status: PartitionStatus) -> int:
    """What is on chat.messages and not decided; where the log does not say it, what of it has been read."""
    log = app.get(LOG)
    if log is None:
        return status.lag
    try:
        # Half of what others wait for this node: a log that is away must not make it look as if it were.
        async with asyncio.timeout(app[SETTINGS].peers_s / 2):
            _, end = await log.bounds(Topic.MESSAGES, status.partition)
    except (LogError, TimeoutError):
        return status.lag
    return max(0, end - 1 - status.position)


def _now(status: PartitionStatus, lag: int, node: str, url: str) -> PartitionNow:
    return PartitionNow(
        partition=status.partition,
        state=status.state,
        node=node,
        url=url,
        epoch=status.epoch,
        position=status.position,
        lag=lag,
        folded=status.folded,
        end=status.end,
        detail=status.detail,
    )


def _there(node: str, url: str, found: Iterable[PartitionNow]) -> NodeThere:
    return NodeThere(node=node, url=url, serves=sum(each.state == "active" for each in found))


def _best(desk: Desk, number: PartitionNo, found: Iterable[PartitionNow]) -> PartitionNow:
    """Of several that tell of a partition, as while it moves, the one that serves it under the highest epoch."""
    told = [each for each in found if each.partition == number]
    if told:
        return max(told, key=lambda each: (each.state == "active", each.epoch))
    none = Offset(0)
    return PartitionNow(
        partition=number, state="unknown", node="", url=desk.owner_url(number) or "", epoch=0, position=Offset(-1), lag=0,
        folded=none, end=none, detail="",
    )  # fmt: skip
