"""The partitions that the group has given to this node, and how far it is with each."""

import asyncio
from weakref import WeakValueDictionary

from chatstream.core.errors import PartitionRefused, Restoring
from chatstream.core.ids import Offset, PartitionNo
from chatstream.engine.desk import PartitionStatus
from chatstream.engine.projection import Projection
from chatstream.engine.seat import Seat
from chatstream.table.port import Table


class Assigned:
    """tasks: for each partition the one that claims and serves it. seats: where it is served. refused: why it is not."""

    def __init__(self) -> None:
        self.tasks: dict[PartitionNo, asyncio.Task[None]] = {}
        self.seats: dict[PartitionNo, Seat] = {}
        self.refused: dict[PartitionNo, str] = {}
        self._restored: WeakValueDictionary[PartitionNo, Projection] = WeakValueDictionary()

    def table(self, number: PartitionNo) -> Table | None:
        """The confirmed rows; None when another node serves them. Raises Restoring, PartitionRefused."""
        seat = self.seats.get(number)
        if seat is not None:
            return seat.table
        self.check(number)
        if number in self.tasks:
            raise Restoring(f"partition {number} is being restored")
        return None

    def check(self, number: PartitionNo) -> None:
        """Raises PartitionRefused where only an operator can help: nothing may be promised there."""
        why = self.refused.get(number)
        if why is not None:
            raise PartitionRefused(f"partition {number} is not served: {why}")

    def folds(self, projection: Projection) -> None:
        """From here on this is folded for its partition."""
        self._restored[projection.partition] = projection

    def status(self) -> list[PartitionStatus]:
        """Every partition that is assigned."""
        return [self._status_of(number) for number in sorted(self.tasks)]

    def _status_of(self, number: PartitionNo) -> PartitionStatus:
        seat, refused, folding = self.seats.get(number), self.refused.get(number), self._restored.get(number)
        if seat is not None:
            inputs, folded = seat.writer.inputs, seat.projection.next_offset
            epoch, position = seat.writer.claim.epoch, Offset(inputs.position.offset)
            return PartitionStatus(number, "active", epoch, inputs.lag, position=position, folded=folded, end=folded)
        if refused is not None:
            return PartitionStatus(number, "refused", detail=refused)
        if folding is None:
            return PartitionStatus(number, "restoring")
        owner, folded, end = folding.ownership, folding.next_offset, folding.restored_to
        position = Offset(owner.position.offset)
        return PartitionStatus(number, "restoring", owner.epoch, position=position, folded=folded, end=max(folded, end))
