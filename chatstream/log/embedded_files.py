"""The files beneath the embedded log: one RocksDB for all topics. rocksdict is imported only here.

Keys: one byte for the topic, the partition in 4 bytes and the offset in 8, big-endian, so that a partition is one run of
keys. Topic byte 0 is for rows about the log itself. Every write goes through the write-ahead log, so `kill -9` loses nothing;
after `sync` a loss of power loses nothing either.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final
from uuid import uuid4

import msgspec
from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    DbClosedError,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteOptions,
)

from chatstream.core.claims import Headers
from chatstream.core.errors import BadSettings, DirectoryInUse, LogUnavailable, UnknownFormat
from chatstream.core.ids import Offset, PartitionNo
from chatstream.core.limits import MIB
from chatstream.log.embedded_journal import Place, Stalled
from chatstream.log.port import Record, Topic

FORMAT: Final = 1
"""How keys and rows are written. Raised when an older program could not read them."""

_TOPIC_BYTE: Final = {
    Topic.MESSAGES: b"\x01",
    Topic.EVENTS: b"\x02",
    Topic.REPLIES: b"\x03",
    Topic.DEAD_LETTERS: b"\x04",
    Topic.OWNERS: b"\x05",
}
"""Never to be changed: they are in the files."""
_META: Final = b"\x00meta"
_START: Final = b"\x00start/"
_COMMIT: Final = b"\x00commit/"
_TOMBSTONE: Final = b"\x00tombstone/"
"""And a place and offset: the key of a record without value, as long as there may be earlier ones of that key."""
_ONE_PARTITION: Final = (Topic.DEAD_LETTERS, Topic.OWNERS)

_LOCKED: Final = ("While lock file", "lock hold by current process")
"""How RocksDB says that somebody else has the directory; there is no class for it."""


_STALLED: Final = "incomplete: Write stall"
"""How it says that a write with no_slowdown would have had to wait."""

WRITE_BUFFER_BYTES: Final = 32 * MIB
WRITE_BUFFERS: Final = 4


class _Meta(msgspec.Struct, frozen=True):
    """Made once. ids: topic to its id."""

    format: int
    ids: dict[str, str]
    partitions: int


class _Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A record's value in the files; its offset is in the key."""

    at_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(_Row)
_meta_decoder: Final = msgspec.msgpack.Decoder(_Meta)


class _Translated:
    """RocksDB's errors in our words. rocksdict raises them as bare Exception, so they are told by exactly that type."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None or not (kind is Exception or issubclass(kind, (OSError, DbClosedError))):
            return
        if any(sign in str(error) for sign in _LOCKED):
            raise DirectoryInUse(
                f"another process has the log in {self._path} open: stop it, or choose another data directory"
            ) from error
        if _STALLED in str(error):
            raise Stalled(f"the log in {self._path} is making room") from error
        raise LogUnavailable(f"the log in {self._path} cannot be used: {error}") from error


class RocksFiles:
    """See Files. partitions: how many the first three topics have when the log is made."""

    def __init__(self, path: Path, partitions: int) -> None:
        self._path = path
        self._translated = _Translated(path)
        self._partitions = partitions
        self._db: Rdict | None = None
        self._cache = Cache(8 * MIB)
        self.meta = _Meta(FORMAT, {}, partitions)

    def open(self) -> dict[Place, tuple[Offset, Offset]]:
        """See Files. Raises BadSettings for another partition count, UnknownFormat for a newer program's files."""
        with self._translated:
            self._path.mkdir(parents=True, exist_ok=True)
            self._db = Rdict(str(self._path), _options(self._cache), access_type=AccessType.read_write())
            self._db.set_write_options(_write_options())
        with contextlib.ExitStack() as opened:
            opened.callback(self.close)
            self.meta = self._read_meta()
            bounds = {place: self._bounds(place) for place in self._places()}
            opened.pop_all()
        return bounds

    def write(self, records: Sequence[tuple[Place, Record]]) -> None:
        """See Files."""
        batch = WriteBatch(raw_mode=True)
        for place, record in records:
            row = _Row(record.at_ms, record.key, record.value, record.headers)
            batch.put(_key(place, record.offset), _encoder.encode(row))
            if record.value is None and record.key is not None and place[0] is Topic.EVENTS:
                batch.put(_TOMBSTONE + _key(place, record.offset), record.key)
        with self._translated:
            self._opened().write(batch)

    def sync(self) -> None:
        """See Files. flush_wal, since rocksdict's write holds the GIL while the disk works, and this does not."""
        with self._translated:
            self._opened().flush_wal(sync=True)

    def read(self, place: Place, start: int, stop: int, most: int, bytes_most: int) -> list[Record]:
        """See Files."""
        records: list[Record] = []
        bounded = ReadOptions()
        bounded.set_iterate_upper_bound(_key(place, stop))
        with self._translated:
            # Not items(): that ends silently at a damaged block, while status() tells.
            cursor = self._opened().iter(bounded)
            cursor.seek(_key(place, start))
            while len(records) < most and cursor.valid():
                raw = cursor.value()
                bytes_most -= len(raw)
                if records and bytes_most < 0:
                    break
                row = _decoder.decode(raw)
                records.append(Record(Offset(_offset(cursor.key())), row.key, row.value, row.headers, row.at_ms))
                cursor.next()
            cursor.status()
        return records

    def forget(self, place: Place, start: int) -> None:
        """See Files."""
        batch = WriteBatch(raw_mode=True)
        batch.delete_range(_key(place, 0), _key(place, start))
        batch.put(_START + _prefix(place), start.to_bytes(8, "big"))
        with self._translated:
            self._opened().write(batch)

    def tombstones(self, place: Place, stop: int, most: int) -> dict[Offset, bytes]:
        """Tombstones before `stop` whose work is not done, the first `most`: offset to key."""
        found: dict[Offset, bytes] = {}
        prefix = _TOMBSTONE + _prefix(place)
        bounded = ReadOptions()
        bounded.set_iterate_upper_bound(_TOMBSTONE + _key(place, stop))
        with self._translated:
            cursor = self._opened().iter(bounded)
            cursor.seek(prefix)
            while len(found) < most and cursor.valid():
                found[Offset(_offset(cursor.key()[len(_TOMBSTONE) :]))] = cursor.value()
                cursor.next()
            cursor.status()
        return found

    def remove(self, place: Place, offsets: Iterable[int]) -> None:
        """Remove single records, and what is noted of them if they are tombstones; offsets go on as if they were there.

        Never the last one: it says where the end is.
        """
        batch = WriteBatch(raw_mode=True)
        for offset in offsets:
            batch.delete(_key(place, offset))
            batch.delete(_TOMBSTONE + _key(place, offset))
        with self._translated:
            self._opened().write(batch)

    def scour(self, place: Place) -> None:
        """Have removed bytes gone from the disk too. Called from another thread: it takes its time, without the GIL."""
        with self._translated:
            self._opened().compact_range(_key(place, 0), _prefix(place) + b"\xff" * 9)

    def hurry(self) -> None:
        """Give up a `scour` that is under way; the files have to be closed soon after."""
        with self._translated:
            self._opened().cancel_all_background(False)

    def commit(self, offsets: Mapping[PartitionNo, Offset]) -> None:
        """Note how far chat.messages was used."""
        batch = WriteBatch(raw_mode=True)
        for partition, offset in offsets.items():
            batch.put(_COMMIT + _prefix((Topic.MESSAGES, partition)), offset.to_bytes(8, "big"))
        with self._translated:
            self._opened().write(batch)

    def committed(self, partition: PartitionNo) -> int:
        """How far chat.messages was used, 0 when nobody said."""
        return self._number(_COMMIT + _prefix((Topic.MESSAGES, partition)))

    def close(self) -> None:
        """See Files."""
        db, self._db = self._db, None
        if db is not None:
            with self._translated:
                db.close()

    def _read_meta(self) -> _Meta:
        with self._translated:
            raw = self._opened().get(_META)
            if raw is None:
                meta = _Meta(FORMAT, {topic: uuid4().hex for topic in Topic}, self._partitions)
                self._opened()[_META] = _encoder.encode(meta)
                self._opened().flush_wal(sync=True)
                return meta
        try:
            meta = _meta_decoder.decode(raw)
        except msgspec.DecodeError as error:
            raise LogUnavailable(f"{self._path} does not hold a log of chatstream") from error
        if meta.format > FORMAT:
            raise UnknownFormat(f"the log in {self._path} is of format {meta.format}, this program knows {FORMAT}: upgrade it")
        if meta.partitions != self._partitions:
            raise BadSettings(
                f"the log in {self._path} has {meta.partitions} partitions, asked for are {self._partitions}: "
                "the number is fixed when the log is made"
            )
        return meta

    def _places(self) -> list[Place]:
        counts = {topic: 1 if topic in _ONE_PARTITION else self._partitions for topic in Topic}
        return [(topic, PartitionNo(number)) for topic, count in counts.items() for number in range(count)]

    def _bounds(self, place: Place) -> tuple[Offset, Offset]:
        start = self._number(_START + _prefix(place))
        with self._translated:
            cursor = self._opened().iter()
            cursor.seek_for_prev(_prefix(place) + b"\xff" * 8)
            key = cursor.key() if cursor.valid() else b""
            cursor.status()
        mine = key.startswith(_prefix(place))
        return Offset(start), Offset(max(start, _offset(key) + 1) if mine else start)

    def _number(self, key: bytes) -> int:
        with self._translated:
            return int.from_bytes(self._opened().get(key) or b"", "big")

    def _opened(self) -> Rdict:
        if self._db is None:
            raise LogUnavailable(f"the log in {self._path} is closed")
        return self._db


def _prefix(place: Place) -> bytes:
    return _TOPIC_BYTE[place[0]] + place[1].to_bytes(4, "big")


def _key(place: Place, offset: int) -> bytes:
    return _prefix(place) + offset.to_bytes(8, "big")


def _offset(key: bytes) -> int:
    return int.from_bytes(key[5:], "big")


def _options(cache: Cache) -> Options:
    """One database for a busy log: most rows are written once, read once soon after, and never again."""
    blocks = BlockBasedOptions()
    blocks.set_block_cache(cache)
    blocks.set_block_size(16 * 1024)
    blocks.set_format_version(5)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(blocks)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(WRITE_BUFFERS)
    options.set_max_total_wal_size(256 * MIB)
    options.set_max_background_jobs(2)
    options.set_max_open_files(256)
    options.set_keep_log_file_num(3)
    options.set_max_log_file_size(1 * MIB)
    options.set_stats_dump_period_sec(0)
    options.set_paranoid_checks(True)
    # A crash may cut the last write short; damage before it must not pass for the end of the log.
    options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    return options


def _write_options() -> WriteOptions:
    """The write-ahead log stays on, which is the default: rocksdict's type stubs call a method what is an attribute."""
    options = WriteOptions()
    options.sync = False
    # rocksdict's write holds the GIL: one that waits would stop the whole process with it.
    options.no_slowdown = True
    return options
