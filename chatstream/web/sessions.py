"""GET /v1/sessions/{id} and its messages: what the conversation is now."""

from typing import Any, Final

import msgspec
from aiohttp import web

from chatstream.core.ids import PartitionNo, Seq, SessionId, session_id
from chatstream.core.session import Session
from chatstream.engine.desk import Desk
from chatstream.table import reads, rows
from chatstream.table.listing import ListedStatus
from chatstream.table.port import Table, View
from chatstream.web.conditional import NO_CACHE, matches
from chatstream.web.offsets import one
from chatstream.web.problems import Problem, bad_field
from chatstream.web.read_pages import READ_PAGES, Asked
from chatstream.web.settings import DESK, LIMITS, SETTINGS
from chatstream.web.tokens import token
from chatstream.web.waiting import table_of

PAGE_DEFAULT: Final = 50

_SEQ_DIGITS_MOST: Final = 16
"""As many as a token has; longer numbers name no event."""

_encode: Final = msgspec.json.Encoder().encode


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """The body of GET …/messages. previous: for `before`; next: for `after`; offset: where to start following events."""

    data: list[reads.Item]
    has_more: bool
    next: int | None
    previous: int | None
    offset: str


class Waiting(msgspec.Struct, frozen=True):
    """A turn in the queue."""

    turn: Seq
    message_id: str
    position: int


class RunningTurn(msgspec.Struct, frozen=True):
    """The turn whose answer comes next. attempt: of the call of the model that is made now, None between calls."""

    turn: Seq
    version: int
    message_id: str
    attempt: int | None


class Later(msgspec.Struct, frozen=True):
    """A message that waits for its time. seq: under which its text stands and a cancel finds it."""

    seq: Seq
    message_id: str
    due: str


class Question(msgspec.Struct, frozen=True):
    """What a parked turn waits for. name: to decide it by. since: RFC 3339."""

    name: str
    detail: Any
    since: str


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The body of GET …/sessions/{id}. queue: the first of the waiting turns; waiting: how many there are. scheduled: the
    messages that are sent next; approval: what a parked session waits for. metadata, system, model: as somebody set them."""

    session: SessionId
    status: ListedStatus
    title: str
    user: str
    metadata: dict[str, Any] | None
    system: str
    model: str
    running: RunningTurn | None
    queue: list[Waiting]
    waiting: int
    scheduled: list[Later]
    approval: Question | None
    messages: int
    replies: int
    usage: dict[str, int]
    state_bytes: int
    created: str
    updated: str
    last_seq: Seq
    offset: str
    partition: PartitionNo
    owner: str


async def get_messages(request: web.Request) -> web.Response:
    """A page of the conversation; works while a turn runs."""
    app = request.app
    session = session_id(request.match_info["session"])
    limit, before, after = _page_asked(request, app[LIMITS].page)
    table = await table_of(app[DESK], session, app[SETTINGS].restore_hold_s)
    now = known(reads.head(table, session))
    # Whatever changes a message or its status is an event, so the session's last seq tells the page's state.
    etag = f'"{now.last_seq}"'
    headers = {"ETag": etag, "Cache-Control": NO_CACHE}
    if matches(request.headers.get("If-None-Match"), etag):
        return web.Response(status=304, headers=headers)
    asked, pages = Asked(session, limit, before, after), app[READ_PAGES]
    body = pages.find(asked, table, now.last_seq)
    if body is None:
        body = _encode(_page(table, asked))
        pages.keep(asked, table, now.last_seq, body)
    return web.Response(body=body, content_type="application/json", headers=headers)


def _page(table: Table, asked: Asked) -> Page:
    # One snapshot: what is on the page and where to follow from must agree, or a reader misses an event or sees it twice.
    found = reads.conversation(table.snapshot(), asked.session, asked.limit, asked.before, asked.after)
    return Page(
        data=found.items,
        has_more=found.has_more,
        next=found.next,
        previous=found.previous,
        offset=token(found.last_seq),
    )


def _page_asked(request: web.Request, most: int) -> tuple[int, int | None, int | None]:
    limit = number_asked(request, "limit")
    if limit is not None and not 1 <= limit <= most:
        raise bad_field("limit", "bad-parameter", f"limit is 1 to {most}")
    before, after = number_asked(request, "before"), number_asked(request, "after")
    if before is not None and after is not None:
        raise bad_field("after", "bad-parameter", "give before or after, not both")
    return min(PAGE_DEFAULT, most) if limit is None else limit, before, after


def number_asked(request: web.Request, name: str) -> int | None:
    """A parameter that is a seq or a count; None when it is not given. Raises Problem (400)."""
    given = one(request, name)
    if given is None:
        return None
    if not (given.isascii() and given.isdecimal() and len(given) <= _SEQ_DIGITS_MOST):
        raise bad_field(name, "bad-parameter", f"{name} is a number without sign, of at most {_SEQ_DIGITS_MOST} digits")
    return int(given)


def known(now: Session) -> Session:
    """The head itself. Raises Problem (404) for a session that nobody has heard of."""
    if now.last_seq == 0:
        raise Problem(404, "no-such-session", f"there is no session {now.session} yet: send it a message")
    return now


async def get_session(request: web.Request) -> web.Response:
    """What a session is doing."""
    app = request.app
    session = session_id(request.match_info["session"])
    table = await table_of(app[DESK], session, app[SETTINGS].restore_hold_s)
    view = table.snapshot()
    overview = _overview(app[DESK], view, known(reads.head(view, session)), app[LIMITS].page)
    headers = {"Cache-Control": NO_CACHE}
    return web.Response(body=_encode(overview), content_type="application/json", headers=headers)


def _overview(desk: Desk, view: View, now: Session, most: int) -> Overview:
    call, profile = desk.running(now.session), rows.read_profile(view, now.session)
    return Overview(
        session=now.session,
        status=status_now(now, call is not None),
        title=now.title,
        user=now.user,
        metadata=profile.metadata,
        system=profile.system or "",
        model=profile.model or "",
        running=_running(now, call),
        queue=[Waiting(owed.turn, owed.message_id, place) for place, owed in enumerate(now.queue[:most], start=1)],
        waiting=len(now.queue),
        scheduled=_scheduled(now, most),
        approval=_approval(view, now),
        messages=now.messages,
        replies=now.replies,
        usage={"input_tokens": now.input_tokens, "output_tokens": now.output_tokens},
        state_bytes=now.state_bytes,
        created=now.created,
        updated=now.updated,
        last_seq=now.last_seq,
        offset=token(now.last_seq),
        partition=desk.partition_of(now.session),
        owner=desk.node_id,
    )


def _running(now: Session, call: tuple[Any, int] | None) -> RunningTurn | None:
    running = now.running
    if running is None:
        return None
    attempt = call[1] if call is not None and call[0] == running.message_id else None
    return RunningTurn(running.turn, running.version, running.message_id, attempt)


def _scheduled(now: Session, most: int) -> list[Later]:
    in_time = sorted(now.scheduled, key=lambda one: (one.due, one.seq))
    return [Later(one.seq, one.message_id, one.due) for one in in_time[:most]]


def _approval(view: View, now: Session) -> Question | None:
    asked = reads.approval(view, now)
    return None if asked is None else Question(asked.name.rpartition("#")[0], asked.detail, asked.time)


def status_now(now: Session, is_called: bool) -> ListedStatus:
    """A parked turn waits for a person; one that is owed while no call is made for it, for a free call or between attempts."""
    if now.running is None:
        return "failed" if now.failed else "idle"
    if now.running.parked:
        return "parked"
    return "running" if is_called else "waiting"
