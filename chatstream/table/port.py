"""What the engine needs of a store of rows. Adapters pass one contract suite. Keys and values are bytes."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from chatstream.core.ids import PartitionNo

Change = tuple[bytes, bytes | None]
"""A row to put, or with None to delete."""


class View(Protocol):
    """Rows as they were at one moment."""

    def get(self, key: bytes) -> bytes | None:
        """The row's value, None when there is no such row."""

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Rows with start <= key < stop, ascending. Exhaust or close the iterator soon: it holds the store open."""

    def scan_back(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The same rows, descending."""


class Table(View, Protocol):
    """One partition's rows. Reads see every write that returned."""

    def write(self, changes: Sequence[Change]) -> None:
        """All of the changes or, after a crash, none; of several for one key the last holds. Raises TableBroken."""

    def snapshot(self) -> View:
        """The rows as they are now, for reads that must agree with each other; drop it soon."""

    def clear(self) -> None:
        """Remove every row, loss of power notwithstanding."""

    def size_bytes(self) -> int:
        """About what the rows take on disk."""

    def close(self) -> None:
        """Close; the rows stay. Repeatable."""


class TableStore(Protocol):
    """Where the tables of one node are."""

    def open(self, partition: PartitionNo) -> Table:
        """The partition's table, made when missing. Raises TableBroken when its files cannot be read, DirectoryInUse
        when it is open already."""

    def destroy(self, partition: PartitionNo) -> None:
        """Remove the partition's files, readable or not. It must not be open."""

    def close(self) -> None:
        """Close every open table and free the directory. Repeatable."""
