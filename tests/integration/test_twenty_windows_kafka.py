"""The twenty windows of test_twenty_windows on Apache Kafka, with two nodes."""

import asyncio
from pathlib import Path

import pytest

from chatstream import Client
from tests.checking.raw import read_kafka
from tests.integration.test_twenty_windows import PARTITIONS, SESSION, WAIT_S, compare, use
from tests.nodes import NodeProcess, Nodes
from tests.until import until
from tests.windows import PATIENT


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.timeout(300)
async def test_on_kafka_with_two_nodes_of_which_the_owner_is_killed(tmp_path: Path, broker: str) -> None:
    with Nodes(tmp_path, broker, "-X", "session.timeout.ms=6000") as nodes:
        nodes.add()
        await nodes.serve(PARTITIONS)
        nodes.add()
        await until(lambda: nodes.all[1].served() > 0, WAIT_S, "both have a share", nodes.tails)
        await nodes.serve(PARTITIONS)

        async def kill(number: int) -> None:
            """First the other one takes over; the second time the same one comes back at once."""
            owner, other = await asyncio.to_thread(owner_first, nodes)
            await asyncio.to_thread(owner.kill9)
            if not number:
                await other.serves(PARTITIONS, WAIT_S)
            owner.start()

        opened, person = await use(nodes.urls, kill)
        nodes.check_calm()
        compare(opened, person, await asyncio.to_thread(read_kafka, broker))


def owner_first(nodes: Nodes) -> list[NodeProcess]:
    """The nodes, the one that owns the session before the other."""
    with Client(*nodes.urls, patience=PATIENT) as client:
        owner = client.session(SESSION).owner
    return sorted(nodes.all, key=lambda node: (node.data / "node-id").read_text().strip() != owner)
