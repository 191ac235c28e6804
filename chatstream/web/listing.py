"""GET /v1/sessions: the sessions of all partitions, newest activity first, those of other nodes included.

A cursor is the place of the last session shown, so pages are stable: a session that is active again meanwhile moves to the
front, and no other is shown twice or left out for it.
"""

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec
from aiohttp import web

from chatstream.core.ids import PartitionNo, Seq, SessionId
from chatstream.core.session import Session
from chatstream.engine.desk import Desk
from chatstream.table.listing import ListedStatus, Place, look, walk
from chatstream.table.rows import inverted
from chatstream.web.conditional import NO_CACHE
from chatstream.web.listing_query import NAMES, Asked, asked_of
from chatstream.web.peers import ask_owners
from chatstream.web.sessions import status_now
from chatstream.web.settings import DESK, LIMITS
from chatstream.web.tokens import list_cursor, place_of

SLICE_ROWS: Final = 250
"""Rows walked over before others get their turn: one to four milliseconds."""
ROW_BYTES_MOST: Final = 16_384
"""One session in another node's answer: id, title and user have a kilobyte and a half, in JSON at most six times that."""

_encode: Final = msgspec.json.Encoder().encode


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One session in the list. waiting: turns behind the running one."""

    session: SessionId
    status: ListedStatus
    title: str
    user: str
    messages: int
    replies: int
    waiting: int
    created: str
    updated: str
    last_seq: Seq
    partition: PartitionNo


class SessionsPage(msgspec.Struct, frozen=True, kw_only=True):
    """The body of GET /v1/sessions. next: for `cursor`; a page may be short, even empty, and still have a next one.

    incomplete: partitions whose sessions are not among these, because nobody who serves them could be asked.
    """

    data: list[Listed]
    has_more: bool
    next: str | None
    incomplete: list[PartitionNo]


class Part(NamedTuple):
    """The sessions of some partitions. reached: how far they were looked through, None to the end."""

    found: list[Listed]
    reached: Place | None
    partitions: frozenset[PartitionNo]


async def get_sessions(request: web.Request) -> web.Response:
    """A page of the list."""
    app = request.app
    desk = app[DESK]
    asked = asked_of(request, app[LIMITS].page)
    parts = [await _own_part(desk, asked, app[LIMITS].listed_rows)]
    if not asked.own:
        parts += await _other_parts(request, parts[0].partitions, asked.limit)
    found, reached = merged(parts, asked.limit)
    covered = frozenset[PartitionNo]().union(*(part.partitions for part in parts))
    page = SessionsPage(
        data=found,
        has_more=reached is not None,
        next=None if reached is None else list_cursor(reached),
        incomplete=[number for number in _all(desk) if number not in covered],
    )
    return web.Response(body=_encode(page), content_type="application/json", headers={"Cache-Control": NO_CACHE})


def _all(desk: Desk) -> Iterable[PartitionNo]:
    return map(PartitionNo, range(desk.partitions))


def merged(parts: Sequence[Part], limit: int) -> tuple[list[Listed], Place | None]:
    """One page of several, and how far it goes: never beyond a place up to which some part was not looked through."""
    horizon = min((part.reached for part in parts if part.reached is not None), default=None)
    # A partition that moved between two answers is in both: of a session the newer row is shown.
    oldest_first = sorted((one for part in parts for one in part.found), key=_place, reverse=True)
    found = sorted({one.session: one for one in oldest_first}.values(), key=_place)
    if horizon is not None:
        found = [one for one in found if _place(one) <= horizon]
    return found[:limit], _place(found[limit - 1]) if len(found) > limit else horizon


def _place(one: Listed) -> Place:
    return Place(inverted(one.updated), one.session)


async def _own_part(desk: Desk, asked: Asked, budget: int) -> Part:
    tables = desk.tables()
    seen = look(list(tables.values()), asked.wanted, asked.after, asked.limit, budget, partial(_status, desk))
    if seen is not None:
        return Part(_listed(desk, seen.found), seen.reached, frozenset(tables))
    return await _walked_part(desk, asked, budget)


async def _walked_part(desk: Desk, asked: Asked, budget: int) -> Part:
    """In slices, so that turns go on meanwhile."""
    found: list[Session] = []
    place, spent, covered = asked.after, 0, frozenset(_all(desk))
    while True:
        # Partitions may come and go between slices: what was not there all the time is not covered.
        tables = desk.tables()
        covered &= frozenset(tables)
        slice_rows = min(SLICE_ROWS, budget - spent)
        views, lacking = list(tables.values()), asked.limit - len(found)
        seen = walk(views, asked.wanted, place, lacking, slice_rows, partial(_status, desk))
        found += seen.found
        place, spent = seen.reached, spent + seen.cost
        if place is None or len(found) == asked.limit or spent >= budget:
            return Part(_listed(desk, found), place, covered)
        await asyncio.sleep(0)


def _status(desk: Desk, now: Session) -> ListedStatus:
    return status_now(now, now.running is not None and desk.running(now.session) is not None)


def _listed(desk: Desk, heads: Iterable[Session]) -> list[Listed]:
    return [
        Listed(
            session=now.session,
            status=_status(desk, now),
            title=now.title,
            user=now.user,
            messages=now.messages,
            replies=now.replies,
            waiting=len(now.queue),
            created=now.created,
            updated=now.updated,
            last_seq=now.last_seq,
            partition=desk.partition_of(now.session),
        )
        for now in heads
    ]


async def _other_parts(request: web.Request, own: frozenset[PartitionNo], limit: int) -> list[Part]:
    """What the owners of the other partitions say."""
    query = {name: value for name, value in request.query.items() if name in NAMES}
    pages = await ask_owners(request, "/v1/sessions", query, own, SessionsPage, ROW_BYTES_MOST * (limit + 1))
    return [part for page in pages if (part := _part_of(request.app[DESK], page)) is not None]


def _part_of(desk: Desk, page: SessionsPage) -> Part | None:
    """Another node's page; None where its cursor says nothing here."""
    reached = None if page.next is None else place_of(page.next)
    if page.next is not None and reached is None:
        return None
    return Part(page.data, reached, frozenset(_all(desk)) - frozenset(page.incomplete))
