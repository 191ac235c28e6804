"""Tables that go bad while they are open, as files on a failing disk do."""

from collections.abc import Iterator, Sequence

from chatstream.core.errors import TableBroken
from chatstream.core.ids import PartitionNo
from chatstream.table.memory import MemoryTable, MemoryTableStore
from chatstream.table.port import Change, View


class RottingTable:
    """A table that raises TableBroken for everything as long as its partition is in `rotten`."""

    def __init__(self, table: MemoryTable, partition: PartitionNo, rotten: set[PartitionNo]) -> None:
        self._table = table
        self._partition = partition
        self._rotten = rotten

    def _sound(self) -> MemoryTable:
        if self._partition in self._rotten:
            raise TableBroken("the disk is failing")
        return self._table

    def get(self, key: bytes) -> bytes | None:
        """See View."""
        return self._sound().get(key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See View."""
        return self._sound().scan(start, stop)

    def scan_back(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See View."""
        return self._sound().scan_back(start, stop)

    def write(self, changes: Sequence[Change]) -> None:
        """See Table."""
        self._sound().write(changes)

    def snapshot(self) -> View:
        """See Table."""
        return self._sound().snapshot()

    def clear(self) -> None:
        """See Table."""
        self._sound().clear()

    def size_bytes(self) -> int:
        """See Table."""
        return self._sound().size_bytes()

    def close(self) -> None:
        """See Table."""
        self._table.close()


class RottingTables:
    """A store whose tables can go bad. rotten: which have; the one who starts it owns it and adds to it."""

    def __init__(self, tables: MemoryTableStore, rotten: set[PartitionNo]) -> None:
        self._tables = tables
        self._rotten = rotten

    def open(self, partition: PartitionNo) -> RottingTable:
        """See TableStore. Half of the bad ones can still be opened."""
        if partition in self._rotten and partition % 2:
            raise TableBroken("the disk is failing")
        return RottingTable(self._tables.open(partition), partition, self._rotten)

    def destroy(self, partition: PartitionNo) -> None:
        """See TableStore."""
        self._tables.destroy(partition)
        self._rotten.discard(partition)

    def close(self) -> None:
        """See TableStore."""
        self._tables.close()
