"""Runs plain (not async) responders in threads, so that a call that blocks holds up nobody else.

One thread from the first piece to the last: what such code opens (a database, a lock) often may not change threads.
The threads are daemons, because one that hangs in foreign code must not keep the process from ending.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from contextvars import copy_context
from types import TracebackType
from typing import Any, Final

from chatstream.core.errors import ResponderError

THREADS: Final = 256
"""As many as there may be model calls at once (Limits.calls)."""
PIECES_AHEAD: Final = 64
"""How far a thread may run ahead of its reader, in pieces."""


class Threads:
    """At most `limit` threads at once; further calls wait for one to end.

    A slot is free again when its thread has ended, not when its turn is cancelled: foreign code cannot be stopped
    from outside, and its threads must not pile up.
    """

    def __init__(self, limit: int = THREADS) -> None:
        self._slots = asyncio.Semaphore(limit)

    async def run(self, pieces: Callable[[], Iterator[Any]]) -> AsyncGenerator[Any, None]:
        """The pieces as they come. Closing this stops the consumption after the piece in work. Raises what it raises."""
        await self._slots.acquire()
        channel = _Channel(asyncio.get_running_loop(), self._slots)
        threading.Thread(target=copy_context().run, args=(channel.fill, pieces), name="responder", daemon=True).start()
        try:
            while (item := await channel.items.get()) is not channel.end:
                channel.room.release()
                yield item
            channel.raise_error()
        finally:
            channel.leave()


class _Channel:
    """From one thread to the event loop: pieces, then `end`; an error stands in `error` by then."""

    def __init__(self, loop: asyncio.AbstractEventLoop, slots: asyncio.Semaphore) -> None:
        self.items: asyncio.Queue[Any] = asyncio.Queue()  # bounded by `room`
        self.end = object()
        self.room = threading.Semaphore(PIECES_AHEAD)
        self._error: BaseException | None = None
        self._left = threading.Event()
        self._loop = loop
        self._slots = slots

    def fill(self, pieces: Callable[[], Iterator[Any]]) -> None:
        """In the thread: all pieces, or those until the reader left."""
        with self:
            iterator = pieces()
            for piece in iterator:
                self.room.acquire()
                if self._left.is_set():
                    break
                self._post(self.items.put_nowait, piece)
            # Its `finally` blocks run in this thread, now, and not wherever the garbage collector happens to be.
            if (close := getattr(iterator, "close", None)) is not None:
                close()

    def leave(self) -> None:
        """On the loop: the reader wants no more."""
        self._left.set()
        self.room.release()

    def raise_error(self) -> None:
        """On the loop, after `end`."""
        if self._error is None:
            return
        if isinstance(self._error, Exception):
            raise self._error
        # sys.exit() in a responder ends its turn's attempt, not the node.
        raise ResponderError(f"the responder raised {type(self._error).__name__}") from self._error

    def __enter__(self) -> "_Channel":
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None) -> bool:
        """Carries the thread's error over to the loop, where it is raised again."""
        self._error = error
        self._post(self.items.put_nowait, self.end)
        self._post(self._slots.release)
        return True

    def _post(self, call: Callable[..., Any], *args: Any) -> None:
        # The loop of a node that has stopped is closed and raises RuntimeError; there is nobody left to tell.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *args)
