"""One node on real Kafka, killed with -9 at random while a producer goes on."""

import asyncio
from pathlib import Path

import pytest

from tests.checking.checker import check
from tests.checking.raw import lag, read_kafka
from tests.load import KafkaSender, numbered, tally
from tests.nodes import NodeProcess, Nodes
from tests.scale import SCALE, full_only, spread
from tests.until import until

SESSIONS = 40
PARTITIONS = 16
PER_S = 200.0


@pytest.mark.kafka
@pytest.mark.parametrize(
    "drop_table", [pytest.param(False, marks=full_only, id="table kept"), pytest.param(True, id="table deleted")]
)
@pytest.mark.timeout(SCALE.limit_s)
async def test_killed_at_random_moments_each_message_is_answered_once_and_in_order(
    tmp_path: Path, broker: str, drop_table: bool
) -> None:
    sender = KafkaSender(broker)
    with Nodes(tmp_path, broker) as nodes:
        node = nodes.add()
        await node.serves(PARTITIONS)
        async with tally(broker) as answered:
            await asyncio.gather(
                sender.send(numbered(SESSIONS, SCALE.messages), PER_S),
                spread(SCALE.kills, SCALE.messages, lambda: answered.count, lambda _: restart(node, drop_table)),
            )
            await answered.reaches(SCALE.messages, SCALE.limit_s)
        await until(lambda: lag(broker) == 0, 30, "nothing is left to be read", nodes.tails)
        assert await node.end() == 0
        checker = check(read_kafka(broker), sender.sent)
        assert checker.report.answered == SCALE.messages
        nodes.check_calm()


async def restart(node: NodeProcess, drop_table: bool) -> None:
    """kill -9, and start it again."""
    node.kill9()
    if drop_table:
        node.drop_table()
    node.start()
    await node.serves(PARTITIONS)
