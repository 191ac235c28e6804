"""Wakes readers. A reader watches a session, reads the table, then waits; so nothing falls between reading and waiting."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from chatstream.core.errors import TooManyReaders
from chatstream.core.ids import SessionId
from chatstream.engine.live import Live


class Watch:
    """One reader's place in the feed. Created by Feed.watch."""

    __slots__ = ("_waiter", "_woken")

    def __init__(self) -> None:
        self._woken = False
        self._waiter: asyncio.Future[bool] | None = None

    async def wait(self, wait_s: float) -> bool:
        """Wait for a wake-up since the last call, at most wait_s; False when there was none. One caller at a time."""
        if not self._woken and wait_s > 0:
            # A future and a timer: an Event inside asyncio.timeout costs three times as much, and every request that
            # waits for its reply pays it.
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_later(wait_s, _resolve, self._waiter)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        woken, self._woken = self._woken, False
        return woken

    def forget(self) -> None:
        """Call right before reading: what woke this watch until now is about to be read."""
        self._woken = False

    def wake(self) -> None:
        """End the wait."""
        self._woken = True
        if self._waiter is not None:
            _resolve(self._waiter)


def _resolve(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(True)


class Feed:
    """All readers of one node. most: Limits.readers. live: answers while they are being given."""

    def __init__(self, most: int) -> None:
        self.live = Live()
        self._most = most
        self._count = 0
        self._watches: dict[SessionId, set[Watch]] = {}
        self.closed = False

    @contextmanager
    def watch(self, session: SessionId, live: bool = False) -> Iterator[Watch]:
        """Watch a session: enter before reading. live: be woken for text too. Raises TooManyReaders at the limit."""
        if self._count >= self._most:
            raise TooManyReaders(f"{self._count} readers wait here already, the most is {self._most}")
        watch = Watch()
        self._count += 1
        self._watches.setdefault(session, set()).add(watch)
        if live:
            self.live.join(session, watch)
        try:
            yield watch
        finally:
            if live:
                self.live.leave(session, watch)
            self._count -= 1
            watches = self._watches[session]
            watches.discard(watch)
            if not watches:
                del self._watches[session]

    def __len__(self) -> int:
        return self._count

    def wake(self, session: SessionId) -> None:
        """The session has new confirmed events, or is served elsewhere now."""
        self.live.ended.pop(session, None)
        for watch in self._watches.get(session, ()):
            watch.wake()

    def wake_all(self) -> None:
        """Something changed for everyone: look again."""
        self.live.ended.clear()
        for watches in self._watches.values():
            for watch in watches:
                watch.wake()

    def close(self) -> None:
        """Wake everyone for the last time; `closed` tells them to end."""
        self.closed = True
        self.wake_all()
