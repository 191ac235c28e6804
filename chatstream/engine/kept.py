"""Messages whose turns have not run yet, kept in memory so that few have to be read back from the table."""

from chatstream.core.events import MessageAccepted
from chatstream.core.ids import Seq, SessionId


class Kept:
    """Confirmed messages of one writer. most_bytes: of their events' JSON together; beyond it the oldest go.

    What is not here any more is in the table: this only saves a read.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._size_bytes = 0
        self._messages: dict[tuple[SessionId, Seq], tuple[MessageAccepted, int]] = {}

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, event: MessageAccepted, size_bytes: int) -> None:
        """Keep a message. size_bytes: of its JSON."""
        self._messages[event.session, event.seq] = event, size_bytes
        self._size_bytes += size_bytes
        while self._size_bytes > self._most_bytes:
            oldest = next(iter(self._messages))
            self._size_bytes -= self._messages.pop(oldest)[1]

    def take(self, session: SessionId, turn: Seq) -> MessageAccepted | None:
        """The turn's message, not kept any longer; None when it is not here."""
        found = self._messages.pop((session, turn), None)
        if found is None:
            return None
        event, size_bytes = found
        self._size_bytes -= size_bytes
        return event
