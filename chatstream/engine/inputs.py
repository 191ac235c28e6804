"""The input position: the highest inbound record such that it and all before it are decided, and the decision is safe.

"Safe" means that everything the owner had appended or produced when it decided is acknowledged.
"""

import sys
from collections import deque
from typing import Final

from chatstream.core.ids import InputPosition

_UNDECIDED: Final = sys.maxsize
"""As many appends are never confirmed."""


class Inputs:
    """Inbound records in the order they were taken, until their decisions are safe."""

    def __init__(self, position: InputPosition) -> None:
        self.position = position
        self.taken = position
        self._waiting: deque[tuple[InputPosition, int]] = deque()
        self._aside: set[InputPosition] = set()
        self._deferred: dict[InputPosition, int] = {}

    def take(self, at: InputPosition) -> bool:
        """A record arrives: False when it was taken already (a repeated delivery)."""
        if at <= self.taken:
            return False
        self.taken = at
        return True

    def decided(self, at: InputPosition, appended: int) -> None:
        """The last taken record is decided. appended: how many appends the partition had made by then."""
        self._waiting.append((at, appended))

    def set_aside(self, at: InputPosition) -> None:
        """The record was produced elsewhere (dead letter, forward): it is safe only once that is acknowledged."""
        self._aside.add(at)

    def settled(self, at: InputPosition) -> None:
        """That was acknowledged."""
        self._aside.discard(at)

    def defer(self, at: InputPosition) -> None:
        """The record is not decided yet, and others behind it are."""
        self._deferred[at] = _UNDECIDED

    def decided_late(self, at: InputPosition, appended: int) -> None:
        """Now it is. appended: as in `decided`."""
        self._deferred[at] = appended

    @property
    def lag(self) -> int:
        """Records taken whose decisions are not safe yet."""
        return len(self._waiting)

    @property
    def unsettled(self) -> bool:
        """Is something produced elsewhere still unacknowledged?"""
        return bool(self._aside)

    def advance(self, confirmed: int) -> None:
        """The partition's first `confirmed` appends are confirmed: move the position as far as that allows."""
        waiting, aside = self._waiting, self._aside
        while waiting and waiting[0][1] <= confirmed and waiting[0][0] not in aside:
            if self._deferred and self._is_open(waiting[0][0], confirmed):
                return
            self.position = waiting.popleft()[0]

    def _is_open(self, at: InputPosition, confirmed: int) -> bool:
        """Was the record deferred, and is its decision not safe yet?"""
        if self._deferred.get(at, 0) > confirmed:
            return True
        self._deferred.pop(at, None)
        return False
