"""GET /v1/cluster: who serves what, asked of every node."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from chatstream.core.errors import LogUnavailable
from chatstream.core.ids import NodeId, Offset, PartitionNo
from chatstream.core.limits import Limits
from chatstream.engine.desk import PartitionStatus
from chatstream.log.port import Topic
from chatstream.log.simulated import SimulatedBroker, SimulatedLog
from chatstream.web.app import make_app
from chatstream.web.server import HttpServer
from chatstream.web.settings import WebSettings
from tests.web.conftest import Client, problem_of, start
from tests.web.fake_desk import FakeDesk

P0, P1, P2, P3 = map(PartitionNo, range(4))


def active(number: PartitionNo, epoch: int = 1) -> PartitionStatus:
    return PartitionStatus(number, "active", epoch, position=Offset(7), folded=Offset(20), end=Offset(20))


async def ask(client: Client, **query: str) -> dict[str, Any]:
    async with client.get("/v1/cluster", params=query) as answer:
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
        body: dict[str, Any] = await answer.json()
        return body


def states(body: dict[str, Any]) -> list[tuple[int, str, str]]:
    return [(one["partition"], one["state"], one["node"]) for one in body["partitions"]]


@pytest.fixture
async def other(limits: Limits) -> FakeDesk:
    """Another node's engine, with two of the four partitions, one of them on its way."""
    desk = FakeDesk(limits)
    desk.node_id = "node-2"
    desk.statuses = [active(P2, 5), PartitionStatus(P3, "restoring", 4, folded=Offset(5), end=Offset(50))]
    return desk


@asynccontextmanager
async def beside(other: FakeDesk, limits: Limits, settings: WebSettings) -> AsyncIterator[str]:
    """The other node serves meanwhile; its URL, which it is told too."""
    server = HttpServer(make_app(other, limits, replace(settings, url="http://other")), "127.0.0.1", 0)
    await server.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        await server.close()


async def test_every_partition_is_told_of_by_its_owner(
    desk: FakeDesk, other: FakeDesk, limits: Limits, settings: WebSettings
) -> None:
    desk.statuses = [active(P0, 3), PartitionStatus(P1, "refused", detail="it was made again")]
    settings = replace(settings, url="http://this")
    async with beside(other, limits, settings) as url, start(desk, limits, settings) as client:
        desk.elsewhere = {P2: url, P3: url}
        body = await ask(client)
        assert (body["node"], body["of"]) == ("node-1", 4)
        assert body["nodes"] == [
            {"node": "node-1", "url": "http://this", "serves": 1},
            {"node": "node-2", "url": "http://other", "serves": 1},
        ]
        assert states(body) == [
            (0, "active", "node-1"),
            (1, "refused", "node-1"),
            (2, "active", "node-2"),
            (3, "restoring", "node-2"),
        ]
        first, refused, second, restoring = body["partitions"]
        assert (first["epoch"], first["url"], first["position"], first["folded"], first["end"]) == (3, "http://this", 7, 20, 20)
        assert refused["detail"] == "it was made again"
        assert (second["epoch"], second["url"]) == (5, "http://other")
        assert (restoring["folded"], restoring["end"]) == (5, 50)
        alone = await ask(client, scope="node")
        assert states(alone) == [(0, "active", "node-1"), (1, "refused", "node-1")]


async def test_what_nobody_tells_of_is_unknown_and_says_whom_to_ask(client: Client, desk: FakeDesk) -> None:
    desk.elsewhere = {P1: "http://127.0.0.1:1", P2: None}
    body = await ask(client)
    assert states(body) == [(0, "active", "node-1"), (1, "unknown", ""), (2, "unknown", ""), (3, "unknown", "")]
    assert [one["url"] for one in body["partitions"][1:]] == ["http://127.0.0.1:1", "", ""]


async def test_of_two_that_tell_of_a_partition_the_one_that_serves_it_is_believed(
    desk: FakeDesk, other: FakeDesk, limits: Limits, settings: WebSettings
) -> None:
    desk.statuses = [PartitionStatus(P2, "restoring", 6)]
    async with beside(other, limits, settings) as url, start(desk, limits, settings) as client:
        desk.elsewhere = {P2: url}
        assert states(await ask(client))[2] == (2, "active", "node-2")
        desk.statuses = [active(P2, 6)]
        assert states(await ask(client))[2] == (2, "active", "node-1")


async def test_another_scope_is_refused(client: Client) -> None:
    for query in ("scope=world", "scope=", "scope=all&scope=node"):
        async with client.get(f"/v1/cluster?{query}") as answer:
            await problem_of(answer, 400, "bad-parameter")


class Away(SimulatedLog):
    """A log that does not answer."""

    async def bounds(self, topic: Topic, partition: PartitionNo) -> tuple[Offset, Offset]:
        raise LogUnavailable(f"{topic}/{partition} is away")


@pytest.mark.parametrize(
    ("kind", "end", "lag"), [(SimulatedLog, 8, 0), (SimulatedLog, 12, 4), (SimulatedLog, 3, 0), (Away, 12, 2)]
)
async def test_what_is_on_the_log_and_not_decided_is_told_as_lag(
    desk: FakeDesk, limits: Limits, settings: WebSettings, kind: type[SimulatedLog], end: int, lag: int
) -> None:
    broker = SimulatedBroker(partitions=4)
    for _ in range(end):
        broker.produce(Topic.MESSAGES, P0, b"alice", b"hello")
    log = kind(broker, NodeId("n1"))
    await log.open()
    desk.statuses = [replace(active(P0), lag=2)]
    server = HttpServer(make_app(desk, limits, settings, log=log), "127.0.0.1", 0)
    await server.start()
    try:
        async with Client(f"http://127.0.0.1:{server.port}") as client:
            assert (await ask(client, scope="node"))["partitions"][0]["lag"] == lag
    finally:
        await server.close()
        await log.close()
