"""Messages that are sent later, sent when their time has come.

What waits is in the rows `due/`, by time; in memory is only when to look there next. So whoever owns the partition sends
what is due, what is overdue first of all, and however many wait, they cost nothing until then.
"""

from typing import Final

from chatstream.core.errors import TableBroken
from chatstream.core.events import MessageScheduled
from chatstream.core.head import find_scheduled
from chatstream.core.ids import Seq, SessionId
from chatstream.core.limits import Limits
from chatstream.core.session import send_due
from chatstream.engine.appends import Appends
from chatstream.engine.contexts import Contexts
from chatstream.engine.projection import Projection
from chatstream.engine.slots import Appender, Slots
from chatstream.engine.surroundings import Surroundings
from chatstream.table import rows

DUE_AT_ONCE: Final = 500
"""Messages sent in one go, about 20 ms of work: the next ones when these are confirmed, and the event loop got its turns."""


class Timers:
    """The scheduled messages of one partition. behind: more are due than were sent so far."""

    def __init__(
        self,
        writer: Appender,
        appends: Appends,
        projection: Projection,
        slots: Slots,
        contexts: Contexts,
        limits: Limits,
        around: Surroundings,
    ) -> None:
        self.behind = False
        self._writer = writer
        self._appends = appends
        self._projection = projection
        self._slots = slots
        self._contexts = contexts
        self._limits = limits
        self._around = around
        self._next_due = ""
        self._wait_for = 0
        """Look again only when so many appends are confirmed: until then the rows of what was sent are still there."""

    def start(self) -> None:
        """Before the first inbound record: send what is overdue. Raises TableBroken."""
        self.behind = True
        self.look()

    def scheduled(self, event: MessageScheduled) -> None:
        """A message that is to be sent later was confirmed. A fork's copy is not sent."""
        if event.copy:
            return
        if not self._next_due or event.due < self._next_due:
            self._set_alarm(event.due)

    def _set_alarm(self, due: str) -> None:
        self._next_due = due
        self._around.alarm(due)

    def look(self) -> None:
        """Send what is due, if anything is. Raises TableBroken."""
        if not self.behind and not self._next_due:
            return
        now = self._around.now()
        if self.behind or self._next_due <= now:
            self._send(now)

    def _send(self, now: str) -> None:
        if self._appends.confirmed < self._wait_for:
            self.behind = True
            return
        room = min(DUE_AT_ONCE, self._limits.unconfirmed_records - len(self._appends))
        found = rows.read_due(self._projection.table, max(room, 0) + 1)
        sent = 0
        for due, session, seq in found:
            if due > now or sent >= room or self._appends.size_bytes >= self._limits.unconfirmed_bytes:
                break
            self._send_one(session, seq, now)
            sent += 1
            if self._writer.over:
                return
        self.behind = sent < len(found) and found[sent].due <= now
        self._wait_for = self._appends.made
        self._next_due = ""
        if sent < len(found) and not self.behind:
            self._set_alarm(found[sent].due)

    def _send_one(self, session: SessionId, seq: Seq, now: str) -> None:
        slot = self._slots.open(session)
        if find_scheduled(slot.head, seq) is None:
            return  # taken back, or the session erased: that is appended already, only not confirmed
        scheduled = self._contexts.event_at(slot, seq)
        if not isinstance(scheduled, MessageScheduled):
            raise TableBroken(f"event {seq} of session {session} is to be sent, and is no message")
        self._writer.append(slot, send_due(slot.head, scheduled, now, self._limits.waiting_turns))
