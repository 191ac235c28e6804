"""When a partition takes no more commands for a while: Kafka is the buffer, not memory."""

from chatstream.core.limits import Limits
from chatstream.engine.appends import Appends
from chatstream.engine.deferred import Deferred
from chatstream.engine.surroundings import Surroundings


class Brake:
    """Pauses the input while too much is unconfirmed or deferred, and lets it go on when half of that is gone."""

    def __init__(self, appends: Appends, deferred: Deferred, limits: Limits, around: Surroundings) -> None:
        self._appends = appends
        self._deferred = deferred
        self._limits = limits
        self._around = around
        self._paused = False

    def watch(self) -> None:
        """Look whether the input is to be paused, or to go on."""
        count, size_bytes, limits = len(self._appends), self._appends.size_bytes, self._limits
        if not self._paused:
            if count >= limits.unconfirmed_records or size_bytes >= limits.unconfirmed_bytes or self._deferred.full:
                self._paused = True
                self._around.set_paused(True)
        elif count * 2 <= limits.unconfirmed_records and size_bytes * 2 <= limits.unconfirmed_bytes and self._deferred.roomy:
            self._paused = False
            self._around.set_paused(False)
