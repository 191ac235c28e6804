"""`chatstream replay`: the tables, rebuilt from the log by the engine's own fold, and compared with the node's."""

import tempfile
from collections.abc import AsyncIterator, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from chatstream.cli import flags
from chatstream.core.errors import ChatstreamError
from chatstream.core.ids import Offset, PartitionNo, SessionId

if TYPE_CHECKING:
    from chatstream.log.port import Log, Record
    from chatstream.settings import Settings
    from chatstream.table.port import Table, TableStore

READ_MOST: Final = 5_000
READ_WAIT_S: Final = 30.0
SHOWN_MOST: Final = 20
"""Differences printed per partition; the rest is counted."""


class LogStuck(ChatstreamError):
    """The log gave nothing to read where it should go on: it does not answer, or was cut."""


def replay(
    config: flags.Config = None,
    data: flags.Data = None,
    partitions: flags.Partitions = None,
    bootstrap_servers: flags.BootstrapServers = None,
    librdkafka: flags.Librdkafka = None,
) -> None:
    """Rebuild every partition's table from the log in a scratch directory and compare it with the node's, row by row.

    The node has to be stopped. Exit code 1 and a list when they differ.
    """
    given = flags.given(locals())

    import asyncio

    from chatstream.settings import load

    if asyncio.run(_replay(load(given))):
        raise typer.Exit(1)


async def _replay(settings: "Settings") -> int:
    from chatstream.log.port import Topic
    from chatstream.serve import TABLES, keep_node_id, opened_log
    from chatstream.table.rocks import RocksTableStore

    different = 0
    with tempfile.TemporaryDirectory(prefix="chatstream-replay-") as scratch:
        async with opened_log(settings, keep_node_id(settings.data)) as log:
            kept, rebuilt = RocksTableStore(settings.data / TABLES), RocksTableStore(Path(scratch))
            try:
                for number in range((await log.identify())[Topic.EVENTS].partitions):
                    different += await _compare(log, kept, rebuilt, PartitionNo(number))
            finally:
                kept.close()
                rebuilt.close()
    return different


async def _compare(log: "Log", kept: "TableStore", rebuilt: "TableStore", number: PartitionNo) -> int:
    """Print what differs in one partition; how much that is."""
    from chatstream.table import rows

    table, scratch = kept.open(number), rebuilt.open(number)
    try:
        meta = rows.read_meta(table)
        if meta is None:
            print(f"partition {number}: the node has no table of it")
            return 0
        events = await fold_until(log, scratch, number, meta.next_offset)
        erased = await erased_from(log, number, meta.next_offset)
        count, shown = 0, []
        for line in differences(table, scratch, erased):
            count += 1
            if count <= SHOWN_MOST:
                shown.append(line)
    finally:
        table.close()
        scratch.close()
    print(f"partition {number}: {events} records, {f'{count} rows differ' if count else 'the same'}")
    for line in shown:
        print(f"  {line}")
    if count > SHOWN_MOST:
        print(f"  and {count - SHOWN_MOST} more")
    return count


async def fold_until(log: "Log", table: "Table", number: PartitionNo, stop: Offset) -> int:
    """Fold the partition's records below `stop` into an empty table; how many there were. Raises LogStuck."""
    from chatstream.core.limits import Limits
    from chatstream.engine.projection import Projection

    projection = Projection(number, table, Limits().cached_sessions)
    count = 0
    async for records in _records(log, number, Offset(0), stop):
        projection.fold_all(records)
        count += len(records)
    return count


async def erased_from(log: "Log", number: PartitionNo, start: Offset) -> set[SessionId]:
    """The sessions that were erased at `start` or behind it: compaction may have removed what a table before it has.

    Raises LogStuck.
    """
    from chatstream.log.port import Topic

    _, end = await log.bounds(Topic.EVENTS, number)
    return {session async for records in _records(log, number, start, end) for session in map(_erased_by, records) if session}


async def _records(log: "Log", number: PartitionNo, start: Offset, stop: Offset) -> "AsyncIterator[list[Record]]":
    """The partition's records from `start` to before `stop`, some at a time. Raises LogStuck."""
    from chatstream.log.port import Topic

    reader = log.open_reader(Topic.EVENTS, number, start)
    try:
        while reader.position < stop:
            before = reader.position
            yield [record for record in await reader.read(READ_MOST, READ_WAIT_S) if record.offset < stop]
            if reader.position == before:
                raise LogStuck(f"partition {number}: nothing to read at offset {before}, and {stop} is to be reached")
    finally:
        await reader.close()


def _erased_by(record: "Record") -> SessionId | None:
    from chatstream.core.claims import erased_by, session_of_key

    if record.key is None or not (record.value is None or b'"session.erased"' in record.value):
        return None
    return erased_by(record.key, record.headers) if record.value is None else session_of_key(record.key)


def differences(kept: "Table", rebuilt: "Table", erased: Collection[str] = ()) -> Iterator[str]:
    """A line for each row that one of them lacks or has otherwise.

    Rows that are the node's own, and those of `erased` sessions, are left out.
    """
    left, right = _all_rows(kept, erased), _all_rows(rebuilt, erased)
    mine, theirs = next(left, None), next(right, None)
    while mine is not None or theirs is not None:
        if theirs is None or (mine is not None and mine[0] < theirs[0]):
            assert mine is not None
            yield f"not in the log: {mine[0]!r}"
            mine = next(left, None)
        elif mine is None or theirs[0] < mine[0]:
            yield f"missing in the table: {theirs[0]!r}"
            theirs = next(right, None)
        else:
            if mine[1] != theirs[1]:
                yield f"different: {mine[0]!r}"
            mine, theirs = next(left, None), next(right, None)


def _all_rows(table: "Table", erased: Collection[str]) -> Iterator[tuple[bytes, bytes]]:
    from chatstream.table import rows

    # What an erased session's records said of offsets and positions is gone with them.
    left_out = (*rows.LOCAL, rows.META) if erased else rows.LOCAL
    for key, value in table.scan(b"", b"\xff"):
        # A session's name stands between slashes in all its rows' keys, and has none itself.
        if not key.startswith(left_out) and not any(part.decode(errors="replace") in erased for part in key.split(b"/")):
            yield key, value
