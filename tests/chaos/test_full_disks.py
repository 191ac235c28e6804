"""The disk is full: under the tables of a node, and under the broker."""

from pathlib import Path
from typing import Final

import pytest

from tests.broker import Cluster, require_kafka
from tests.chaos.small_disk import small_disk
from tests.checking.checker import check
from tests.checking.raw import lag, read_kafka
from tests.load import KafkaSender, numbered, tally
from tests.nodes import Nodes
from tests.scale import full_only
from tests.until import until

PARTITIONS: Final = 16
SESSIONS: Final = 64
TABLES_MIB: Final = 1024
BROKER_MIB: Final = 512
NOTICE_S: Final = 60.0

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


@full_only
async def test_a_node_goes_on_when_there_is_room_for_its_tables_again(tmp_path: Path, broker: str) -> None:
    sender = KafkaSender(broker)
    with small_disk(tmp_path / "node-1" / "tables", TABLES_MIB) as disk, Nodes(tmp_path, broker) as nodes:
        node = nodes.add()
        await node.serves(PARTITIONS)
        async with tally(broker) as answered:
            await sender.send(numbered(SESSIONS, SESSIONS))
            await answered.reaches(SESSIONS, 60, nodes.tails)
            disk.fill()
            await sender.send((session, f"{text} {'x' * 20_000}") for session, text in numbered(SESSIONS, 4 * SESSIONS))
            await until(lambda: node.served() < PARTITIONS, NOTICE_S, "the full disk is noticed", node.tail)
            assert node.running
            disk.free()
            await answered.reaches(len(sender.sent), 90, nodes.tails)
        await node.serves(PARTITIONS)
        await until(lambda: lag(broker) == 0, 30, "nothing is left to be read", nodes.tails)
        checker = check(read_kafka(broker), sender.sent)
        assert checker.report.answered == len(sender.sent)
        nodes.check_calm()


@full_only
async def test_what_a_broker_acknowledged_before_its_disk_was_full_is_answered_and_nodes_go_on(tmp_path: Path) -> None:
    require_kafka()
    with small_disk(tmp_path / "disk", BROKER_MIB) as disk, Cluster(1, directory=disk.path / "kafka") as cluster:
        sender = KafkaSender(cluster.bootstrap)
        with Nodes(tmp_path, cluster.bootstrap) as nodes:
            node = nodes.add()
            await node.serves(PARTITIONS)
            async with tally(cluster.bootstrap) as answered:
                await sender.send(numbered(SESSIONS, SESSIONS))
                await answered.reaches(SESSIONS, 60, nodes.tails)
                disk.fill()
                for session, text in numbered(SESSIONS, SESSIONS):
                    sender.put(session, f"{text} {'x' * 5_000}")
                process = cluster.servers[0].process
                assert process is not None
                # A broker whose only disk fails ends itself.
                await until(lambda: process.poll() is not None, NOTICE_S, "the broker gives up")
                disk.free()
                cluster.restart(0)
                cluster.wait_ready()
                await sender.send(numbered(SESSIONS, SESSIONS))
                await answered.reaches(len(sender.sent), 120, nodes.tails)
            await until(lambda: lag(cluster.bootstrap) == 0, 30, "nothing is left to be read", nodes.tails)
            checker = check(read_kafka(cluster.bootstrap), sender.sent)
            assert checker.report.answered == len(sender.sent)
            assert node.running
            assert node.starts == 1
            nodes.check_calm()
