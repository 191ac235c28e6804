"""What every table store promises. Both stores pass the same tests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from chatstream.core.errors import DirectoryInUse, TableBroken
from chatstream.core.ids import PartitionNo
from chatstream.table.memory import MemoryTableStore
from chatstream.table.port import Table, TableStore
from chatstream.table.rocks import RocksTableStore

P0, P1 = PartitionNo(0), PartitionNo(1)
Reopen = Callable[[], TableStore]


@pytest.fixture(params=["memory", "rocks"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reopen]:
    """Gives the store as the next process finds it: the one before is closed."""
    opened: list[TableStore] = []

    def again() -> TableStore:
        before = opened[-1] if opened else None
        if before is not None:
            before.close()
        if request.param == "rocks":
            opened.append(RocksTableStore(tmp_path / "tables", block_cache_bytes=1024 * 1024))
        else:
            opened.append(before.after_crash() if isinstance(before, MemoryTableStore) else MemoryTableStore())
        return opened[-1]

    yield again
    for store in opened:
        store.close()


@pytest.fixture
def store(reopen: Reopen) -> TableStore:
    return reopen()


@pytest.fixture
def table(store: TableStore) -> Table:
    return store.open(P0)


def fill(table: Table, *keys: bytes) -> None:
    table.write([(key, b"value of " + key) for key in keys])


def test_a_row_that_was_written_is_read_and_one_that_was_not_is_none(table: Table) -> None:
    table.write([(b"a", b"1"), (b"empty", b"")])
    assert table.get(b"a") == b"1"
    assert table.get(b"empty") == b""
    assert table.get(b"b") is None


def test_a_row_is_replaced_and_deleted(table: Table) -> None:
    table.write([(b"a", b"1")])
    table.write([(b"a", b"2")])
    assert table.get(b"a") == b"2"
    table.write([(b"a", None), (b"never there", None)])
    assert table.get(b"a") is None
    assert list(table.scan(b"", b"z")) == []


def test_of_several_changes_of_one_row_the_last_holds(table: Table) -> None:
    table.write([(b"a", b"1"), (b"a", None), (b"a", b"3"), (b"b", b"1"), (b"b", None)])
    assert table.get(b"a") == b"3"
    assert table.get(b"b") is None


def test_nothing_to_write_is_no_error(table: Table) -> None:
    table.write([])
    assert list(table.scan(b"", b"z")) == []


def test_a_scan_starts_at_its_start_and_ends_before_its_stop(table: Table) -> None:
    fill(table, b"e", b"a", b"c", b"d", b"b")
    assert [key for key, _ in table.scan(b"b", b"d")] == [b"b", b"c"]
    assert [key for key, _ in table.scan_back(b"b", b"d")] == [b"c", b"b"]
    assert next(table.scan(b"b", b"d")) == (b"b", b"value of b")


def test_bounds_of_a_scan_need_not_be_rows(table: Table) -> None:
    fill(table, b"b", b"d")
    assert [key for key, _ in table.scan(b"a", b"c")] == [b"b"]
    assert [key for key, _ in table.scan_back(b"a", b"c")] == [b"b"]
    assert [key for key, _ in table.scan_back(b"c", b"z")] == [b"d"]


@pytest.mark.parametrize(("start", "stop"), [(b"x", b"z"), (b"b", b"b"), (b"d", b"b"), (b"0", b"9")])
def test_a_scan_of_nothing_gives_nothing(table: Table, start: bytes, stop: bytes) -> None:
    fill(table, b"a", b"b", b"c", b"d")
    assert list(table.scan(start, stop)) == []
    assert list(table.scan_back(start, stop)) == []


def test_keys_sort_as_bytes(table: Table) -> None:
    keys = [b"a" + number.to_bytes(8, "big") for number in (0, 1, 255, 256, 65_536, 2**40)]
    fill(table, *reversed(keys))
    assert [key for key, _ in table.scan(b"a", b"b")] == keys


def test_a_scan_shows_the_rows_of_the_moment_it_began(table: Table) -> None:
    fill(table, b"a", b"b", b"c")
    rows = table.scan(b"a", b"z")
    first = next(rows)
    table.write([(b"b", None), (b"bb", b"new"), (b"c", b"new")])
    assert [first, *rows] == [(b"a", b"value of a"), (b"b", b"value of b"), (b"c", b"value of c")]


def test_a_snapshot_does_not_see_later_writes_and_the_table_does(table: Table) -> None:
    fill(table, b"a", b"b")
    view = table.snapshot()
    table.write([(b"a", b"new"), (b"b", None), (b"c", b"new")])
    assert view.get(b"a") == b"value of a"
    assert view.get(b"c") is None
    assert [key for key, _ in view.scan(b"a", b"z")] == [b"a", b"b"]
    assert [key for key, _ in view.scan_back(b"a", b"z")] == [b"b", b"a"]
    assert [key for key, _ in table.scan(b"a", b"z")] == [b"a", b"c"]


def test_scans_and_gets_of_one_snapshot_may_take_turns(table: Table) -> None:
    fill(table, b"a", b"b", b"c", b"d")
    view = table.snapshot()
    table.clear()
    up, down = view.scan(b"a", b"z"), view.scan_back(b"a", b"d")
    seen = []
    for (high, _), (low, _) in zip(up, down, strict=False):
        assert view.get(b"d") == b"value of d"
        assert view.get(b"bb") is None
        seen.append((high, low))
    assert seen == [(b"a", b"c"), (b"b", b"b"), (b"c", b"a")]


def test_rows_are_there_when_the_store_is_opened_again(reopen: Reopen) -> None:
    fill(reopen().open(P0), b"a", b"b")
    table = reopen().open(P0)
    assert [key for key, _ in table.scan(b"a", b"z")] == [b"a", b"b"]


def test_rows_are_there_when_one_table_is_closed_and_opened_again(store: TableStore) -> None:
    table = store.open(P0)
    fill(table, b"a")
    table.close()
    table.close()
    assert store.open(P0).get(b"a") == b"value of a"


def test_partitions_do_not_see_each_other(store: TableStore) -> None:
    one, other = store.open(P0), store.open(P1)
    fill(one, b"a")
    assert other.get(b"a") is None
    store.destroy(P1)
    assert one.get(b"a") == b"value of a"


def test_a_cleared_table_is_empty_and_stays_so(reopen: Reopen) -> None:
    table = reopen().open(P0)
    fill(table, b"\x00", b"a", b"\xff\xff")
    table.clear()
    assert table.get(b"a") is None
    fill(table, b"b")
    table = reopen().open(P0)
    assert [key for key, _ in table.scan(b"", b"\xff" * 3)] == [b"b"]


def test_a_destroyed_table_is_made_anew(store: TableStore) -> None:
    table = store.open(P0)
    fill(table, b"a")
    table.close()
    store.destroy(P0)
    store.destroy(P0)
    assert store.open(P0).get(b"a") is None


def test_a_table_is_open_once_only_and_again_when_it_was_closed(store: TableStore) -> None:
    table = store.open(P0)
    with pytest.raises(DirectoryInUse, match="partition 0 is open already"):
        store.open(P0)
    table.close()
    store.open(P0).close()


def test_a_closed_table_says_so(store: TableStore) -> None:
    table = store.open(P0)
    fill(table, b"a", b"b")
    table.close()
    for use in (lambda: table.get(b"a"), lambda: list(table.scan(b"a", b"z")), lambda: table.write([(b"a", b"1")])):
        with pytest.raises(TableBroken, match="closed"):
            use()
    with pytest.raises(TableBroken, match="closed"):
        table.snapshot()


def test_a_table_can_be_closed_and_opened_while_somebody_still_looks(store: TableStore) -> None:
    table = store.open(P0)
    fill(table, b"a", b"b", b"c")
    rows = table.scan(b"a", b"z")
    next(rows)
    view = table.snapshot()
    table.close()
    assert store.open(P0).get(b"a") == b"value of a"
    del rows, view


def test_a_table_with_rows_is_larger_than_one_without(table: Table) -> None:
    before = table.size_bytes()
    table.write([(b"a", Random(1).randbytes(100_000))])
    assert before + 100_000 <= table.size_bytes() <= before + 300_000


def test_a_table_agrees_with_a_dict_over_random_changes(reopen: Reopen) -> None:
    random = Random(7)
    expected: dict[bytes, bytes] = {}
    table = reopen().open(P0)
    for _ in range(300):
        changes = [(b"%02d" % random.randrange(60), random.choice([None, b"%d" % random.random()])) for _ in range(5)]
        table.write(changes)
        for key, value in changes:
            expected.pop(key, None) if value is None else expected.update({key: value})
        start, stop = sorted(b"%02d" % random.randrange(60) for _ in range(2))
        wanted = sorted(item for item in expected.items() if start <= item[0] < stop)
        assert list(table.scan(start, stop)) == wanted
        assert list(table.scan_back(start, stop)) == wanted[::-1]
        if random.random() < 0.02:
            table = reopen().open(P0)


def test_a_table_that_is_open_is_not_opened_again(store: TableStore) -> None:
    table = store.open(P0)
    with pytest.raises(DirectoryInUse, match="open already"):
        store.open(P0)
    table.close()
    store.open(P0)
