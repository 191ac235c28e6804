"""The embedded log on a real disk: kill -9, a second process, a full disk, old records."""

import asyncio
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from chatstream.core.errors import BadSettings, DirectoryInUse, LogReplaced, LogUnavailable, QueueFull, UnknownFormat
from chatstream.core.ids import Offset, PartitionNo
from chatstream.log.embedded import RETENTION_S, EmbeddedLog
from chatstream.log.embedded_journal import Place, Stalled
from chatstream.log.port import Lease, Record, Topic
from chatstream.log.sizes import record_bytes
from tests.contract.conftest import WAIT_S, Acks, Member

P0 = PartitionNo(0)
DAY_MS = 86_400_000

WRITER = """
import asyncio, sys
from pathlib import Path
from chatstream.log.embedded import EmbeddedLog
from chatstream.log.port import Topic

async def main():
    log = EmbeddedLog(Path(sys.argv[1]), 1, fsync=sys.argv[2] == "fsync")
    await log.open()
    def on_acks(acks):
        for ack in acks:
            print(ack.tag, ack.offset, flush=True)
        for ack in acks:
            append(ack.tag + 20)
    producer = log.open_producer(on_acks)
    def append(number):
        producer.append(Topic.EVENTS, 0, b"key", b"%d" % number, (), number)
    for number in range(20):
        append(number)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def writer(path: Path, mode: str = "no-fsync") -> "subprocess.Popen[bytes]":
    """A process that appends for ever and prints every ack."""
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path), mode], stdout=subprocess.PIPE)


async def append(log: EmbeddedLog, *values: bytes, topic: Topic = Topic.MESSAGES) -> Acks:
    acks = Acks()
    producer = log.open_producer(acks)
    for value in values:
        producer.append(topic, P0, b"key", value, (), value)
    await acks.count(len(values))
    return acks


async def values(log: EmbeddedLog, topic: Topic) -> list[bytes | None]:
    start, end = await log.bounds(topic, P0)
    reader = log.open_reader(topic, P0, start)
    found: list[bytes | None] = []
    while reader.position < end:
        found += [record.value for record in await reader.read(1_000, WAIT_S)]
    return found


@pytest.mark.parametrize("mode", ["fsync", "no-fsync"])
async def test_what_was_acknowledged_before_kill_9_is_there(tmp_path: Path, mode: str) -> None:
    told: list[tuple[int, int]] = []
    for _ in range(2):
        with writer(tmp_path, mode) as process:
            assert process.stdout is not None
            for _ in range(300):
                tag, offset = process.stdout.readline().split()
                told.append((int(tag), int(offset)))
            process.send_signal(signal.SIGKILL)
    log = EmbeddedLog(tmp_path, 1)
    await log.open()
    landed = await values(log, Topic.EVENTS)
    await log.close()
    assert all(landed[offset] == b"%d" % tag for tag, offset in told)
    second = landed.index(b"0", 1)
    for run in (landed[:second], landed[second:]):
        assert run == [b"%d" % number for number in range(len(run))]


async def test_a_second_process_is_refused_with_the_directory_named(tmp_path: Path) -> None:
    with writer(tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(DirectoryInUse, match=r"another process has the log in .* open: stop it"):
            await EmbeddedLog(tmp_path, 1).open()
        process.kill()
    log = EmbeddedLog(tmp_path, 1)
    await log.open()
    await log.close()


async def test_another_partition_count_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path, 2)
    await log.open()
    identity = await log.identify()
    await log.close()
    with pytest.raises(BadSettings, match="has 2 partitions, asked for are 3"):
        await EmbeddedLog(tmp_path, 3).open()
    log = EmbeddedLog(tmp_path, 2)
    await log.open()
    assert await log.identify() == identity
    assert [identity[topic].partitions for topic in Topic] == [2, 2, 2, 1, 1]
    await log.close()


async def test_a_newer_programs_log_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        newer.setattr("chatstream.log.embedded_files.FORMAT", 2)
        log = EmbeddedLog(tmp_path, 1)
        await log.open()
        await log.close()
    with pytest.raises(UnknownFormat, match="upgrade"):
        await EmbeddedLog(tmp_path, 1).open()


async def test_files_that_cannot_be_read_are_an_error_that_names_them(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path, 1)
    await log.open()
    await log.close()
    (tmp_path / "CURRENT").write_text("garbage\n")
    with pytest.raises(LogUnavailable, match=str(tmp_path)):
        await EmbeddedLog(tmp_path, 1).open()


async def test_old_records_go_and_offsets_go_on(tmp_path: Path) -> None:
    now_ms = [1_800_000_000_000]
    log = EmbeddedLog(tmp_path, 1, now_ms=lambda: now_ms[0])
    await log.open()
    for value in (b"0", b"1", b"2"):
        for topic in (Topic.MESSAGES, Topic.EVENTS, Topic.REPLIES):
            await append(log, value, topic=topic)
        now_ms[0] += DAY_MS
    log.group().commit({P0: Offset(3)})
    now_ms[0] += 4 * DAY_MS  # the first is 7 days old to the millisecond, which is not past it
    await log.remove_old()
    assert await log.bounds(Topic.MESSAGES, P0) == (0, 3)
    now_ms[0] += 1
    await log.remove_old()
    assert await log.bounds(Topic.MESSAGES, P0) == (1, 3)
    assert await values(log, Topic.MESSAGES) == [b"1", b"2"]
    now_ms[0] += 100 * DAY_MS
    await log.remove_old()
    bounds = [await log.bounds(topic, P0) for topic in (Topic.MESSAGES, Topic.EVENTS, Topic.REPLIES)]
    assert bounds == [(3, 3), (0, 3), (3, 3)]
    await log.close()
    log = EmbeddedLog(tmp_path, 1, now_ms=lambda: now_ms[0])
    await log.open()
    assert [await log.bounds(topic, P0) for topic in (Topic.MESSAGES, Topic.EVENTS, Topic.REPLIES)] == bounds
    assert (await append(log, b"3")).all[0].offset == 3
    with pytest.raises(LogReplaced, match="outside the log"):
        await log.open_reader(Topic.MESSAGES, P0, Offset(2)).read(1, 0)
    await log.close()


async def test_a_message_that_nobody_has_read_yet_does_not_grow_too_old(tmp_path: Path) -> None:
    now_ms = [1_800_000_000_000]
    log = EmbeddedLog(tmp_path, 1, now_ms=lambda: now_ms[0])
    await log.open()
    await append(log, b"0", b"1", b"2")
    now_ms[0] += 100 * DAY_MS
    await log.remove_old()
    assert await log.bounds(Topic.MESSAGES, P0) == (0, 3)
    log.group().commit({P0: Offset(2)})
    await log.remove_old()
    assert await log.bounds(Topic.MESSAGES, P0) == (2, 3)
    await log.close()


def test_only_the_topics_that_say_so_forget() -> None:
    assert set(RETENTION_S) == {Topic.MESSAGES, Topic.REPLIES, Topic.DEAD_LETTERS}


async def test_a_backlog_is_handed_over_in_pieces_of_500(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path, 1)
    await log.open()
    await append(log, *(b"%d" % number for number in range(1_001)))
    sizes: list[int] = []

    class Counting(Member):
        def on_records(self, *args: object) -> None:
            sizes.append(len(args[2]))  # type: ignore[arg-type] # the third is the records
            super().on_records(*args)  # type: ignore[arg-type] # as given

    group, member = log.group(), Counting()
    await group.join(member)
    await member.until(lambda: bool(member.held))
    group.fetch_from(P0, Offset(0), Lease(1))
    await member.until(lambda: len(member.records) >= 1_001)
    assert sizes == [500, 500, 1]
    await append(log, *(b"%d" % number for number in range(501)))
    await member.until(lambda: len(member.records) >= 1_502)
    assert sizes == [500, 500, 1, 500, 1]
    await log.close()


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_many_old_records_go_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr("chatstream.log.embedded.RETENTION_STEP", 2)
    now_ms = [1_800_000_000_000]
    log = EmbeddedLog(tmp_path, 1, now_ms=lambda: now_ms[0])
    await log.open()
    await append(log, *(b"%d" % number for number in range(count)), topic=Topic.REPLIES)
    now_ms[0] += 31 * DAY_MS
    await log.remove_old()
    assert await log.bounds(Topic.REPLIES, P0) == (count, count)
    await log.close()


async def test_the_queue_takes_so_many_bytes_and_not_one_more(tmp_path: Path) -> None:
    size = record_bytes(b"key", b"12345", ())
    log = EmbeddedLog(tmp_path, 1, queue_bytes=2 * size)
    await log.open()
    acks = Acks()
    producer = log.open_producer(acks)
    producer.append(Topic.EVENTS, P0, b"key", b"12345", (), 1)
    with pytest.raises(QueueFull, match="bytes"):
        producer.append(Topic.EVENTS, P0, b"key", b"123456", (), "too much")
    producer.append(Topic.EVENTS, P0, b"key", b"12345", (), 2)
    await acks.count(2)
    producer.append(Topic.EVENTS, P0, b"key", bytes(3 * size), (), "alone, so that it gets through at all")
    await acks.count(3)
    assert [ack.offset for ack in acks.all] == [0, 1, 2]
    await log.close()


async def test_a_read_is_bounded_in_bytes_and_gives_at_least_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatstream.log.embedded_journal.READ_BYTES", 2_100)
    log = EmbeddedLog(tmp_path, 1)
    await log.open()
    await append(log, bytes(1_000), bytes(1_000), bytes(1_000), bytes(5_000), b"last")
    reader = log.open_reader(Topic.MESSAGES, P0, Offset(0))
    sizes = [[len(record.value or b"") for record in await reader.read(10, 0)] for _ in range(5)]
    assert sizes == [[1_000, 1_000], [1_000], [5_000], [4], []]
    await log.close()


async def test_a_burst_that_rocksdb_has_to_make_room_for_is_acknowledged_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatstream.log.embedded_files.WRITE_BUFFER_BYTES", 64 * 1024)
    monkeypatch.setattr("chatstream.log.embedded_files.WRITE_BUFFERS", 2)
    log = EmbeddedLog(tmp_path, 1)
    await log.open()
    stalls, write = 0, log.files.write

    def counting(records: Sequence[tuple[Place, Record]]) -> None:
        nonlocal stalls
        try:
            write(records)
        except Stalled:
            stalls += 1
            raise

    monkeypatch.setattr(log.files, "write", counting)
    acks = Acks()
    producer = log.open_producer(acks)
    for number in range(300):
        producer.append(Topic.EVENTS, P0, b"key", Random(number).randbytes(20_000), (), number)
        if number % 5 == 0:
            await asyncio.sleep(0)
    await acks.count(300)
    assert [(ack.tag, ack.offset) for ack in acks.all] == [(number, number) for number in range(300)]
    assert stalls > 0
    await log.close()


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from chatstream.core.errors import LogError, LogUnavailable, OutcomeUnknown
from chatstream.log.embedded import EmbeddedLog
from chatstream.log.port import Topic

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def main():
    log = EmbeddedLog(Path(sys.argv[1]), 1, fsync=sys.argv[2] == "fsync")
    await log.open()
    landed, failed, told = [], [], asyncio.Event()
    def on_acks(acks):
        for ack in acks:
            (landed if ack.error is None else failed).append(ack)
        told.set()
    async def append(producer, count):
        for _ in range(count):
            producer.append(Topic.EVENTS, 0, b"key", bytes(10_000), (), None)
            told.clear()
            await told.wait()
    limit(200_000)
    producer = log.open_producer(on_acks)
    await append(producer, 40)
    assert landed and failed, (len(landed), len(failed))
    assert {type(ack.error) for ack in failed} == {OutcomeUnknown}
    good = len(landed)
    other = log.open_producer(on_acks)
    await append(other, 3)
    assert len(landed) == good and len(failed) == 43 - good
    limit(resource.RLIM_INFINITY)
    end = None
    async with asyncio.timeout(30):
        while end is None:
            try:
                end = (await log.bounds(Topic.EVENTS, 0))[1]
            except LogUnavailable:
                await asyncio.sleep(0.01)
    assert end >= good
    await append(producer, 2)
    assert len(landed) == good
    third = log.open_producer(on_acks)
    await append(third, 2)
    assert [ack.offset for ack in landed] == [*range(good), end, end + 1]
    await log.close()
    print("fine", end)

asyncio.run(main())
"""


@pytest.fixture(params=["fsync", "no-fsync"])
def was_full(request: pytest.FixtureRequest, tmp_path: Path) -> int:
    """A log whose disk was full for a while. Gives the end that it had when there was room again."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path), request.param]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("fine"), done.stderr
    return int(done.stdout.split()[1]) + 2


async def test_on_a_full_disk_appends_fail_loudly_and_the_log_comes_back_when_there_is_room(
    tmp_path: Path, was_full: int
) -> None:
    log = EmbeddedLog(tmp_path, 1)
    await log.open()
    assert await log.bounds(Topic.EVENTS, P0) == (0, was_full)
    assert len(await values(log, Topic.EVENTS)) == was_full
    await log.close()
