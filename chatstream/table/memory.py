"""Tables in memory, for the simulation and for unit tests. A process that "crashes" leaves its store behind for the next.

Rows are copied on the first write after somebody began to look (a scan or a snapshot), so a look costs nothing by itself.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence

from chatstream.core.errors import DirectoryInUse, TableBroken
from chatstream.core.ids import PartitionNo
from chatstream.table.port import Change

OnWrite = Callable[[str], None]
"""Called with `before write` and `after write`: a simulation raises there to crash between two steps."""


class _Rows:
    """The rows of one partition, as they outlive a process. keys: sorted. shared: somebody looks at them."""

    __slots__ = ("keys", "shared", "values")

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.keys: list[bytes] = []
        self.shared = False

    def write(self, changes: Sequence[Change]) -> None:
        if self.shared:
            self.values, self.keys, self.shared = dict(self.values), list(self.keys), False
        values, keys = self.values, self.keys
        for key, value in changes:
            if value is None:
                if values.pop(key, None) is not None:
                    del keys[bisect_left(keys, key)]
            else:
                if key not in values:
                    insort(keys, key)
                values[key] = value

    def copy(self) -> "_Rows":
        twin = _Rows()
        twin.values, twin.keys = dict(self.values), list(self.keys)
        return twin


class MemoryView:
    """Rows as they were when it was made."""

    __slots__ = ("_keys", "_values")

    def __init__(self, values: dict[bytes, bytes], keys: list[bytes]) -> None:
        self._values = values
        self._keys = keys

    def get(self, key: bytes) -> bytes | None:
        """See View."""
        return self._values.get(key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See View."""
        for place in range(bisect_left(self._keys, start), bisect_left(self._keys, stop)):
            key = self._keys[place]
            yield key, self._values[key]

    def scan_back(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See View."""
        for place in range(bisect_left(self._keys, stop) - 1, bisect_left(self._keys, start) - 1, -1):
            key = self._keys[place]
            yield key, self._values[key]


class MemoryTable:
    """One partition's rows while they are open. Closed, or its process dead, everything raises TableBroken."""

    __slots__ = ("_on_write", "_rows")

    def __init__(self, rows: _Rows, on_write: OnWrite | None) -> None:
        self._rows: _Rows | None = rows
        self._on_write = on_write

    def get(self, key: bytes) -> bytes | None:
        """See View."""
        return self._open().values.get(key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See View."""
        return self.snapshot().scan(start, stop)

    def scan_back(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See View."""
        return self.snapshot().scan_back(start, stop)

    def write(self, changes: Sequence[Change]) -> None:
        """See Table."""
        if self._on_write is not None:
            self._on_write("before write")
        self._open().write(changes)
        if self._on_write is not None:
            self._on_write("after write")

    def snapshot(self) -> MemoryView:
        """See Table."""
        rows = self._open()
        rows.shared = True
        return MemoryView(rows.values, rows.keys)

    def clear(self) -> None:
        """See Table."""
        rows = self._open()
        rows.values, rows.keys, rows.shared = {}, [], False

    def size_bytes(self) -> int:
        """See Table."""
        return sum(len(key) + len(value) for key, value in self._open().values.items())

    def close(self) -> None:
        """See Table."""
        self._rows = None

    @property
    def closed(self) -> bool:
        """Was it closed?"""
        return self._rows is None

    def _open(self) -> _Rows:
        if self._rows is None:
            raise TableBroken("the table is closed")
        return self._rows


class MemoryTableStore:
    """The tables of one node. on_write: told before and after every write of every table.

    broken: partitions whose opening fails with TableBroken until they are destroyed.
    """

    def __init__(self, on_write: OnWrite | None = None) -> None:
        self.on_write = on_write
        self.broken: set[PartitionNo] = set()
        self._rows: dict[PartitionNo, _Rows] = {}
        self._tables: dict[PartitionNo, MemoryTable] = {}

    def open(self, partition: PartitionNo) -> MemoryTable:
        """See TableStore. Raises DirectoryInUse when the partition's table is open already."""
        if partition in self.broken:
            raise TableBroken(f"the table of partition {partition} cannot be read")
        known = self._tables.get(partition)
        if known is not None and not known.closed:
            raise DirectoryInUse(f"the table of partition {partition} is open already")
        rows = self._rows.setdefault(partition, _Rows())
        table = self._tables[partition] = MemoryTable(rows, self.on_write)
        return table

    def destroy(self, partition: PartitionNo) -> None:
        """See TableStore."""
        table = self._tables.pop(partition, None)
        if table is not None:
            table.close()
        self.broken.discard(partition)
        self._rows.pop(partition, None)

    def close(self) -> None:
        """See TableStore."""
        for table in self._tables.values():
            table.close()
        self._tables.clear()

    def after_crash(self) -> "MemoryTableStore":
        """The store as the next process finds it: same rows. What the dead one still holds is closed and changes nothing."""
        self.close()
        heir = MemoryTableStore(self.on_write)
        heir.broken, heir._rows = self.broken, self._rows
        self._rows = {}
        return heir

    def copy(self) -> "MemoryTableStore":
        """A copy of all rows as they are now, as a backup would hold them."""
        twin = MemoryTableStore(self.on_write)
        twin.broken = set(self.broken)
        twin._rows = {partition: rows.copy() for partition, rows in self._rows.items()}
        return twin
