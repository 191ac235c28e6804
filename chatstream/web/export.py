"""GET /v1/sessions/{id}/export: the whole conversation as a file, a page in memory at a time.

It goes up to the event that was the last when it began. What cannot be read any more on the way (the session was erased, the
partition moved) breaks the answer off, so that it is not taken for a whole one.
"""

import asyncio
import contextlib
from typing import Final

import msgspec
from aiohttp import web

from chatstream.core.errors import ChatstreamError
from chatstream.core.ids import Seq, SessionId, session_id
from chatstream.core.session import Session
from chatstream.table import reads
from chatstream.web import markdown
from chatstream.web.conditional import NO_STORE
from chatstream.web.giving import cut_off, place, write
from chatstream.web.offsets import one
from chatstream.web.problems import bad_field
from chatstream.web.sessions import known
from chatstream.web.settings import DESK, HELD, LIMITS, REQUEST_ID, REQUEST_ID_HEADER, SETTINGS
from chatstream.web.waiting import table_of

EXPORTS: Final = web.AppKey("exports", set[int])
"""Exports under way, by the id() of their requests."""
PART_BYTES: Final = 64 * 1024
"""Given to the connection at once: a reader has some seconds for each, and one that takes less is cut off."""
TYPES: Final = {"jsonl": "application/jsonl", "md": "text/markdown"}

_encode: Final = msgspec.json.Encoder().encode


async def get_export(request: web.Request) -> web.StreamResponse:
    """The conversation as JSONL, a message a line, or as Markdown."""
    app = request.app
    session = session_id(request.match_info["session"])
    asked = one(request, "format")
    kind = "jsonl" if asked is None else asked
    if kind not in TYPES:
        raise bad_field("format", "bad-parameter", "format is jsonl or md")
    table = await table_of(app[DESK], session, app[SETTINGS].restore_hold_s)
    now = known(reads.head(table, session))
    with place(request, app[EXPORTS], app[LIMITS].exports, "exports are under way here already, that is the most"):
        request[HELD] = True
        response = web.StreamResponse(headers=_headers(request, session, kind))
        response.content_type, response.charset = TYPES[kind], "utf-8"
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        with contextlib.suppress(ConnectionResetError):
            try:
                await _send(request, response, now, kind)
            except ChatstreamError:
                cut_off(request)
                return response
            await response.write_eof()
        return response


def _headers(request: web.Request, session: SessionId, kind: str) -> dict[str, str]:
    # Of the characters of an id only the colon is not allowed in file names everywhere.
    name = f"{session.replace(':', '_')}.{kind}"
    return {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": NO_STORE,
        REQUEST_ID_HEADER: request[REQUEST_ID],
    }


async def _send(request: web.Request, response: web.StreamResponse, now: Session, kind: str) -> None:
    if kind == "md":
        await _write(request, response, markdown.title(now))
    after: int | None = 0
    while after is not None:
        items, after = _page(request, now, after)
        for item in items:
            await _write(request, response, markdown.message(item) if kind == "md" else _encode(item) + b"\n")
        # A reader that is quick makes no write wait, and everyone else would.
        await asyncio.sleep(0)


def _page(request: web.Request, now: Session, after: int) -> tuple[list[reads.Item], int | None]:
    """The next messages, and behind which the ones after them are, None when there are none. Raises Erased, NotOwner."""
    view = request.app[DESK].table(now.session).snapshot()
    page = reads.conversation(view, now.session, request.app[LIMITS].page, after=after)
    items = [item for item in page.items if item.seq <= now.last_seq]
    ended = page.next is None or page.next >= now.last_seq
    return items, None if ended else Seq(page.next or 0)


async def _write(request: web.Request, response: web.StreamResponse, text: bytes) -> None:
    for start in range(0, len(text), PART_BYTES):
        await write(request, response, text[start : start + PART_BYTES])
