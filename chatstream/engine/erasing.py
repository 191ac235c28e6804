"""Erased sessions whose rows and records are still there: each record gets a tombstone, and its rows go with it.

1. `session.erased` is confirmed: from then on nothing of the session counts, and it stands under `erasing/`.
2. A session that is just being forked waits until the fork is whole: the fork's events are made of its rows.
3. The keys of all its records, ghosts' too, get tombstones, a batch at a time. When one is confirmed, or folded, the rows
   go that its record brought. So a row that is there means a record without a tombstone, whoever looks and whenever.
4. When nothing is left but the head, it stands under `erasing/` no more. A ghost that lands later puts it there again.
"""

from collections import deque
from itertools import islice
from typing import Final, Protocol

from chatstream.core.claims import seq_of_key, session_of_key
from chatstream.core.errors import LogError
from chatstream.core.ids import Seq, SessionId
from chatstream.core.limits import Limits
from chatstream.engine.appends import Appends
from chatstream.engine.projection import Projection
from chatstream.engine.surroundings import Doubt
from chatstream.table import rows

BATCH_RECORDS: Final = 25
"""Tombstones appended at once: with all batches, some 5 ms of work each time acks come."""
BATCHES: Final = 4
"""On their way to the log at the same time."""


class Writer(Protocol):
    """The partition's writer. over: it has ended."""

    over: bool

    def distrust(self, doubt: Doubt) -> None:
        """End it."""


class Wipes:
    """The erasures of one partition that are not through."""

    def __init__(self, writer: Writer, appends: Appends, projection: Projection, limits: Limits) -> None:
        self._writer = writer
        self._appends = appends
        self._projection = projection
        self._records = max(1, min(BATCH_RECORDS, limits.unconfirmed_records // (2 * BATCHES)))
        self._sent: deque[tuple[SessionId, bytes]] = deque()
        self._session: SessionId | None = None
        self._ranges: deque[tuple[bytes, bytes]] = deque()
        self._found = False

    def confirmed(self) -> None:
        """The oldest tombstone is confirmed. Raises TableBroken."""
        self._projection.bury(*self._sent.popleft())

    def go_on(self) -> None:
        """Append as many tombstones as there is room for. Call it with everything flushed. Raises TableBroken."""
        while not self._writer.over and len(self._sent) <= self._records * (BATCHES - 1):
            session = self._session or self._choose()
            if session is None:
                return
            if self._ranges:
                self._append_some(session)
            elif self._sent:
                return  # whether it was all, is to be seen when these are confirmed
            elif self._found:
                self._begin(session)
            else:
                self._projection.table.write([(rows.erasing_key(session), None)])
                self._session = None

    def _choose(self) -> SessionId | None:
        projection = self._projection
        if not projection.more_to_erase:
            return None
        for key, _ in projection.table.scan(rows.ERASING, rows.after_prefix(rows.ERASING)):
            session = SessionId(key[len(rows.ERASING) :].decode())
            if not self._is_copied(session):
                self._begin(session)
                return session
        projection.more_to_erase = False
        return None

    def _is_copied(self, session: SessionId) -> bool:
        prefix = rows.fork_key(session, SessionId(""))
        return next(self._projection.table.scan(prefix, rows.after_prefix(prefix)), None) is not None

    def _begin(self, session: SessionId) -> None:
        """Go through all that is there, once more if the last time there was something."""
        self._session, self._found = session, False
        prefixes = (rows.entry_key(session, 0)[:-8], rows.ghost_key(session, b""))
        self._ranges = deque((prefix, rows.after_prefix(prefix)) for prefix in prefixes)

    def _append_some(self, session: SessionId) -> None:
        start, stop = self._ranges[0]
        found = list(islice(self._projection.table.scan(start, stop), self._records))
        if len(found) < self._records:
            self._ranges.popleft()
        else:
            self._ranges[0] = (found[-1][0] + b"\0", stop)
        for key, value in found:
            record_key = self._record_key(session, key, value)
            if record_key is not None and not self._writer.over:
                self._append(session, record_key)

    def _append(self, session: SessionId, record_key: bytes) -> None:
        self._found = True
        self._sent.append((session, record_key))
        try:
            self._appends.tombstone(session, record_key)
        except LogError as error:
            self._writer.distrust(Doubt(f"a tombstone could not be sent: {error}"))

    def _record_key(self, session: SessionId, key: bytes, value: bytes) -> bytes | None:
        """The key of a row's record; None where it is another session's own, in which a stranger has put this one's."""
        if key.startswith(rows.ENTRY):
            return self._projection.key_of(session, Seq(int.from_bytes(key[-8:], "big")), rows.entry_of(value).offset)
        record_key = key[len(rows.ghost_key(session, b"")) :]
        other, seq = session_of_key(record_key), seq_of_key(record_key)
        if other is None or seq is None or other == session:
            return record_key
        entry = rows.read_entry(self._projection.table, other, seq)
        is_its_own = entry is not None and self._projection.key_of(other, seq, entry.offset) == record_key
        return None if is_its_own else record_key
