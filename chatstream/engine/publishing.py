"""Confirmed public events onto chat.replies: in log order, gapless, stopped at the first error.

What is published is a pure function of the event, so doing it twice gives identical records; the header `source` lets a
reader drop the second exactly. Normally events go out as they are confirmed (`publish`). After a take-over, an error, or
when too many are unacknowledged, they are read back from the log (`_catch_up`), which needs no memory.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from chatstream.core import codec
from chatstream.core.claims import Headers, session_of_key
from chatstream.core.errors import BadInput, LogError, LogUnavailable, QueueFull, TableBroken, UnknownFormat
from chatstream.core.events import AnyEvent, is_public
from chatstream.core.ids import Offset, PartitionNo, SessionId
from chatstream.engine.projection import Projection
from chatstream.log.port import Ack, Log, Record, Topic
from chatstream.table import rows

log = logging.getLogger(__name__)

SOURCE_HEADER: Final = "source"
"""On chat.replies: offset of the event on chat.events, same partition."""

SOURCE_DIGITS_MAX: Final = 18
"""As many as an offset of 64 bits can have."""

TAIL_READ: Final = 100
"""Records at the end of chat.replies that are looked at for the highest source: late landings may stand behind it."""

OUTSTANDING_MOST: Final = 10_000
"""Unacknowledged replies of one partition before it reads back from the log instead."""

RETRY_S: Final = 1.0
READ_MOST: Final = 500
READ_WAIT_S: Final = 10.0

Send = Callable[[PartitionNo, bytes, bytes, Headers, Callable[[Ack], None]], None]
"""Append to chat.replies; raises LogError when nothing was sent."""


async def last_source(log_: Log, partition: PartitionNo, below: Offset) -> Offset:
    """The highest source among the last records of chat.replies, -1 when there is none.

    below: where chat.events ends. What names a place behind it is a stranger's record: it must not silence the partition.
    """
    first, end = await log_.bounds(Topic.REPLIES, partition)
    start = max(first, end - TAIL_READ)
    highest = -1
    if start >= end:
        return Offset(highest)
    reader = log_.open_reader(Topic.REPLIES, partition, Offset(start))
    try:
        while reader.position < end:
            records = await reader.read(TAIL_READ, wait_s=READ_WAIT_S)
            if not records:
                break
            highest = max(highest, *(source for source in map(_source_of, records) if source < below), -1)
    finally:
        await reader.close()
    return Offset(highest)


def _source_of(record: Record) -> int:
    raw = dict(record.headers).get(SOURCE_HEADER, b"")
    return int(raw) if raw.isdigit() and len(raw) <= SOURCE_DIGITS_MAX else -1


class Publisher:
    """The replies of one partition under one claim.

    published: everything public up to here is on chat.replies. on_failure: called once a record was not taken; the
    owner of the producer replaces it and calls `restart`. on_broken: the table cannot be read; the writer has to end.
    spawn: starts a task whose exceptions end the node.
    """

    def __init__(
        self,
        log_: Log,
        projection: Projection,
        published: Offset,
        send: Send,
        on_failure: Callable[[], None],
        on_broken: Callable[[TableBroken], None],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self.published = published
        self._log = log_
        self._projection = projection
        self._send = send
        self._on_failure = on_failure
        self._on_broken = on_broken
        self._spawn = spawn
        self._partition: Final = projection.partition
        self._round = 0
        self._outstanding = 0
        self._next = Offset(published + 1)
        self._later: deque[tuple[Offset, SessionId, bytes]] = deque()
        self._overflowed = False
        self._room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._closed = False
        self.restart()

    def publish(self, offset: Offset, event: AnyEvent, value: bytes) -> None:
        """A confirmed public event; while catching up it waits its turn."""
        if self._stopped:
            return
        if self._task is not None:
            self._overflowed = self._overflowed or len(self._later) >= OUTSTANDING_MOST
            if not self._overflowed:
                self._later.append((offset, event.session, value))
        elif self._outstanding >= OUTSTANDING_MOST:
            self._catch_up_soon(0.0)
        else:
            self._produce_or_wait(offset, event.session, value)

    def _produce_or_wait(self, offset: Offset, session: SessionId, value: bytes) -> None:
        try:
            self._produce(offset, session, value)
        except QueueFull:
            # No fault of the producer, and others use it too: what there is no room for is read from the log in a moment.
            self._catch_up_soon(RETRY_S)

    def _produce(self, offset: Offset, session: SessionId, value: bytes) -> None:
        """Raises QueueFull; any other error stops the publisher."""
        headers = ((SOURCE_HEADER, b"%d" % offset),)
        try:
            self._send(self._partition, session.encode(), value, headers, partial(self._on_ack, self._round, offset))
        except QueueFull:
            raise
        except LogError as error:
            self._fail(error)
            return
        self._next = Offset(offset + 1)
        self._outstanding += 1

    def _on_ack(self, round_: int, offset: Offset, ack: Ack) -> None:
        if round_ != self._round or self._stopped:
            return
        if ack.offset is None:
            self._fail(ack.error)
            return
        self._outstanding -= 1
        self._room.set()
        self.published = max(self.published, offset)

    def _fail(self, error: Exception | None) -> None:
        """Stop at the first error: nothing that comes later may overtake what was not taken."""
        log.warning("partition %d: chat.replies did not take a record: %s", self._partition, error)
        self._stop()
        self._on_failure()

    def _stop(self) -> None:
        self._stopped = True
        self._round += 1
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def restart(self, wait_s: float = 0.0) -> None:
        """Go on after `published`, on a fresh producer: what the old one had in flight may be published again."""
        if self._closed:
            return
        self._stop()
        self._stopped = False
        self._outstanding = 0
        self._next = Offset(self.published + 1)
        if self._next < self._projection.next_offset:
            self._catch_up_soon(wait_s)

    def _catch_up_soon(self, wait_s: float) -> None:
        self._later.clear()
        self._overflowed = False
        self._task = self._spawn(self._catch_up(self._round, wait_s))

    async def _catch_up(self, round_: int, wait_s: float) -> None:
        """Publish from the log up to what is confirmed now, then what was confirmed meanwhile, then hand over.

        What is confirmed meanwhile is kept by `publish`; if that became too much, it is read from the log as well.
        """
        await asyncio.sleep(wait_s)
        while True:
            self._later.clear()
            self._overflowed = False
            try:
                await self._publish_from_log(round_, self._projection.next_offset)
            except LogError as error:
                log.warning("partition %d: replies have to wait: %s", self._partition, error)
                await asyncio.sleep(RETRY_S)
                continue
            except TableBroken as error:
                self._on_broken(error)
                return
            if not self._overflowed:
                break
        self._task = None
        while self._later and not self._stopped:
            self._produce_or_wait(*self._later.popleft())

    async def _publish_from_log(self, round_: int, stop: Offset) -> None:
        reader = self._log.open_reader(Topic.EVENTS, self._partition, self._next)
        try:
            while reader.position < stop and round_ == self._round:
                before = reader.position
                for record in await reader.read(READ_MOST, wait_s=READ_WAIT_S):
                    if record.offset < stop and round_ == self._round:
                        self._publish_record(record)
                        self._next = Offset(record.offset + 1)
                if reader.position == before:
                    raise LogUnavailable(f"nothing to read at offset {before}, below {stop}")
                while self._outstanding >= OUTSTANDING_MOST // 2 and round_ == self._round:
                    self._room.clear()
                    await self._room.wait()
        finally:
            await reader.close()

    def _publish_record(self, record: Record) -> None:
        """Publish a record read back, if it is public and counted: then the table's row names its offset."""
        if record.value is None or record.key is None or session_of_key(record.key) is None:
            return
        try:
            event = codec.read_event(record.value)
        except (BadInput, UnknownFormat):
            return  # nothing that counts reads so: the partition would not be served
        entry = rows.read_entry(self._projection.table, event.session, event.seq)
        if is_public(event) and entry is not None and entry.offset == record.offset:
            self._produce(record.offset, event.session, record.value)

    def close(self) -> None:
        """Publish nothing more. Repeatable."""
        self._closed = True
        self._stop()
