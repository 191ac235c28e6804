"""GET /v1/sessions/{id}/events: the session's event stream by the read side of the Durable Streams protocol.

Catch-up answers at once; `live=long-poll` waits for the next event; `live=sse` (following.py) sends one after another. The
waiter is registered before the rows are read, so nothing falls between reading and waiting.
"""

import asyncio
import random
import time
from typing import Final, Literal

import msgspec
from aiohttp import web

from chatstream.core.errors import Restoring
from chatstream.core.ids import SessionId, session_id
from chatstream.engine.desk import Desk
from chatstream.engine.feed import Watch
from chatstream.table import reads
from chatstream.web.conditional import NO_CACHE, NO_STORE, matches
from chatstream.web.following import Follower
from chatstream.web.offsets import after_seq_asked, one, reconnecting
from chatstream.web.paging import read_page
from chatstream.web.problems import Problem, bad_field, stopping
from chatstream.web.settings import DESK, HELD, LIMITS, SETTINGS
from chatstream.web.streaming import stream
from chatstream.web.tokens import stream_cursor, token
from chatstream.web.waiting import table_of

NEXT_OFFSET: Final = "Stream-Next-Offset"
UP_TO_DATE: Final = "Stream-Up-To-Date"
CURSOR: Final = "Stream-Cursor"
JSON: Final = "application/json"

_POLL_JITTER: Final = 0.1

Live = Literal["", "long-poll", "sse"]


class Asked(msgspec.Struct, frozen=True):
    """What a reader asks for. after_seq: None for `now`."""

    session: SessionId
    after_seq: int | None
    live: Live
    cursor: str | None


async def head_events(request: web.Request) -> web.Response:
    """Where the stream ends now. Never waits, whatever the query says."""
    session = session_id(request.match_info["session"])
    table = await table_of(request.app[DESK], session, request.app[SETTINGS].restore_hold_s)
    headers = {NEXT_OFFSET: token(reads.head(table, session).last_seq), "Cache-Control": NO_STORE}
    return web.Response(content_type=JSON, headers=headers)


async def get_events(request: web.Request) -> web.StreamResponse:
    """Events behind a token, as logged."""
    asked = _asked(request)
    if asked.live == "sse":
        page_most = request.app[LIMITS].page
        follower = Follower(request.app[DESK], asked.session, page_most, asked.after_seq, asked.cursor)
        return await stream(request, asked.session, follower, live=False)
    return await (_poll(request, asked) if asked.live else _catch_up(request, asked))


def _asked(request: web.Request) -> Asked:
    session = session_id(request.match_info["session"])
    offset, mode = one(request, "offset"), one(request, "live")
    live = "" if mode is None else _live(mode)
    if live and offset is None:
        raise bad_field("offset", "bad-parameter", "a live read needs an offset: -1, now, or a token from an answer")
    after_seq = after_seq_asked(offset)
    if live == "sse":
        after_seq = reconnecting(request, after_seq)
    return Asked(session, after_seq, live, request.query.get("cursor"))


def _live(mode: str) -> Live:
    if mode == "long-poll":
        return "long-poll"
    if mode == "sse":
        return "sse"
    raise bad_field("live", "bad-parameter", "live is long-poll or sse, or left out to catch up")


async def _catch_up(request: web.Request, asked: Asked) -> web.Response:
    app = request.app
    table = await table_of(app[DESK], asked.session, app[SETTINGS].restore_hold_s)
    view = table.snapshot()
    if asked.after_seq is None:
        headers = {NEXT_OFFSET: token(reads.head(view, asked.session).last_seq), UP_TO_DATE: "true", "Cache-Control": NO_STORE}
        return web.Response(body=b"[]", content_type=JSON, headers=headers)
    page = reads.events(view, asked.session, asked.after_seq, app[LIMITS].page)
    if asked.after_seq > page.last_seq:
        raise Problem(
            503,
            "behind",
            "this node has not read as far as this offset yet",
            retryable=True,
            retry_after_s=app[SETTINGS].retry_after_s,
        )
    return _page_response(request, asked, page, asked.after_seq)


def _page_response(request: web.Request, asked: Asked, page: reads.Events, after_seq: int) -> web.Response:
    up_to_date = page.through == page.last_seq
    # The flag is part of the tag: the same events with more behind them is another answer.
    etag = f'"{asked.session}:{after_seq}:{page.through}{":end" if up_to_date else ""}"'
    headers = {NEXT_OFFSET: token(page.through), "ETag": etag, "Cache-Control": NO_CACHE}
    if up_to_date:
        headers[UP_TO_DATE] = "true"
    if asked.live:
        headers[CURSOR] = stream_cursor(asked.cursor, time.time())
    elif matches(request.headers.get("If-None-Match"), etag):
        return web.Response(status=304, headers=headers)
    return web.Response(body=b"[" + b",".join(page.values) + b"]", content_type=JSON, headers=headers)


async def _poll(request: web.Request, asked: Asked) -> web.Response:
    app = request.app
    desk, settings = app[DESK], app[SETTINGS]
    request[HELD] = True
    await table_of(desk, asked.session, settings.restore_hold_s)
    poll_s = settings.poll_s * (1 - random.random() * _POLL_JITTER)
    with desk.feed.watch(asked.session) as watch:
        found = await _next_page(desk, watch, asked, app[LIMITS].page, poll_s)
    if isinstance(found, reads.Events):
        return _page_response(request, asked, found, found.through - len(found.values))
    if found is None:
        raise stopping(settings.retry_after_s)
    headers = {
        NEXT_OFFSET: token(found),
        UP_TO_DATE: "true",
        CURSOR: stream_cursor(asked.cursor, time.time()),
        "Cache-Control": NO_STORE,
    }
    return web.Response(status=204, headers=headers)


async def _next_page(desk: Desk, watch: Watch, asked: Asked, page_most: int, poll_s: float) -> reads.Events | int | None:
    """Events behind what was asked, as soon as there are any; at the limit the seq to go on from.

    watch: entered before. None when the node is stopping already, so that the reader does not come back at once.
    Raises NotOwner when the partition moves away meanwhile.
    """
    loop = asyncio.get_running_loop()
    ends_at_s = loop.time() + poll_s
    after_seq = asked.after_seq
    waited = False
    while True:
        page = read_page(desk, asked.session, after_seq, page_most)
        if page is not None and page.values:
            return page
        if after_seq is None and page is not None:
            after_seq = page.through
        if desk.stopping or desk.feed.closed:
            return after_seq if waited else None
        if not await watch.wait(ends_at_s - loop.time()):
            if after_seq is None:
                raise Restoring("the session's partition is still being restored")
            return after_seq
        waited = True
