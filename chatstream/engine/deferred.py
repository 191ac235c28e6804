"""Commands for sessions that are still being copied: kept in memory in the order of their arrival, decided afterwards.

Nothing is lost with the memory: the input position does not pass them, so the next writer reads them again.
"""

from typing import NamedTuple

from chatstream.core.ids import InputPosition, SessionId
from chatstream.core.limits import Limits
from chatstream.log.port import Record


class Waiting(NamedTuple):
    """An inbound record that is to be decided later."""

    record: Record
    at: InputPosition


class Deferred:
    """What one writer has put off. limits: deferred_records and deferred_bytes; beyond them the input is paused."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: dict[SessionId, list[Waiting]] = {}
        self._count = 0
        self._size_bytes = 0

    def __len__(self) -> int:
        return self._count

    def add(self, session: SessionId, record: Record, at: InputPosition) -> None:
        """Put a command off."""
        self._waiting.setdefault(session, []).append(Waiting(record, at))
        self._count += 1
        self._size_bytes += len(record.value or b"")

    def release(self, session: SessionId) -> list[Waiting]:
        """The session's commands, in order, to be decided now."""
        waiting = self._waiting.pop(session, [])
        self._count -= len(waiting)
        self._size_bytes -= sum(len(one.record.value or b"") for one in waiting)
        return waiting

    @property
    def full(self) -> bool:
        """Are these as many as there may be?"""
        return self._count >= self._limits.deferred_records or self._size_bytes >= self._limits.deferred_bytes

    @property
    def roomy(self) -> bool:
        """Are these so few that the input may go on?"""
        return self._count * 2 <= self._limits.deferred_records and self._size_bytes * 2 <= self._limits.deferred_bytes
