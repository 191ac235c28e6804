"""Who serves which partition: chat.owners, read by every node and written by each owner. A hint, never a proof."""

import asyncio
import logging
from collections.abc import Container
from typing import Final

import msgspec

from chatstream.core.errors import LogError, LogUnavailable
from chatstream.core.ids import NodeId, Offset, PartitionNo
from chatstream.engine.producers import SideProducer
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
    """The highest epoch read for each partition. node: who we are; ours: the partitions that are served here now."""

    def __init__(self, log_: Log, side: SideProducer, node: NodeId, ours: Container[PartitionNo]) -> None:
        self._log = log_
        self._side = side
        self._node = node
        self._ours = ours
        self._owners: dict[PartitionNo, Owner] = {}
        self._next = Offset(0)

    def of(self, partition: PartitionNo) -> Owner | None:
        """Who serves the partition, as far as is known here."""
        return self._owners.get(partition)

    def url_of(self, partition: PartitionNo) -> str | None:
        """Where another node serves the partition, None when no other is known to."""
        owner = self.of(partition)
        return None if owner is None or owner.node == self._node else owner.url

    async def follow(self) -> None:
        """Read chat.owners from its start and go on; runs until cancelled."""
        while True:
            try:
                await self._follow()
            except LogError as error:
                log.warning("chat.owners cannot be read: %s", error)
                await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        first, end = await self._log.bounds(Topic.OWNERS, PARTITION)
        self._next = self._next if first <= self._next <= end else first
        reader = self._log.open_reader(Topic.OWNERS, PARTITION, self._next)
        try:
            while True:
                for record in await reader.read(500, READ_WAIT_S):
                    self._fold(record)
                if reader.position == self._next < end:
                    # A client of Kafka may stop fetching and not say so; a new one goes on.
                    raise LogUnavailable(f"nothing comes behind offset {self._next}, and it ends at {end}")
                if reader.position == self._next:
                    _, end = await self._log.bounds(Topic.OWNERS, PARTITION)
                self._next = reader.position
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
            self._correct(known)

    def _correct(self, known: Owner) -> None:
        """A lower epoch was written after this one. Compaction would keep that, the last written, and drop the true one."""
        if known.node == self._node and known.partition in self._ours:
            self.announce(known)

    def announce(self, owner: Owner) -> None:
        """Write down who serves a partition. That it does not get through is logged and no more: it is only a hint."""
        key, value = owner_record(owner)
        try:
            self._side.append(Topic.OWNERS, PARTITION, key, value, (), lambda _: None)
        except LogError as error:
            log.warning("partition %d: its owner cannot be announced: %s", owner.partition, error)


def owner_record(owner: Owner) -> tuple[bytes, bytes]:
    """Key and value of an owner's record."""
    return b"%d" % owner.partition, msgspec.json.encode(owner)
