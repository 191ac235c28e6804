"""The rows of one event, as if it were alone in its batch."""

from chatstream.core.events import AnyEvent
from chatstream.core.ids import Offset
from chatstream.core.session import Session
from chatstream.table import writes
from chatstream.table.port import Change


def changes(before: Session, event: AnyEvent, value: bytes, offset: Offset, after: Session) -> list[Change]:
    """The head left out."""
    return writes.brought(event, value, offset, after) + writes.moved(before, after)
