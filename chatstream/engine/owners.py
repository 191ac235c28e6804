"""Who serves which partition: chat.owners, read by every node and written by each owner. A hint, never a proof."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import msgspec

from chatstream.core.errors import LogError
from chatstream.core.ids import NodeId, Offset, PartitionNo
from chatstream.log.port import Log, Record, Topic

log = logging.getLogger(__name__)

READ_WAIT_S: Final = 5.0
RETRY_S: Final = 1.0
PARTITION: Final = PartitionNo(0)
"""chat.owners has one."""


class Owner(msgspec.Struct, frozen=True):
    """The value of a record of chat.owners; its key is the partition's number."""

    partition: PartitionNo
    epoch: int
    node: NodeId
    url: str


class Owners:
    """The highest epoch read for each partition. on_stale: a lower epoch was written after this one."""

    def __init__(self, log_: Log, on_stale: Callable[[Owner], None]) -> None:
        self._log = log_
        self._on_stale = on_stale
        self._owners: dict[PartitionNo, Owner] = {}

    def of(self, partition: PartitionNo) -> Owner | None:
        """Who serves the partition, as far as is known here."""
        return self._owners.get(partition)

    async def follow(self) -> None:
        """Read chat.owners from its start and go on; runs until cancelled."""
        while True:
            try:
                await self._follow()
            except LogError as error:
                log.warning("chat.owners cannot be read: %s", error)
                await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        first, _ = await self._log.bounds(Topic.OWNERS, PARTITION)
        reader = self._log.open_reader(Topic.OWNERS, PARTITION, Offset(first))
        try:
            while True:
                for record in await reader.read(500, READ_WAIT_S):
                    self._fold(record)
        finally:
            await reader.close()

    def _fold(self, record: Record) -> None:
        try:
            owner = msgspec.json.decode(record.value or b"", type=Owner)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        known = self._owners.get(owner.partition)
        if known is None or owner.epoch >= known.epoch:
            self._owners[owner.partition] = owner
        else:
            # Compaction would keep this one, the last written, and drop the true one.
            self._on_stale(known)


def owner_record(owner: Owner) -> tuple[bytes, bytes]:
    """Key and value of an owner's record."""
    return b"%d" % owner.partition, msgspec.json.encode(owner)
