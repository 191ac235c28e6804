"""What stood between two of a writer's records: others wrote it, and the fold says whether that ends the writer."""

from collections.abc import Iterable

from chatstream.core.errors import UnknownFormat
from chatstream.engine.projection import Projection
from chatstream.engine.surroundings import Doubt, Fenced
from chatstream.log.port import Record


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
