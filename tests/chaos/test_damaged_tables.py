"""Tables that a disk, a backup or a full file system spoiled: the log is the truth, and the tables come back from it."""

import resource
import shutil
from pathlib import Path

import pytest

from tests.checking.checker import check
from tests.checking.raw import lag, read_kafka
from tests.load import HttpClient, KafkaSender, numbered, tally
from tests.nodes import NodeProcess, Nodes
from tests.scale import full_only
from tests.until import until

PARTITIONS = 16
SESSIONS = 64
FULL_BYTES = 4096

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


def truncate(table: Path) -> None:
    for file in files(table):
        with file.open("r+b") as opened:
            opened.truncate(file.stat().st_size // 2)


def flip_bits(table: Path) -> None:
    for file in files(table):
        content = bytearray(file.read_bytes())
        for place in range(len(content) // 3, len(content), max(1, len(content) // 5)):
            content[place] ^= 0x55
        file.write_bytes(content)


def files(table: Path) -> list[Path]:
    """What holds its rows, not the lock and the notes beside them."""
    return [file for file in table.iterdir() if file.suffix in (".sst", ".log") or file.name.startswith("MANIFEST")]


def flip_rows_only(table: Path) -> None:
    """It opens, and is found broken only when it is read."""
    for file in table.glob("*.sst"):
        content = bytearray(file.read_bytes())
        content[len(content) // 4] ^= 0x55
        file.write_bytes(content)


def replace_by_garbage(table: Path) -> None:
    shutil.rmtree(table)
    table.write_bytes(b"not a directory")


async def test_every_damage_is_repaired_from_the_log(tmp_path: Path, broker: str) -> None:
    """Truncated, bits flipped, yesterday's copy, another partition's, gone, garbage: each in some of the partitions."""
    sender = KafkaSender(broker)
    with Nodes(tmp_path, broker) as nodes:
        node = nodes.add()
        await node.serves(PARTITIONS)
        tables, yesterday = node.data / "tables", tmp_path / "yesterday"
        async with tally(broker) as answered:
            for _ in range(2):  # the second start writes the rows of the first into sorted files
                await sender.send(numbered(SESSIONS, SESSIONS))
                await answered.reaches(len(sender.sent), 60)
                node.kill9()
                if not yesterday.exists():
                    shutil.copytree(tables, yesterday)
                node.start()
                await node.serves(PARTITIONS)
            node.kill9()
            damage(tables, yesterday)
            node.start()
            await node.serves(PARTITIONS)
            await sender.send(numbered(SESSIONS, SESSIONS))
            await answered.reaches(len(sender.sent), 60, nodes.tails)
        await checked(nodes, broker, sender)


def damage(tables: Path, yesterday: Path) -> None:
    for number in range(3):
        truncate(tables / str(number))
        flip_bits(tables / str(3 + number))
        flip_rows_only(tables / str(6 + number))
    for number in (9, 10):
        shutil.rmtree(tables / str(number))
        shutil.copytree(yesterday / str(number), tables / str(number))
    (tables / "11").rename(tables / "other")
    (tables / "12").rename(tables / "11")
    (tables / "other").rename(tables / "12")
    shutil.rmtree(tables / "13")
    replace_by_garbage(tables / "14")


async def checked(nodes: Nodes, broker: str, sender: KafkaSender) -> None:
    """The checker's word, and every session as it is shown is as the topics say."""
    await until(lambda: lag(broker) == 0, 30, "nothing is left to be read", nodes.tails)
    names = [f"s-{number}" for number in range(SESSIONS)]
    async with HttpClient(nodes.urls) as client:
        final = {name: await client.history(name) for name in names}
    checker = check(read_kafka(broker), sender.sent)
    assert checker.report.answered == len(sender.sent)
    assert final == {name: [event.value for event in checker.history[name]] for name in names}
    nodes.check_calm()


@full_only
async def test_a_full_disk_under_the_tables_stops_nothing_for_good(tmp_path: Path, broker: str) -> None:
    """No file may grow any more, as on a full disk; when there is room again, the node goes on by itself."""
    sender = KafkaSender(broker)
    with Nodes(tmp_path, broker) as nodes:
        node = nodes.add()
        await node.serves(PARTITIONS)
        async with tally(broker) as answered:
            await sender.send(numbered(SESSIONS, SESSIONS))
            await answered.reaches(SESSIONS, 60)
            limit_files(node, FULL_BYTES)
            await sender.send(numbered(SESSIONS, 4 * SESSIONS))
            await until(lambda: node.served() < PARTITIONS, 30, "the full disk is noticed", node.tail)
            assert node.running
            limit_files(node, resource.RLIM_INFINITY)
            await answered.reaches(len(sender.sent), 90, nodes.tails)
        await node.serves(PARTITIONS)
        await checked(nodes, broker, sender)


def limit_files(node: NodeProcess, size_bytes: int) -> None:
    """How large a file of the process may become: what it would write beyond fails."""
    assert node.process is not None
    resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))
