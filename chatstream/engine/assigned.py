"""The partitions that the group has given to this node, and how far it is with each."""

import asyncio

from chatstream.core.errors import PartitionRefused, Restoring
from chatstream.core.ids import PartitionNo
from chatstream.engine.desk import PartitionStatus
from chatstream.engine.seat import Seat
from chatstream.table.port import Table


class Assigned:
    """tasks: for each partition the one that claims and serves it. seats: where it is served. refused: why it is not."""

    def __init__(self) -> None:
        self.tasks: dict[PartitionNo, asyncio.Task[None]] = {}
        self.seats: dict[PartitionNo, Seat] = {}
        self.refused: dict[PartitionNo, str] = {}

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

    def status(self) -> list[PartitionStatus]:
        """Every partition that is assigned."""
        return [self._status_of(number) for number in sorted(self.tasks)]

    def _status_of(self, number: PartitionNo) -> PartitionStatus:
        seat = self.seats.get(number)
        if seat is not None:
            return PartitionStatus(number, "active", seat.writer.claim.epoch, seat.writer.inputs.lag)
        refused = self.refused.get(number)
        return PartitionStatus(number, "restoring") if refused is None else PartitionStatus(number, "refused", detail=refused)
