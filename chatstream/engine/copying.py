"""Forks that are not whole yet: the source's events are appended under the new id, a batch at a time.

What has to be copied is read off the state (`react`), so a fork is finished by whoever owns the partition. A batch follows
when most of the one before is confirmed: nothing is kept in memory, and the event loop is never held up for long.
"""

from collections import deque
from typing import Final

from chatstream.core.copying import SHIFT, copied
from chatstream.core.errors import TableBroken
from chatstream.core.events import AnyEvent
from chatstream.core.head import Copying
from chatstream.core.ids import Seq, SessionId
from chatstream.core.limits import KIB, Limits
from chatstream.engine.projection import Projection
from chatstream.engine.slots import Appender, Slot, Slots
from chatstream.table.reads import event_of
from chatstream.table.rows import entry_key, entry_of

BATCH_RECORDS: Final = 25
"""Copies appended at once: with all batches, some 5 ms of work each time acks come."""
BATCH_BYTES: Final = 512 * KIB
BATCHES: Final = 4
"""On their way to the log at the same time, of all forks of a partition together."""


class Copies:
    """The forks of one partition that are not whole yet."""

    def __init__(self, writer: Appender, projection: Projection, slots: Slots, limits: Limits) -> None:
        self._writer = writer
        self._projection = projection
        self._slots = slots
        self._forks: dict[SessionId, None] = {}
        self._ends: deque[tuple[SessionId, Seq]] = deque()
        # All batches together stay below half of what may be unconfirmed: messages must get through beside them.
        self._records = max(1, min(BATCH_RECORDS, limits.unconfirmed_records // (2 * BATCHES)))
        self._size_bytes = min(BATCH_BYTES, limits.unconfirmed_bytes // (2 * BATCHES))

    def owe(self, fork: SessionId) -> None:
        """The session is confirmed to be a fork that is not whole."""
        self._forks.setdefault(fork, None)

    def go_on(self) -> list[SessionId]:
        """Append as many copies as there is room for; the forks whose last one was among them. Raises TableBroken."""
        ends, whole = self._ends, list[SessionId]()
        while ends and self._projection.session(ends[0][0]).last_seq >= ends[0][1]:
            ends.popleft()
        while self._forks and not self._writer.over and len(ends) < BATCHES:
            # In turn: a small fork does not wait for a large one.
            fork = next(iter(self._forks))
            del self._forks[fork]
            slot = self._slots.open(fork)
            if slot.head.copying is not None:
                self._append_some(slot, slot.head.copying)
                ends.append((fork, slot.head.last_seq))
            if slot.head.copying is None:
                whole.append(fork)
            else:
                self._forks[fork] = None
        return whole

    def _append_some(self, slot: Slot, copying: Copying) -> None:
        for event in self._read_some(copying.source, Seq(slot.head.last_seq - SHIFT + 1), copying.through):
            self._writer.append(slot, copied(event, slot.head.session))
            if self._writer.over:
                return

    def _read_some(self, source: SessionId, first: Seq, last: Seq) -> list[AnyEvent]:
        """The source's next events. Its head is not asked: it may be erased by now, and its rows wait for us."""
        stop = min(first + self._records, last + 1)
        found: list[AnyEvent] = []
        size_bytes = 0
        for _, raw in self._projection.table.scan(entry_key(source, first), entry_key(source, stop)):
            found.append(event_of(entry_of(raw)))
            size_bytes += len(raw)
            if size_bytes >= self._size_bytes:
                break
        if [event.seq for event in found] != list(range(first, first + len(found))) or not found:
            raise TableBroken(f"events of {source} are missing from {first} on, of which a fork is being made")
        return found
