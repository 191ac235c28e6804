"""Tables in RocksDB: what a process finds after bad luck with its files, and who may have the directory."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from chatstream.core.errors import DirectoryInUse, TableBroken
from chatstream.core.ids import PartitionNo
from chatstream.table.rocks import RocksTableStore

P0 = PartitionNo(0)

WRITER = """
import sys
from pathlib import Path
from chatstream.table.rocks import RocksTableStore
table = RocksTableStore(Path(sys.argv[1])).open(0)
for number in range(1000):
    table.write([(b"%08d" % number, b"first"), (b"last", b"%08d" % number)])
    print(number, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "tables"


@pytest.fixture
def store(place: Path) -> Iterator[RocksTableStore]:
    store = RocksTableStore(place)
    yield store
    store.close()


def filled(store: RocksTableStore) -> Path:
    """A closed table with enough in it that damage to its largest file hits rows. Gives its directory."""
    table = store.open(P0)
    random = Random(3)
    for number in range(300):
        table.write([(b"%06d" % number, random.randbytes(2_000))])
    table.close()
    store.open(P0).close()
    return store.path / "0"


def test_what_was_written_before_kill_9_is_there(place: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(place)], stdout=subprocess.PIPE, stdin=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline() for _ in range(500)]
        writer.send_signal(signal.SIGKILL)
    store = RocksTableStore(place)
    rows = dict(store.open(P0).scan(b"", b"z"))
    store.close()
    last = int(rows.pop(b"last"))
    assert last >= int(told[-1])
    assert sorted(rows) == [b"%08d" % number for number in range(last + 1)]


def test_a_second_process_is_refused_with_the_directory_named(place: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(place)], stdout=subprocess.PIPE, stdin=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(DirectoryInUse, match=r"another process has the tables in .*tables open"):
            RocksTableStore(place)
        writer.kill()
    RocksTableStore(place).close()


def test_a_second_store_in_the_same_process_is_refused(store: RocksTableStore) -> None:
    with pytest.raises(DirectoryInUse):
        RocksTableStore(store.path)


@pytest.mark.parametrize("name", ["CURRENT", "MANIFEST-*"])
def test_a_table_with_garbage_in_its_files_is_broken_until_it_is_destroyed(store: RocksTableStore, name: str) -> None:
    directory = filled(store)
    for file in directory.glob(name):
        file.write_bytes(b"garbage\n")
    with pytest.raises(TableBroken, match="cannot be used"):
        store.open(P0)
    store.destroy(P0)
    assert store.open(P0).get(b"000001") is None


def test_a_missing_file_is_noticed(store: RocksTableStore) -> None:
    directory = filled(store)
    max(directory.glob("*.sst"), key=os.path.getsize).unlink()
    with pytest.raises(TableBroken):
        store.open(P0)


def test_a_file_in_the_place_of_the_table_is_noticed_and_removed(store: RocksTableStore) -> None:
    (store.path / "0").write_text("not a directory")
    with pytest.raises(TableBroken):
        store.open(P0)
    store.destroy(P0)
    store.open(P0).close()


@pytest.fixture
def damaged(store: RocksTableStore) -> RocksTableStore:
    """Opens without an error, and has a damaged block in the middle."""
    file = max(filled(store).glob("*.sst"), key=os.path.getsize)
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 50_000] = bytes(50_000)
    file.write_bytes(content)
    return store


def test_a_damaged_block_ends_no_scan_quietly(damaged: RocksTableStore) -> None:
    table = damaged.open(P0)
    with pytest.raises(TableBroken):
        list(table.scan(b"", b"z"))
    with pytest.raises(TableBroken):
        list(table.scan_back(b"", b"z"))
    with pytest.raises(TableBroken):
        list(table.snapshot().scan(b"", b"z"))


def test_a_damaged_block_is_no_missing_row(damaged: RocksTableStore) -> None:
    table = damaged.open(P0)
    with pytest.raises(TableBroken):
        [table.get(b"%06d" % number) for number in range(300)]
    view = table.snapshot()
    with pytest.raises(TableBroken):
        [view.get(b"%06d" % number) for number in range(300)]


def test_who_reads_on_after_the_table_was_closed_is_told(store: RocksTableStore) -> None:
    table = store.open(P0)
    table.write([(b"a", b"1"), (b"b", b"2")])
    rows, view = table.scan(b"", b"z"), table.snapshot()
    assert next(rows) == (b"a", b"1")
    table.close()
    with pytest.raises(TableBroken, match="closed while"):
        next(rows)
    with pytest.raises(TableBroken, match="closed while"):
        view.get(b"a")


def test_a_closed_store_opens_nothing(store: RocksTableStore) -> None:
    store.close()
    store.close()
    with pytest.raises(TableBroken, match="closed"):
        store.open(P0)
