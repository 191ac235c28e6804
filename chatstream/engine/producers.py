"""The node's two producers. Either can be thrown away and opened anew at any time; that is the only repair.

EventProducer  chat.events and nothing else: what the partitions' writers append. When it is replaced, every partition it
               served claims again.
SideProducer   everything else: replies, dead letters, forwards, owners, and what comes in over HTTP.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from chatstream.core.claims import Headers
from chatstream.core.errors import LogUnavailable, OutcomeUnknown
from chatstream.core.ids import Offset, PartitionNo
from chatstream.engine.guard import Guard
from chatstream.engine.surroundings import Pending, Writer
from chatstream.log.port import Ack, Log, Producer, Topic

log = logging.getLogger(__name__)

OnAck = Callable[[Ack], None]

REPLACE_WAIT_S: Final = 1.0
"""Between a failure of the side producer and its replacement, so that a dead broker is not hammered."""


class EventProducer:
    """Appends to chat.events for all partitions of the node. replaced: how often it was."""

    def __init__(self, log_: Log, guard: Guard) -> None:
        self.replaced = 0
        self._log = log_
        self._guard = guard
        self._claims: set[asyncio.Future[Offset]] = set()
        self._producer: Producer = log_.open_producer(self._on_acks)

    def append(self, partition: PartitionNo, key: bytes, value: bytes | None, headers: Headers, pending: Pending) -> None:
        """Send a writer's record; its ack goes to `pending.writer`. Raises LogError when nothing was sent."""
        self._producer.append(Topic.EVENTS, partition, key, value, headers, pending)

    async def append_claim(self, partition: PartitionNo, key: bytes, value: bytes, wait_s: float) -> Offset:
        """Append a claim and wait for its ack. Raises OutcomeUnknown, or LogError when nothing was sent."""
        acked: asyncio.Future[Offset] = asyncio.get_running_loop().create_future()
        self._producer.append(Topic.EVENTS, partition, key, value, (), acked)
        self._claims.add(acked)
        try:
            async with asyncio.timeout(wait_s):
                return await acked
        except TimeoutError as error:
            raise OutcomeUnknown(f"a claim was not acknowledged within {wait_s:g} s") from error
        finally:
            self._claims.discard(acked)

    def _on_acks(self, acks: Sequence[Ack]) -> None:
        with self._guard:
            self._tell(acks)

    def _tell(self, acks: Sequence[Ack]) -> None:
        writers: dict[Writer, None] = {}
        for ack in acks:
            tag = ack.tag
            if isinstance(tag, Pending):
                tag.writer.on_ack(tag, ack.offset, ack.error)
                writers[tag.writer] = None
            elif not tag.done():
                _tell_claim(tag, ack)
        for writer in writers:
            writer.settle()

    def replace(self) -> None:
        """Throw the producer away, with all that is queued and in flight, and open a new one. Claims in flight fail."""
        self.replaced += 1
        self._producer.abandon()
        self._producer = self._log.open_producer(self._on_acks)
        for acked in self._claims:
            if not acked.done():
                acked.set_exception(OutcomeUnknown("the producer was replaced while a claim was on its way"))

    async def close(self, wait_s: float) -> None:
        """Let what is in flight be acknowledged, at most wait_s, and end."""
        await self._producer.close(wait_s)


def _tell_claim(acked: asyncio.Future[Offset], ack: Ack) -> None:
    """The ack itself is not handed on: its tag is `acked`, and a ring through it would never be collected."""
    if ack.offset is None:
        acked.set_exception(OutcomeUnknown(f"the outcome of a claim is unknown: {ack.error}"))
    else:
        acked.set_result(ack.offset)


class SideProducer:
    """Appends to every topic but chat.events. on_replaced: what was not acknowledged by then never will be."""

    def __init__(self, log_: Log, on_replaced: Callable[[], None], guard: Guard) -> None:
        self._log = log_
        self._on_replaced = on_replaced
        self._guard = guard
        self._closed = False
        self._producer: Producer = log_.open_producer(self._on_acks)
        self._failed = False
        self._timer: asyncio.TimerHandle | None = None

    def append(
        self, topic: Topic, partition: PartitionNo, key: bytes | None, value: bytes | None, headers: Headers, on_ack: OnAck
    ) -> None:
        """Send a record; on_ack(ack) later, unless the producer is replaced first. Raises LogError when nothing was sent."""
        if self._failed:
            raise LogUnavailable("the log does not take records just now")
        self._producer.append(topic, partition, key, value, headers, on_ack)

    def _on_acks(self, acks: Sequence[Ack]) -> None:
        with self._guard:
            for ack in acks:
                ack.tag(ack)
                if ack.offset is None:
                    self.fail(ack.error)

    def fail(self, error: Exception | None) -> None:
        """The producer is of no more use: replace it in a moment."""
        if self._failed or self._closed:
            return
        log.warning("the producer failed and is replaced: %s", error)
        self._failed = True
        self._timer = asyncio.get_running_loop().call_later(REPLACE_WAIT_S, self._replace)

    def _replace(self) -> None:
        with self._guard:
            self._producer.abandon()
            self._producer = self._log.open_producer(self._on_acks)
            self._failed = False
            self._on_replaced()

    async def close(self, wait_s: float) -> None:
        """Let what is in flight be acknowledged, at most wait_s, and end."""
        self._failed = True  # whatever fails from here on, nothing is opened any more
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        await self._producer.close(wait_s)
