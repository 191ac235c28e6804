"""A response that goes on: what a teller has to say, whenever there is something, until the stream's time is up.

A stream always may end, and its reader then comes back with how far it has come: it ends itself before proxies do, when the
node stops, when the partition moves away, and when the reader is too slow to take what is sent.
"""

import asyncio
import contextlib
import logging
from typing import Literal, NamedTuple, Protocol

from aiohttp import web

from chatstream.core.errors import ChatstreamError, Erased, NotOwner
from chatstream.core.ids import SessionId
from chatstream.engine.desk import Desk
from chatstream.engine.feed import Watch
from chatstream.table import reads
from chatstream.web.giving import cut_off
from chatstream.web.problems import stopping
from chatstream.web.settings import DESK, HELD, SETTINGS, SseTimes
from chatstream.web.sse import HEARTBEAT, lifetime_s, open_stream
from chatstream.web.waiting import table_of

log = logging.getLogger(__name__)

End = Literal["time", "stopping", "moved", "erased", "slow", "trouble"]
"""Why a stream ends: it has lived long enough, the node stops, another node serves the session now, there is no such
session any more, the reader has not taken what was sent, the rows cannot be read."""


class Told(NamedTuple):
    """frames: to be sent now, maybe none. more: there is more to be read at once."""

    frames: bytes
    more: bool


class Teller(Protocol):
    """What one stream says."""

    def tell(self) -> Told:
        """What is new since the last call. Reads, never waits. Raises ChatstreamError when it cannot go on."""

    def last_words(self, end: End) -> bytes:
        """The last frame."""


async def stream(request: web.Request, session: SessionId, teller: Teller, live: bool) -> web.StreamResponse:
    """Send what the teller tells, until the end. live: be woken for text too.

    Raises NotOwner, Restoring, TooManyReaders, Problem, all before the stream has begun; once it has, it just ends.
    """
    app = request.app
    desk, settings = app[DESK], app[SETTINGS]
    request[HELD] = True
    reads.head(await table_of(desk, session, settings.restore_hold_s), session)  # 410 for an erased one, before it begins
    if desk.stopping or desk.feed.closed:
        raise stopping(settings.retry_after_s)
    with desk.feed.watch(session, live) as watch:
        response = await open_stream(request)
        # A client that has left is no error; it knows where to go on.
        with contextlib.suppress(ConnectionError):
            await _Stream(desk, settings.sse, teller, response, request).run(watch)
    return response


class _Stream:
    """One stream under way.

    A write that waits is never cancelled: aiohttp would end the next one as cancelled too. A timer looks at it instead.
    """

    def __init__(self, desk: Desk, times: SseTimes, teller: Teller, response: web.StreamResponse, request: web.Request) -> None:
        self._desk = desk
        self._times = times
        self._teller = teller
        self._response = response
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._is_slow = False
        self._cut_off: asyncio.TimerHandle | None = None

    async def run(self, watch: Watch) -> None:
        """Send until the end, and say why it is the end. A reader that does not even take that is cut off."""
        try:
            end = await self._send(watch)
            if self._cut_off is None:
                self._cut_off = self._loop.call_later(self._times.write_grace_s, cut_off, self._request)
            await self._response.write(self._teller.last_words(end))
            await self._response.write_eof()
        finally:
            if self._cut_off is not None:
                self._cut_off.cancel()

    async def _send(self, watch: Watch) -> End:
        """The first frames come at once, even if there is nothing to read: they say where the reader is."""
        ends_at_s = self._loop.time() + lifetime_s(self._times)
        while True:
            watch.forget()
            try:
                told = self._teller.tell()
            except NotOwner:
                return "moved"
            except Erased:
                return "erased"
            except ChatstreamError as error:
                log.debug("a stream ends: %s", error)
                return "trouble"
            if told.frames:
                await self._write(told.frames)
            if self._is_slow:
                return "slow"
            left_s = ends_at_s - self._loop.time()
            if self._desk.stopping or self._desk.feed.closed:
                return "stopping"
            if left_s <= 0:
                return "time"
            if not told.more and not await watch.wait(min(left_s, self._times.heartbeat_s)):
                await self._write(HEARTBEAT)

    async def _write(self, frames: bytes) -> None:
        """Send, and wait until nearly all of what was sent before is on its way: nothing piles up for a slow reader."""
        patience = self._loop.call_later(self._times.write_s, self._grow_impatient)
        try:
            await self._response.write(frames)
        finally:
            patience.cancel()

    def _grow_impatient(self) -> None:
        log.info("a reader has not taken what was sent for %g s", self._times.write_s)
        self._is_slow = True
        self._cut_off = self._loop.call_later(self._times.write_grace_s, cut_off, self._request)
