"""Compaction of the embedded log on a real disk: what has a tombstone is gone, and nothing else is."""

import asyncio
import threading
from pathlib import Path
from random import Random

import pytest

from chatstream.core.ids import PartitionNo
from chatstream.log.embedded import EmbeddedLog
from chatstream.log.port import Topic
from tests.contract.conftest import Acks
from tests.integration.test_embedded_log import values

P0 = PartitionNo(0)
SLOW_S = 30.0


def holding(path: Path, what: bytes) -> list[str]:
    """Names of the files below a directory that have these bytes in them."""
    return [file.name for file in path.rglob("*") if file.is_file() and what in file.read_bytes()]


async def put(log: EmbeddedLog, *pairs: tuple[bytes, bytes | None]) -> None:
    """Append these keys and values to chat.events."""
    acks = Acks()
    producer = log.open_producer(acks)
    for number, (key, value) in enumerate(pairs):
        producer.append(Topic.EVENTS, P0, key, value, (), number)
    await acks.count(len(pairs))


async def test_compaction_leaves_nothing_of_it_on_the_disk(tmp_path: Path) -> None:
    secret, other = Random(1).randbytes(64), Random(2).randbytes(64)  # nothing that compression would change
    log = EmbeddedLog(tmp_path, 1)
    await log.open()
    await put(log, (b"s/1", secret), (b"t/1", other), (b"s/1", None))
    assert holding(tmp_path, secret)
    await log.compact()
    assert holding(tmp_path, secret) == []
    assert holding(tmp_path, other)
    await log.close()
    log = EmbeddedLog(tmp_path, 1)
    await log.open()
    assert await log.bounds(Topic.EVENTS, P0) == (0, 3)
    assert await values(log, Topic.EVENTS) == [other, None]
    await log.close()


async def test_a_tombstone_goes_once_it_is_not_the_last_record_any_more(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path, 1)
    await log.open()
    await put(log, (b"s/1", b"one"), (b"s/1", None))
    await log.compact()
    await log.compact()
    assert await values(log, Topic.EVENTS) == [None]
    await put(log, (b"t/1", b"two"))
    await log.compact()
    assert await values(log, Topic.EVENTS) == [b"two"]
    assert log.files.tombstones((Topic.EVENTS, P0), 99, 10) == {}
    await log.close()


async def test_a_record_that_came_behind_its_tombstone_stays(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path, 1)
    await log.open()
    await put(log, (b"s/1", b"one"), (b"s/1", None), (b"s/1", b"again"), (b"s/2", b"x"))
    await log.compact()
    assert await values(log, Topic.EVENTS) == [b"again", b"x"]
    await log.close()


@pytest.mark.parametrize("count", [2, 3, 4])
async def test_more_tombstones_than_fit_one_pass_take_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr("chatstream.log.embedded_compaction.TOMBSTONES_MOST", 3)
    monkeypatch.setattr("chatstream.log.embedded_compaction.STEP", 2)
    log = EmbeddedLog(tmp_path, 1)
    await log.open()
    keys = [b"s/%d" % number for number in range(count)]
    await put(log, *((key, key) for key in keys), *((key, None) for key in keys), (b"t/1", b"last"))
    await log.compact()
    assert await values(log, Topic.EVENTS) == [b"last"]
    await log.close()


async def test_what_is_not_acknowledged_yet_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = EmbeddedLog(tmp_path, 1, fsync=True)
    await log.open()
    acks, disk, sync = Acks(), threading.Event(), log.files.sync

    def slow() -> None:
        disk.wait(SLOW_S)
        sync()

    monkeypatch.setattr(log.files, "sync", slow)
    producer = log.open_producer(acks)
    for number, value in enumerate((b"one", None)):
        producer.append(Topic.EVENTS, P0, b"s/1", value, (), number)
    await asyncio.sleep(0)  # written, and on its way to the disk
    await log.compact()
    written = log.files.read((Topic.EVENTS, P0), 0, 2, 10, 1_000)
    assert not acks.all
    assert [record.value for record in written] == [b"one", None]
    disk.set()
    await acks.count(2)
    await log.close()


async def test_a_log_is_closed_in_the_middle_of_a_compaction(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path, 1)
    await log.open()
    await put(log, *((b"s/%d" % number, Random(number).randbytes(1_000)) for number in range(20_000)))
    await put(log, *((b"s/%d" % number, None) for number in range(10_000)), (b"t", b"t"))
    compacting = asyncio.create_task(log.compact())
    while log.files.tombstones((Topic.EVENTS, P0), 99_999, 1):  # noqa: ASYNC110  # the files tell nobody
        await asyncio.sleep(0)
    compacting.cancel()
    await log.close()
    log = EmbeddedLog(tmp_path, 1)
    await log.open()
    assert await log.bounds(Topic.EVENTS, P0) == (0, 30_001)
    await log.close()
