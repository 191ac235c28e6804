"""What stood between two of a writer's records: others wrote it, and the fold says whether that ends the writer."""

from collections.abc import Iterable
from typing import Final

from chatstream.core.errors import LogUnavailable, UnknownFormat
from chatstream.core.ids import Offset, PartitionNo
from chatstream.engine.projection import Projection
from chatstream.engine.surroundings import Doubt, Fenced
from chatstream.log.port import Log, Record, Topic

READ_MOST: Final = 2_000
"""Records of one read."""


def fold_gap(projection: Projection, records: Iterable[Record]) -> Fenced | Doubt | None:
    """Fold a gap; how it ends the writer, None when it does not. Nothing is written. Raises TableBroken."""
    try:
        for record in records:
            verdict, _ = projection.fold(record)
            if verdict == "claimed":
                return Fenced(projection.ownership.claim)
            if verdict in ("event", "mark"):
                return Doubt(f"a record of our own claim stands at offset {record.offset}, where we sent none")
    except UnknownFormat as error:
        # A newer chatstream took over: whoever claims next is told so, and the partition is refused.
        return Doubt(str(error), producer=False)
    return None


async def read_gap(log: Log, partition: PartitionNo, start: Offset, stop: Offset, wait_s: float) -> list[Record]:
    """The records of chat.events in start <= offset < stop. Raises LogUnavailable after wait_s without any."""
    reader = log.open_reader(Topic.EVENTS, partition, start)
    records: list[Record] = []
    try:
        while reader.position < stop:
            before = reader.position
            records += [record for record in await reader.read(READ_MOST, wait_s) if record.offset < stop]
            if reader.position == before:
                raise LogUnavailable(f"nothing to read at offset {before}")
    finally:
        await reader.close()
    return records
