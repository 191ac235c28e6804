"""`live=sse`: events as a stream, each batch with the control frame that says where to go on."""

import asyncio
import contextlib
import logging
import time
from typing import Final

import msgspec
from aiohttp import web

from chatstream.core.errors import ChatstreamError
from chatstream.core.ids import SessionId
from chatstream.engine.desk import Desk
from chatstream.engine.feed import Watch
from chatstream.table import reads
from chatstream.table.reads import Events
from chatstream.web.paging import read_page
from chatstream.web.problems import stopping
from chatstream.web.settings import DESK, HELD, LIMITS, SETTINGS, SseTimes
from chatstream.web.sse import HEARTBEAT, frame, lifetime_s, open_stream
from chatstream.web.tokens import later_cursor, stream_cursor, token
from chatstream.web.waiting import table_of

log = logging.getLogger(__name__)

_encode: Final = msgspec.json.Encoder().encode


class Control(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Where a reader stands after a batch; the names are the protocol's."""

    stream_next_offset: str
    stream_cursor: str
    up_to_date: bool = False


async def follow(request: web.Request, session: SessionId, after_seq: int | None, cursor: str | None) -> web.StreamResponse:
    """Send events until the stream's time is up, the node stops, or the partition moves away; then the reader comes back.

    after_seq: None for only what is new. cursor: as the client brought it. Raises NotOwner, Restoring, TooManyReaders,
    Problem, all before the stream has begun; once it has, it just ends.
    """
    app = request.app
    desk, settings = app[DESK], app[SETTINGS]
    request[HELD] = True
    reads.head(await table_of(desk, session, settings.restore_hold_s), session)  # 410 for an erased one, before it begins
    if desk.stopping or desk.feed.closed:
        raise stopping(settings.retry_after_s)
    with desk.feed.watch(session) as watch:
        response = await open_stream(request)
        follower = Follower(desk, session, app[LIMITS].page, settings.sse, stream_cursor(cursor, time.time()))
        # A client that has left is no error; it knows where to go on. One that has stopped reading is sent away.
        with contextlib.suppress(ConnectionError):
            try:
                async with asyncio.timeout(settings.sse.longest_s + settings.sse.write_grace_s):
                    await follower.send(response, watch, after_seq)
            except TimeoutError:
                _abort(request)
    return response


def _abort(request: web.Request) -> None:
    """Drop the connection with what is still unsent."""
    if request.transport is not None:
        request.transport.abort()


class Follower:
    """One stream. cursor: the first frame's `streamCursor`."""

    def __init__(self, desk: Desk, session: SessionId, page_most: int, times: SseTimes, cursor: str) -> None:
        self._desk = desk
        self._session = session
        self._page_most = page_most
        self._times = times
        self._cursor = cursor

    async def send(self, response: web.StreamResponse, watch: Watch, after_seq: int | None) -> None:
        """Send until the end. The first frame comes at once, even if there is nothing to read: it says where the end is."""
        loop = asyncio.get_running_loop()
        ends_at_s = loop.time() + lifetime_s(self._times)
        told = False
        while True:
            watch.forget()
            try:
                page = read_page(self._desk, self._session, after_seq, self._page_most)
            except ChatstreamError as error:
                log.debug("a stream of session %s ends: %s", self._session, error)
                return
            if page is not None and (page.values or not told):
                await response.write(self._batch(page))
                after_seq, told = page.through, True
            left_s = ends_at_s - loop.time()
            if left_s <= 0 or self._desk.stopping or self._desk.feed.closed:
                return
            if page is not None and page.through < page.last_seq:
                continue
            if not await watch.wait(min(left_s, self._times.heartbeat_s)):
                await response.write(HEARTBEAT)

    def _batch(self, page: Events) -> bytes:
        """Data and control in one write: a reader that has the one has the other."""
        offset = token(page.through)
        control = Control(
            stream_next_offset=offset,
            stream_cursor=later_cursor(self._cursor, time.time()),
            up_to_date=page.through >= page.last_seq,
        )
        data = frame("data", b"[" + b",".join(page.values) + b"]") if page.values else b""
        # The id stands on the control frame, so that a browser's EventSource goes on behind whole batches.
        return data + frame("control", _encode(control), offset)
