"""What tables in memory can do beyond the contract: die with their process, come from an old copy, be unreadable."""

import pytest

from chatstream.core.errors import TableBroken
from chatstream.core.ids import PartitionNo
from chatstream.table.memory import MemoryTableStore

P0 = PartitionNo(0)


def test_the_next_process_finds_the_rows_and_the_dead_one_changes_nothing() -> None:
    store = MemoryTableStore()
    table = store.open(P0)
    table.write([(b"a", b"1")])
    heir = store.after_crash()
    with pytest.raises(TableBroken, match="closed"):
        table.write([(b"a", b"2")])
    assert heir.open(P0).get(b"a") == b"1"


def test_what_the_dead_process_opens_late_is_not_the_heirs() -> None:
    store = MemoryTableStore()
    store.open(P0).write([(b"a", b"1")])
    heir = store.after_crash()
    store.open(P0).write([(b"a", b"2")])
    assert heir.open(P0).get(b"a") == b"1"


def test_a_copy_stays_as_it_was() -> None:
    store = MemoryTableStore()
    table = store.open(P0)
    table.write([(b"a", b"1"), (b"b", b"1")])
    copy = store.copy()
    table.write([(b"a", b"2"), (b"b", None), (b"c", b"2")])
    old = copy.open(P0)
    assert list(old.scan(b"a", b"z")) == [(b"a", b"1"), (b"b", b"1")]
    old.write([(b"a", b"3")])
    assert table.get(b"a") == b"2"


def test_a_broken_table_is_readable_again_when_it_was_destroyed() -> None:
    store = MemoryTableStore()
    store.open(P0).write([(b"a", b"1")])
    store.broken.add(P0)
    with pytest.raises(TableBroken):
        store.open(P0)
    with pytest.raises(TableBroken):
        store.copy().open(P0)
    store.destroy(P0)
    assert store.open(P0).get(b"a") is None


def test_a_crash_before_a_write_leaves_no_row_and_one_after_it_leaves_it() -> None:
    class Crash(BaseException):
        pass

    for at, expected in (("before write", None), ("after write", b"1")):

        def die(what: str, at: str = at) -> None:
            if what == at:
                raise Crash

        store = MemoryTableStore(on_write=die)
        table = store.open(P0)
        with pytest.raises(Crash):
            table.write([(b"a", b"1")])
        assert table.get(b"a") == expected
