"""Two nodes reach their broker through a proxy that does to their traffic whatever a network can do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from dev.ports import HOST, free_ports
from tests.broker import Cluster, require_kafka
from tests.chaos.proxy import Proxy
from tests.checking.checker import check
from tests.checking.raw import lag, read_kafka
from tests.load import HttpClient, KafkaSender, in_background, numbered, tally
from tests.nodes import Nodes
from tests.scale import FULL
from tests.until import until

PARTITIONS: Final = 16
SESSIONS: Final = 40
PER_S: Final = 40.0
GO_ON_S: Final = 120.0
IMPATIENT: Final = ("--limit", "append_s=3", "-X", "session.timeout.ms=6000")
"""The least that a broker allows; and a node that doubts a silent broker after 3 s in place of 30."""
LONG_S: Final = 12.0 if FULL else 6.5
"""Longer than a node and the group wait."""
SHORT_S: Final = 4.0 if FULL else 1.5

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900 if FULL else 240)]
Trouble = Callable[[Proxy], Awaitable[None]]


@asynccontextmanager
async def proxied() -> AsyncIterator[tuple[Cluster, Proxy]]:
    """A broker that tells those who come through the proxy to go on coming through it."""
    require_kafka()
    cluster, (inner,) = Cluster(1), free_ports(1)
    proxy, (server,) = Proxy(inner), cluster.servers
    address = server.address
    server.settings = {
        "listeners": f"PLAINTEXT://{address.bootstrap},PROXIED://{HOST}:{inner},CONTROLLER://{HOST}:{address.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{address.bootstrap},PROXIED://{HOST}:{proxy.port}",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT",
    }
    # In this thread: a broker dies with the thread that started it.
    with cluster:
        async with proxy.serve():
            yield cluster, proxy


async def delay(proxy: Proxy) -> None:
    proxy.delay_s = 0.3
    await asyncio.sleep(SHORT_S)


async def cut(proxy: Proxy) -> None:
    for _ in range(3):
        proxy.cut()
        await asyncio.sleep(SHORT_S / 4)


async def reset(proxy: Proxy) -> None:
    for _ in range(3):
        proxy.reset()
        await asyncio.sleep(SHORT_S / 4)


async def go_silent(proxy: Proxy) -> None:
    """So long that appends are in doubt and the group gives the partitions away, to nobody who could take them."""
    proxy.silence()
    await asyncio.sleep(LONG_S)


async def hold_back(proxy: Proxy) -> None:
    """Produce requests arrive after seconds, and in time."""
    proxy.hold_produce_s = SHORT_S
    await asyncio.sleep(2 * SHORT_S)
    assert proxy.held > 0


async def land_late(proxy: Proxy) -> None:
    """Produce requests arrive long after those who sent them were cut off, gave up, and claimed anew."""
    proxy.hold_produce_s, proxy.cut_held = LONG_S, True
    before = proxy.held
    await asyncio.sleep(1.0)
    proxy.hold_produce_s = 0.0
    await asyncio.sleep(LONG_S)
    assert proxy.held > before


async def lose_acks(proxy: Proxy) -> None:
    """Records land, and those who sent them never hear of it."""
    proxy.lose_acks = True
    await asyncio.sleep(2 * SHORT_S)
    assert proxy.lost > 0


async def refuse(proxy: Proxy) -> None:
    proxy.refusing = True
    proxy.reset()
    await asyncio.sleep(LONG_S)


TROUBLES: Final[tuple[Trouble, ...]] = (
    (delay, cut, reset, hold_back, land_late, lose_acks, go_silent, refuse) * 3
    if FULL
    else (reset, hold_back, land_late, lose_acks, go_silent)
)


async def test_whatever_the_network_does_nothing_is_lost_doubled_or_taken_back(tmp_path: Path) -> None:
    async with proxied() as (cluster, proxy):
        through = f"{HOST}:{proxy.port}"
        sender = KafkaSender(cluster.bootstrap)
        with Nodes(tmp_path, through, *IMPATIENT) as nodes:
            nodes.add()
            await nodes.serve(PARTITIONS)
            nodes.add()
            await until(lambda: min(node.served() for node in nodes.all) > 0, 60, "both have a share", nodes.tails)
            async with HttpClient(nodes.urls) as client, tally(cluster.bootstrap) as answered:
                stop = asyncio.Event()
                going = asyncio.create_task(sender.send_until(numbered(SESSIONS, 1_000_000), stop, PER_S))
                talk = asyncio.create_task(client.talk_until("talk", stop))
                async with in_background(client.read_along("talk"), *(client.read_along(f"s-{n}") for n in range(5))):
                    for trouble in TROUBLES:
                        await trouble(proxy)
                        proxy.calm()
                        await answered.reaches(len(sender.sent), GO_ON_S, nodes.tails)
                    stop.set()
                    await asyncio.gather(going, talk)
                    await answered.reaches(len(sender.sent) + len(client.sent), GO_ON_S, nodes.tails)
                await until(lambda: lag(cluster.bootstrap) == 0, 60, "nothing is left to be read", nodes.tails)
                final = {name: await client.history(name) for name in ("talk", "s-0", "s-1")}
            checker = check(read_kafka(cluster.bootstrap), [*sender.sent, *client.sent], client.shown)
            assert final == {name: [event.value for event in checker.history[name]] for name in final}
            nodes.check_calm()
            assert all(node.running and node.starts == 1 for node in nodes.all)
