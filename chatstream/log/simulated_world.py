"""What the simulated log is made of: the faults it can make, partitions of records, and processes that die or stand still.

Nothing here is random but through the broker's one `random.Random`, and no set of objects is ever walked through: the same
seed gives the same world.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Callable
from typing import Any

import msgspec

from chatstream.core.claims import Headers
from chatstream.core.ids import NodeId, Offset
from chatstream.log.port import Record


class SimulatedCrash(BaseException):
    """The process dies here: `kill -9`. No Exception, so that nothing on the way up can mistake it for an error."""


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong, and how often: probabilities from 0 to 1, ranges in virtual seconds. By default nothing does."""

    delay_s: tuple[float, float] = (0.0005, 0.005)
    """Every way to the log or back takes this long."""
    slow: float = 0.0
    """An append stays on its way for slow_s."""
    slow_s: tuple[float, float] = (1.0, 8.0)
    ack_lost: float = 0.0
    """Per batch of appends: it lands, its outcome stays unknown, and the producer has failed."""
    append_lost: float = 0.0
    """Per batch of appends: it does not land, its outcome is unknown, and the producer has failed."""
    late_landing: float = 0.0
    """Of what a failed, abandoned or crashed producer had in flight, a part lands after late_s, in order and gapless."""
    late_s: tuple[float, float] = (0.5, 12.0)
    duplicate_produce: float = 0.0
    """A client's record (SimulatedBroker.produce) lands twice."""
    holes: float = 0.0
    """Offsets are skipped after a record of chat.messages, as by transaction markers."""
    read_fails: float = 0.0
    """A read, bounds or identify raises LogUnavailable."""
    membership_doubt: float = 0.0
    """A member that belongs to the group cannot prove it this time (a rebalance is going on, no answer in time)."""
    small_batches: float = 0.2
    """Records, acks and landings come in small random batches rather than all that there are."""


class PartitionLog:
    """The records of one partition. watchers: called once, at the next record or hole."""

    __slots__ = ("_cleaned", "end", "offsets", "records", "start", "watchers")

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.offsets: list[int] = []
        self.start = Offset(0)
        self.end = Offset(0)
        self.watchers: list[Callable[[], None]] = []
        self._cleaned = 0

    def append(self, key: bytes | None, value: bytes | None, headers: Headers, at_ms: int) -> Offset:
        """Land a record; watchers are woken by `wake`, once for many."""
        offset = self.end
        self.records.append(Record(offset, key, value, headers, at_ms))
        self.offsets.append(offset)
        self.end = Offset(offset + 1)
        return offset

    def wake(self) -> None:
        """Tell those who wait for more."""
        watchers, self.watchers = self.watchers, []
        for watcher in watchers:
            watcher()

    def skip(self, count: int) -> None:
        """Leave a hole at the end."""
        self.end = Offset(self.end + count)
        self.wake()

    def read(self, position: int, most: int) -> list[Record]:
        """Up to `most` records at or behind position."""
        place = bisect_left(self.offsets, position)
        return self.records[place : place + most]

    def after(self, records: list[Record], most: int) -> Offset:
        """The position behind what `read` returned for `most`: behind the holes at the end when that was all."""
        return self.end if len(records) < most else Offset(records[-1].offset + 1)

    def trim(self, start: int) -> None:
        """Retention: forget what stands before start."""
        place = bisect_left(self.offsets, start)
        del self.records[:place], self.offsets[:place]
        self.start = Offset(max(self.start, min(start, self.end)))

    def truncate(self, end: int) -> None:
        """Lose what stands at end and behind it, as a log restored from an old copy has."""
        place = bisect_left(self.offsets, end)
        del self.records[place:], self.offsets[place:]
        self.end = Offset(min(self.end, end))

    def compact(self) -> None:
        """Keep the last record of each key, all without key, and always the last one. Tombstones go with the next time."""
        last = {record.key: record.offset for record in self.records}
        kept = [record for record in self.records if record.key is None or last[record.key] == record.offset]
        spent, self._cleaned = self._cleaned, self.end
        kept = [one for one in kept if one.value is not None or one.offset >= spent or one.offset == self.end - 1]
        self.records, self.offsets = kept, [record.offset for record in kept]


Hook = Callable[[NodeId, str], None]


class Process:
    """One life of a node. Dead, nothing reaches it any more; paused (SIGSTOP), all that comes is kept until it goes on.

    on_step: told before and after every step that can be seen from outside; it may raise SimulatedCrash.
    on_death: called once, however it died. silent_since_s: when its heartbeats ended, None while they go on.
    """

    __slots__ = ("_held", "_hook", "alive", "node_id", "on_death", "paused", "silent_since_s")

    def __init__(self, node_id: NodeId, hook: Callable[[], Hook | None]) -> None:
        self.node_id = node_id
        self.silent_since_s: float | None = None
        self.alive = True
        self.paused = False
        self.on_death: list[Callable[[], None]] = []
        self._held: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._hook = hook

    def step(self, what: str) -> None:
        """A step is about to be taken, or was. Raises SimulatedCrash when the process is dead or dies here."""
        if not self.alive:
            raise SimulatedCrash(f"{self.node_id} is dead")
        hook = self._hook()
        if hook is None:
            return
        try:
            hook(self.node_id, what)
        except SimulatedCrash:
            self.die()
            raise
        if not self.alive:
            raise SimulatedCrash(f"{self.node_id} died at {what!r}")

    def die(self) -> None:
        """End at once. Repeatable."""
        if not self.alive:
            return
        self.alive = False
        self._held.clear()
        for callback in self.on_death:
            callback()

    def pause(self) -> None:
        """Stand still."""
        self.paused = True

    def go_on(self) -> None:
        """Take up what came meanwhile, in order."""
        self.paused = False
        held, self._held = self._held, []
        for call, args in held:
            self.when_running(call, *args)

    def when_running(self, call: Callable[..., None], *args: Any) -> None:
        """Call now, or when the process goes on, or, dead, never. A crash in the middle of it ends here."""
        if not self.alive:
            return
        if self.paused:
            self._held.append((call, args))
            return
        try:
            call(*args)
        except SimulatedCrash:
            self.die()

    def later(self, delay_s: float, call: Callable[..., None], *args: Any) -> None:
        """The same after a while."""
        asyncio.get_running_loop().call_later(delay_s, self.when_running, call, *args)

    async def wait(self, delay_s: float) -> None:
        """Sleep. A process that dies meanwhile never wakes."""
        future = asyncio.get_running_loop().create_future()
        self.later(delay_s, wake, future)
        await future


def wake(future: asyncio.Future[None]) -> None:
    """Resolve a future that may be cancelled by now."""
    if not future.done():
        future.set_result(None)
