"""What others write behind the last record of a writer that has nothing to write itself.

What stands between two of our records is read before the second one counts. Behind the last one nobody would look until there
is another: a claim that fences us would be noticed with the next message, and what a dead process had on its way, of a session
that was erased meanwhile, would stay. So the log is asked now and then where it ends. When that is further than we know, a mark
is put behind it: its ack finds the gap, and from there everything goes the one way that gaps go.
"""

from chatstream.core.ids import Offset
from chatstream.core.limits import Limits
from chatstream.engine.appends import Appends
from chatstream.engine.projection import Projection
from chatstream.engine.surroundings import Surroundings


class Lookout:
    """Of one writer."""

    def __init__(self, appends: Appends, projection: Projection, limits: Limits, around: Surroundings) -> None:
        self._appends = appends
        self._projection = projection
        self._look_s = limits.look_s
        self._around = around
        self._look_at_s = around.clock_s() + self._look_s

    def look(self) -> None:
        """Ask where the log ends, if the last time is Limits.look_s ago and nothing is on its way whose ack would tell."""
        now_s = self._around.clock_s()
        if now_s >= self._look_at_s and not self._appends:
            self._look_at_s = now_s + self._look_s
            self._around.ask_end()

    def is_behind(self, end: Offset) -> bool:
        """Did others write behind our last record? end: of chat.events, as it was when it was asked for."""
        return end > self._projection.next_offset and not self._appends
