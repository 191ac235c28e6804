"""A GroupListener that writes down what it was told, and lets tests wait for it."""

import asyncio
import time
from collections.abc import Callable, Sequence

from chatstream.core.ids import Offset, PartitionNo
from chatstream.log.port import Lease, Record

WAIT_S = 60.0


class NotedListener:
    """Notes everything in order. `now`: the partitions it has at the moment."""

    def __init__(self) -> None:
        self.now: set[PartitionNo] = set()
        self.told: list[tuple[str, tuple[PartitionNo, ...]]] = []
        self.records: list[tuple[PartitionNo, Lease, Record]] = []
        self.reached: list[tuple[PartitionNo, Lease, Offset]] = []

    def on_assigned(self, partitions: Sequence[PartitionNo]) -> None:
        self.told.append(("assigned", tuple(partitions)))
        self.now.update(partitions)

    def on_revoked(self, partitions: Sequence[PartitionNo]) -> None:
        self.told.append(("revoked", tuple(partitions)))
        self.now.difference_update(partitions)

    def on_records(self, partition: PartitionNo, lease: Lease, records: Sequence[Record]) -> None:
        assert records
        self.records += [(partition, lease, record) for record in records]

    def on_reached(self, partition: PartitionNo, lease: Lease, end: Offset) -> None:
        assert not any(of == partition and record.offset >= end for of, _, record in self.records)
        self.reached.append((partition, lease, end))

    def values(self, partition: int | None = None) -> list[bytes | None]:
        """Values delivered, in order."""
        return [record.value for number, _, record in self.records if partition in (None, number)]


async def until(condition: Callable[[], object], what: str = "the condition", wait_s: float = WAIT_S) -> None:
    """Wait until the condition holds; fails with `what` after wait_s."""
    deadline_s = time.monotonic() + wait_s
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {wait_s:g} s in vain: {what}"
        await asyncio.sleep(0.005)
