"""The membership as the engine sees it: everything on the event loop, the consumer in its own thread (kafka_member)."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from chatstream.core.ids import Offset, PartitionNo
from chatstream.log.kafka_handover import Handover
from chatstream.log.kafka_member import LEAVE_S, Member
from chatstream.log.kafka_settings import KafkaSettings
from chatstream.log.kafka_watchdog import Watchdog, end_process
from chatstream.log.port import GroupListener, Lease

PROOF_S: Final = 5.0
"""A commit that takes longer proves nothing: by then the partition may be someone else's."""
LEAVE_MOST_S: Final = LEAVE_S + 5.0
"""Unsubscribing, then the library's close."""
STUCK_S: Final = 10.0
"""A thread that made no turn for so long is stuck: its longest wait in one turn is 2 s."""

logger = logging.getLogger(__name__)


class KafkaGroup:
    """One node's membership. stuck_s, on_stuck: the watchdog's limit and action."""

    def __init__(
        self, settings: KafkaSettings, *, stuck_s: float = STUCK_S, on_stuck: Callable[[str], None] = end_process
    ) -> None:
        self._settings = settings
        self._stuck_s = stuck_s
        self._on_stuck = on_stuck
        self._member: Member | None = None
        self._watchdog: Watchdog | None = None
        self._left: asyncio.Future[None] | None = None

    @property
    def member(self) -> Member | None:
        """The thread's side, None before joining."""
        return self._member

    async def join(self, listener: GroupListener) -> None:
        """Become a member. Returns at once; assignments come to the listener."""
        member = Member(self._settings, listener, Handover(asyncio.get_running_loop()))
        self._member = member
        self._left = None
        self._watchdog = Watchdog("the consumer thread", lambda: member.turns, self._stuck_s, self._on_stuck)
        member.start()
        self._watchdog.start()

    def fetch_from(self, partition: PartitionNo, offset: Offset, lease: Lease) -> None:
        """Seek, drop what was prefetched, and deliver from `offset` under this lease."""
        if self._member is not None:
            self._member.fetch_from(partition, offset, lease)

    def pause(self, partition: PartitionNo) -> None:
        """Deliver no more of it until resume."""
        if self._member is not None:
            self._member.pause(partition)

    def resume(self, partition: PartitionNo) -> None:
        """Deliver again from where it paused."""
        if self._member is not None:
            self._member.resume(partition)

    def commit(self, offsets: Mapping[PartitionNo, Offset]) -> None:
        """Publish next-to-read offsets for lag dashboards, some time."""
        if self._member is not None and offsets:
            self._member.commit(offsets)

    async def proves_membership(self, partition: PartitionNo, offset: Offset) -> bool:
        """Does an offset commit in this generation succeed? False as well after 5 s without an answer."""
        if self._member is None or self._left is not None:
            return False
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def proved(succeeded: bool) -> None:
            if not answer.done():
                answer.set_result(succeeded)

        self._member.prove(partition, offset, proved)
        try:
            async with asyncio.timeout(PROOF_S):
                return await answer
        except TimeoutError:
            return False

    async def leave(self) -> None:
        """Leave so that others take over at once. Repeatable."""
        if self._member is None:
            return
        if self._left is None:
            self._left = left = asyncio.get_running_loop().create_future()
            self._member.leave(lambda: None if left.done() else left.set_result(None))
        try:
            async with asyncio.timeout(LEAVE_MOST_S):
                await asyncio.shield(self._left)
        except TimeoutError:
            logger.warning("the group was not left within %s s: others take over when the session times out", LEAVE_MOST_S)
        finally:
            if self._watchdog is not None:
                self._watchdog.stop()
