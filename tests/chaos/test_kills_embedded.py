"""One node on the embedded log, killed with -9 while people talk to it."""

import asyncio
from pathlib import Path

import pytest

from tests.checking.checker import check
from tests.checking.raw import read_embedded
from tests.load import HttpClient, in_background
from tests.nodes import NodeProcess, Nodes
from tests.scale import SCALE, spread

SESSIONS = 20
PARTITIONS = 16


@pytest.mark.timeout(SCALE.limit_s)
async def test_killed_at_random_moments_each_message_is_answered_once_and_in_order(tmp_path: Path) -> None:
    each = SCALE.messages // SESSIONS
    with Nodes(tmp_path) as nodes:
        node = nodes.add()
        await node.serves(PARTITIONS)
        async with HttpClient(nodes.urls) as client:
            names = [f"s-{number}" for number in range(SESSIONS)]
            talks = [client.talk(name, (f"message {n}" for n in range(each)), wait=20) for name in names]
            async with in_background(*(client.read_along(name) for name in names)):
                killing = spread(SCALE.kills, SCALE.messages, lambda: len(client.sent), lambda n: kill(node, n % 2 == 1))
                await asyncio.gather(killing, *talks)
            final = {name: await client.history(name) for name in names}
            assert await node.end() == 0
        checker = check(await read_embedded(node.data / "log"), client.sent, client.shown)
        assert len(client.sent) == each * SESSIONS
        assert final == {name: [event.value for event in checker.history[name]] for name in names}
        nodes.check_calm()


async def kill(node: NodeProcess, drop_table: bool) -> None:
    """kill -9, and start it again."""
    node.kill9()
    if drop_table:
        node.drop_table()
    node.start()
    await node.serves(PARTITIONS)
