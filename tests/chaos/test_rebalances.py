"""A node joins or leaves every three seconds, while calls of the model are under way that take longer than that."""

import asyncio
import random
import signal
from pathlib import Path
from typing import Final

import pytest

from tests.checking.checker import check
from tests.checking.raw import lag, read_kafka
from tests.load import KafkaSender, numbered, tally
from tests.nodes import NodeProcess, Nodes
from tests.scale import FULL
from tests.until import until

PARTITIONS: Final = 16
SESSIONS: Final = 30
EVERY_S: Final = 3.0
STORM_S: Final = 180.0 if FULL else 15.0
CALL_S: Final = 10 if FULL else 4
NODES_MOST: Final = 4 if FULL else 3
QUICK_TO_MISS: Final = ("-X", "session.timeout.ms=6000")

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600 if FULL else 240)]


async def test_a_storm_of_rebalances_loses_and_doubles_nothing(tmp_path: Path, broker: str) -> None:
    sender = KafkaSender(broker)
    rounds = 3 if FULL else 1
    with Nodes(tmp_path, broker, *QUICK_TO_MISS) as nodes:
        nodes.add()
        await nodes.serve(PARTITIONS)
        async with tally(broker) as answered:
            storm = asyncio.create_task(blow(nodes))
            for _ in range(rounds):
                texts = numbered(SESSIONS, 2 * SESSIONS)
                await sender.send(((session, f"sleep:{CALL_S} {text}") for session, text in texts), 2 * SESSIONS / 10)
                await asyncio.sleep(STORM_S / rounds / 2)
            await storm
            for node in nodes.all:
                if not node.running:
                    node.start()
            await answered.reaches(len(sender.sent), 120, nodes.tails)
        await until(lambda: lag(broker) == 0, 60, "nothing is left to be read", nodes.tails)
        checker = check(read_kafka(broker), sender.sent)
        nodes.check_calm()
    assert checker.report.answered == len(sender.sent)
    assert checker.report.claims > PARTITIONS


async def blow(nodes: Nodes) -> None:
    """The storm: who leaves does so in good order, or by kill -9."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + STORM_S
    while loop.time() < end_s:
        running = [node for node in nodes.all if node.running]
        if len(running) > 1 and (len(running) >= NODES_MOST or random.random() < 0.5):
            await leave(random.choice(running))
        else:
            join(nodes)
        await asyncio.sleep(EVERY_S)


def join(nodes: Nodes) -> None:
    gone = [node for node in nodes.all if not node.running]
    if len(nodes.all) < NODES_MOST:
        nodes.add()
    elif gone:
        random.choice(gone).start()


async def leave(node: NodeProcess) -> None:
    if random.random() < 0.3:
        node.kill9()
    else:
        node.signal(signal.SIGTERM)
