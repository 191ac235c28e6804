"""Tables in RocksDB: one database per partition below one directory, with one block cache and one memory limit for all.

rocksdict 0.3.29 as found by trying it: errors are bare Exception; `items()` ends silently at a damaged block, so iteration
goes through RdictIter, whose status() tells; iterators of a Snapshot do not see the snapshot but the present, so a view is one
iterator; the lower bound of ReadOptions acts as an upper one, so it is not used; a database stays locked while an iterator of
it lives, so closing a table drops all that were handed out.
"""

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final
from weakref import WeakSet

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    DbClosedError,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    RdictIter,
    ReadOptions,
    WriteBatch,
    WriteBufferManager,
    WriteOptions,
)

from chatstream.core.errors import BadSettings, DirectoryInUse, TableBroken
from chatstream.core.ids import PartitionNo
from chatstream.core.limits import KIB, MIB
from chatstream.table.port import Change

log = logging.getLogger(__name__)

BLOCK_CACHE_BYTES: Final = 64 * MIB
WRITE_BUFFERS_BYTES: Final = 32 * MIB
"""Rows of all partitions that are not in sorted files yet; beyond it the largest buffer is written out."""
WRITE_BUFFER_BYTES: Final = 8 * MIB
OPEN_FILES: Final = 128
"""Per partition: 16 of them stay below the usual limit of file descriptors."""

_LAST_KEY: Final = b"\xff" * 2_048
"""Behind every key: ours begin with a letter, and none is that long."""
_LOCK: Final = "lock"
_LOCKED: Final = ("While lock file", "lock hold by current process")
"""How RocksDB says that somebody else has the directory; there is no class for it."""


class _Translated:
    """RocksDB's errors in our words. rocksdict raises them as bare Exception, so they are told by exactly that type."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None or not (kind is Exception or issubclass(kind, (OSError, DbClosedError))):
            return
        if any(sign in str(error) for sign in _LOCKED):
            raise DirectoryInUse(f"the table in {self._path} is open already") from error
        raise TableBroken(f"the table in {self._path} cannot be used: {error}") from error


class _Cursor:
    """A RocksDB iterator: it sees the rows of the moment it was made, and can be taken away from whoever holds it.

    Several scans may take turns on one cursor; whose turn is new seeks its place again.
    """

    __slots__ = ("__weakref__", "_raw", "_translated", "_user")

    def __init__(self, raw: RdictIter, translated: _Translated) -> None:
        self._raw: RdictIter | None = raw
        self._translated = translated
        self._user: object = None

    def drop(self) -> None:
        """Free the iterator, so that its database can be closed."""
        self._raw = None

    def get(self, key: bytes) -> bytes | None:
        """One row."""
        with self._translated:
            raw = self._taken_by(None)
            raw.seek(key)
            if _valid(raw) and raw.key() == key:
                value: bytes = raw.value()
                return value
        return None

    def rows(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Rows of the range, ascending."""
        me, last = object(), None
        while True:
            with self._translated:
                again = self._user is not me
                raw = self._taken_by(me)
                if again:
                    raw.seek(last or start)
                if last is not None:
                    raw.next()
                if not _valid(raw) or (key := raw.key()) >= stop:
                    return
                last, value = key, raw.value()
            del raw  # a generator that rests must not keep the iterator alive
            yield key, value

    def rows_back(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The same rows, descending."""
        me, last = object(), stop
        while True:
            with self._translated:
                again = self._user is not me
                raw = self._taken_by(me)
                if again:
                    raw.seek_for_prev(last)
                if not again or (_valid(raw) and raw.key() == last):
                    raw.prev()
                if not _valid(raw) or (key := raw.key()) < start:
                    return
                last, value = key, raw.value()
            del raw  # a generator that rests must not keep the iterator alive
            yield key, value

    def _taken_by(self, user: object) -> RdictIter:
        self._user = user
        if self._raw is None:
            raise TableBroken("the table was closed while somebody read it")
        return self._raw


def _valid(raw: RdictIter) -> bool:
    """Is there a row? An iterator that met a damaged block is not valid either, and says so only when asked."""
    if raw.valid():
        return True
    raw.status()
    return False


class RocksView:
    """The rows as they were when it was made. All reads go through one cursor, because only that holds to the moment."""

    def __init__(self, cursor: _Cursor) -> None:
        self._cursor = cursor

    def get(self, key: bytes) -> bytes | None:
        """See View."""
        return self._cursor.get(key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See View."""
        return self._cursor.rows(start, stop)

    def scan_back(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See View."""
        return self._cursor.rows_back(start, stop)


class RocksTable:
    """See Table. Open it through RocksTableStore."""

    def __init__(self, path: Path, options: Options) -> None:
        self._path = path
        self._translated = _Translated(path)
        self._cursors: WeakSet[_Cursor] = WeakSet()
        with self._translated:
            path.mkdir(exist_ok=True)
            self._db: Rdict | None = Rdict(str(path), options, access_type=AccessType.read_write())
            self._db.set_write_options(_write_options())

    def get(self, key: bytes) -> bytes | None:
        """See View."""
        with self._translated:
            value: bytes | None = self._opened().get(key)
        return value

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See View."""
        # Without the bound the iterator would walk over all deleted rows behind the range to find the next one.
        bounded = ReadOptions()
        bounded.set_iterate_upper_bound(stop)
        return self._cursor(bounded).rows(start, stop)

    def scan_back(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See View."""
        return self._cursor(ReadOptions()).rows_back(start, stop)

    def write(self, changes: Sequence[Change]) -> None:
        """See Table."""
        batch = WriteBatch(raw_mode=True)
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        with self._translated:
            self._opened().write(batch)

    def snapshot(self) -> RocksView:
        """See Table."""
        return RocksView(self._cursor(ReadOptions()))

    def clear(self) -> None:
        """See Table."""
        with self._translated:
            self._opened().delete_range(b"", _LAST_KEY)
            self._opened().flush_wal(sync=True)

    def size_bytes(self) -> int:
        """See Table: sorted files and write-ahead logs."""
        self._opened()
        with self._translated, os.scandir(self._path) as entries:
            return sum(entry.stat().st_size for entry in entries if entry.name.endswith((".sst", ".log")))

    def close(self) -> None:
        """See Table."""
        for cursor in list(self._cursors):
            cursor.drop()
        db, self._db = self._db, None
        if db is None:
            return
        try:
            with self._translated:
                db.close()
        except TableBroken as error:
            # It is closed all the same. What a full disk did not take is in the write-ahead log, or still in our log.
            log.warning("%s", error)

    @property
    def closed(self) -> bool:
        """Was it closed?"""
        return self._db is None

    def _cursor(self, options: ReadOptions) -> _Cursor:
        with self._translated:
            cursor = _Cursor(self._opened().iter(options), self._translated)
        self._cursors.add(cursor)
        return cursor

    def _opened(self) -> Rdict:
        if self._db is None:
            raise TableBroken(f"the table in {self._path} is closed")
        return self._db


class RocksTableStore:
    """See TableStore. path: a directory of its own, made when missing; `<path>/<partition>` is a database.

    block_cache_bytes: for all tables together. Raises DirectoryInUse at once when another process (or another store of this
    one) has the directory, BadSettings where it cannot be made or written.
    """

    def __init__(self, path: Path, block_cache_bytes: int = BLOCK_CACHE_BYTES) -> None:
        self.path: Final = path
        self._lock: int | None = _locked(path)
        cache = Cache(block_cache_bytes)
        self._options = _options(cache, WriteBufferManager(WRITE_BUFFERS_BYTES, False))
        self._tables: dict[PartitionNo, RocksTable] = {}

    def open(self, partition: PartitionNo) -> RocksTable:
        """See TableStore. Raises DirectoryInUse when the partition's table is open already."""
        if self._lock is None:
            raise TableBroken(f"the tables in {self.path} are closed")
        table = self._tables.get(partition)
        if table is not None and not table.closed:
            raise DirectoryInUse(f"the table of partition {partition} is open already")
        table = self._tables[partition] = RocksTable(self.path / str(partition), self._options)
        return table

    def destroy(self, partition: PartitionNo) -> None:
        """See TableStore. Raises TableBroken when the files cannot be removed."""
        table = self._tables.pop(partition, None)
        if table is not None:
            table.close()
        place = self.path / str(partition)
        with _Translated(place):
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)

    def close(self) -> None:
        """See TableStore."""
        for table in self._tables.values():
            table.close()
        self._tables.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _locked(path: Path) -> int:
    """Hold the directory for this process until the file is closed; the system does that when the process dies."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise BadSettings(f"data: the tables in {path} cannot be used: {error}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise DirectoryInUse(
            f"another process has the tables in {path} open: stop it, or choose another data directory"
        ) from error
    return lock


def _options(cache: Cache, buffers: WriteBufferManager) -> Options:
    """Many small tables in one process: small buffers, a common cache, few files, short logs."""
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(_blocks(cache))
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_manager(buffers)
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(3)
    options.set_max_total_wal_size(32 * MIB)
    options.set_max_background_jobs(2)
    options.set_max_open_files(OPEN_FILES)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(256 * KIB)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    options.set_paranoid_checks(True)
    # What a loss of power took from the end is folded again from the log; a table may be behind it.
    options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    return options


def _blocks(cache: Cache) -> BlockBasedOptions:
    blocks = BlockBasedOptions()
    blocks.set_block_cache(cache)
    blocks.set_block_size(4 * KIB)
    blocks.set_format_version(5)
    # Most ids that are looked for are new: a filter spares the look into files. 10 bits: 1 % false alarms.
    blocks.set_bloom_filter(10, block_based=False)
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(True)
    return blocks


def _write_options() -> WriteOptions:
    """No fsync, since the log is the truth; the write-ahead log stays on (the default), so that kill -9 keeps writes."""
    options = WriteOptions()
    options.sync = False
    return options
