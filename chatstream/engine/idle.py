"""Sessions in which nothing has happened for long, found from the oldest on, and asked to be erased.

What asks is a command on chat.messages, like anybody's: it stands behind everything that was said to the session before, so
whoever owns the partition by then decides with that known, and lets the session be if anything has happened. So nothing has
to be remembered: after a restart it is looked again, and what is asked twice is done once.
"""

from itertools import islice, takewhile
from typing import Final

from chatstream.core.commands import Erase
from chatstream.core.errors import LogError
from chatstream.core.head import Session, is_busy
from chatstream.core.ids import PartitionNo, SessionId
from chatstream.core.inbound import write_command
from chatstream.core.limits import Limits
from chatstream.core.times import at_ms, rfc3339
from chatstream.engine.surroundings import Surroundings
from chatstream.log.port import Topic
from chatstream.table import rows
from chatstream.table.listing import place_at
from chatstream.table.port import Table

LOOKED_AT_ONCE: Final = 100
"""Sessions looked at in one go, a few milliseconds of work; the next ones when these are decided, at the next tick."""
REST_S: Final = 60.0
"""Between two walks over all that is old: sessions that wait for somebody stay there, and are looked at again each time. So
long, too, what was asked may be on its way."""
DAY_MS: Final = 86_400_000


class Idle:
    """The idle sessions of one partition. Does nothing where Limits.erase_idle_days is 0."""

    def __init__(self, number: PartitionNo, table: Table, limits: Limits, around: Surroundings) -> None:
        self._number = number
        self._table = table
        self._around = around
        self._idle_ms = limits.erase_idle_days * DAY_MS
        self._asked: set[SessionId] = set()
        self._end: Final = rows.after_prefix(rows.RECENT)
        self._behind = self._end
        """The row up to which this walk has come, from the last one on."""
        self._wait_until_s = 0.0

    def look(self) -> None:
        """Ask for the erasure of some more, unless those before are not decided yet. Raises TableBroken."""
        if not self._idle_ms or (self._around.clock_s() < self._wait_until_s and (self._asked or self._behind == self._end)):
            return
        self._asked.clear()  # what is not back by now may be lost
        since = rfc3339(max(0, (at_ms(self._around.now()) or 0) - int(self._idle_ms)))
        found = (key for key, _ in islice(self._table.scan_back(rows.RECENT, self._behind), LOOKED_AT_ONCE))
        old = list(takewhile(lambda key: place_at(key).time <= since, found))
        for key in old:
            head = rows.read_head(self._table, place_at(key).session)
            if not is_busy(head):
                self._ask(head)
        self._wait_until_s = self._around.clock_s() + REST_S
        self._behind = old[-1] if len(old) == LOOKED_AT_ONCE else self._end

    def _ask(self, head: Session) -> None:
        session = head.session
        self._asked.add(session)
        value = write_command(Erase(idle_since=head.updated))
        try:
            self._around.set_aside(Topic.MESSAGES, self._number, session.encode(), value, (), _nobody_waits)
        except LogError:
            self.came_back(session)  # it is found again

    def came_back(self, session: SessionId) -> None:
        """What was asked for this session has been read."""
        self._asked.discard(session)


def _nobody_waits(_: bool) -> None:
    """Whether it landed is seen by its being read."""
