"""Compaction of chat.events: what has a tombstone behind it is removed, and then the tombstone.

Which tombstones there are is noted when they are written, so nothing is read as long as there are none. Doing a part of it
twice does no harm.
"""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, Protocol

from chatstream.core.ids import Offset
from chatstream.log.embedded_journal import Journal, Partition, Place
from chatstream.log.port import Record, Topic

TOMBSTONES_MOST: Final = 100_000
"""Of one pass over a partition: some 10 MB of keys."""
STEP: Final = 1_000
"""Records looked at, or removed, before other work gets its turn."""


class Files(Protocol):
    """Where the records are: see embedded_files."""

    def tombstones(self, place: Place, stop: int, most: int) -> dict[Offset, bytes]: ...

    def remove(self, place: Place, offsets: Iterable[int]) -> None: ...

    def scour(self, place: Place) -> None: ...

    def hurry(self) -> None: ...


class Compaction:
    """Removes what tombstones are there for."""

    def __init__(self, journal: Journal, files: Files) -> None:
        self._journal = journal
        self._files = files
        self._last: dict[Place, Offset] = {}

    async def run(self) -> None:
        """Once over all partitions. Raises LogUnavailable."""
        for (topic, number), _ in list(self._journal.partitions.items()):
            if topic is Topic.EVENTS:
                removed = False
                while await self._pass(self._journal.partition(topic, number)):
                    removed = True
                if removed:
                    await self._scour((topic, number))

    async def _pass(self, partition: Partition) -> bool:
        """Over one partition; False when there was nothing to do."""
        # What is written but not acknowledged yet is nobody's business.
        found = self._files.tombstones(partition.place, partition.end, TOMBSTONES_MOST)
        # The last record stays, whatever it is. A tombstone that is the last has its work done once, and goes some other time.
        last = Offset(partition.end - 1)
        done = {offset for offset in found if offset == last and self._last.get(partition.place) == last}
        if found.keys() == done:
            return False
        await self._remove_before(partition, {key: offset for offset, key in sorted(found.items())}, max(found))
        self._last[partition.place] = last
        spent = iter([offset for offset in found if offset != last])
        while step := list(islice(spent, STEP)):
            self._files.remove(partition.place, step)
            await asyncio.sleep(0)
        return True

    async def _remove_before(self, partition: Partition, tombstones: dict[bytes, Offset], stop: Offset) -> None:
        position = partition.start
        while position < stop:
            records = self._journal.read(partition, position, STEP)
            if not records:
                return
            doomed = _doomed(records, tombstones)
            if doomed:
                self._files.remove(partition.place, doomed)
            position = Offset(records[-1].offset + 1)
            await asyncio.sleep(0)

    async def _scour(self, place: Place) -> None:
        work = asyncio.get_running_loop().run_in_executor(None, self._files.scour, place)
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            self._files.hurry()
            await asyncio.wait([work])
            raise


def _doomed(records: Sequence[Record], tombstones: dict[bytes, Offset]) -> list[int]:
    return [
        record.offset for record in records if record.key is not None and record.offset < tombstones.get(record.key, Offset(0))
    ]
