"""A session's K/V state over HTTP: read from the table, written by recorded commands, guarded by ETags."""

from typing import Final

import msgspec
from aiohttp import web

from chatstream.core.commands import ClearState, SetState
from chatstream.core.errors import BadId
from chatstream.core.events import StateChanged
from chatstream.core.ids import MessageId, Seq, SessionId, session_id, state_key
from chatstream.core.state import tag_of
from chatstream.engine.desk import Repeated, Unnumbered
from chatstream.table import reads, rows
from chatstream.table.port import View
from chatstream.web import bodies
from chatstream.web.conditional import NO_CACHE, matches
from chatstream.web.problems import Problem, bad_field
from chatstream.web.settings import DESK, LIMITS, SETTINGS
from chatstream.web.submitting import event_at, id_conflict, submit
from chatstream.web.waiting import table_of

JSON: Final = "application/json"
_encode: Final = msgspec.json.Encoder().encode


class Written(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to a write. seq: of its event, None while nobody decided the command yet."""

    session: SessionId
    command_id: MessageId
    key: str
    seq: Seq | None
    duplicate: bool = False


async def get_state(request: web.Request) -> web.Response:
    """All of the session's K/V state: an object, at most Limits.state_bytes."""
    session, view = await _view(request)
    head = reads.head(view, session)
    if head.last_seq == 0:
        raise Problem(404, "no-such-session", f"there is no session {session} yet")
    body = b"{" + b",".join(_encode(key) + b":" + raw for key, raw in rows.read_state(view, session)) + b"}"
    return _answer(request, body)


async def get_value(request: web.Request) -> web.Response:
    """One value, as JSON, with the ETag that a write over it may name."""
    session, view = await _view(request)
    reads.head(view, session)  # what was erased is not shown, although its row is there until its record has a tombstone
    raw = view.get(rows.state_key(session, _key(request)))
    if raw is None:
        raise Problem(404, "no-such-key", "the session's state has no such key")
    return _answer(request, raw)


async def put_value(request: web.Request) -> web.Response:
    """Set a value: any JSON. 412 where `If-Match` names another one, 413 where it would be too much."""
    body = await bodies.read_body(request, bodies.body_bytes_most(request.app[LIMITS]))
    fields = {"key": _key(request), "value": bodies.read_value(request.headers, body), "if_match": _if_match(request)}
    command = bodies.read_act(request.headers, b"", request.app[LIMITS], SetState, fields)
    return await _write(request, command)


async def delete_value(request: web.Request) -> web.Response:
    """Remove a key; no error where it is not there. 412 as above."""
    fields = {"key": _key(request), "if_match": _if_match(request)}
    return await _write(request, bodies.read_act(request.headers, b"", request.app[LIMITS], ClearState, fields))


async def _view(request: web.Request) -> tuple[SessionId, View]:
    app = request.app
    session = session_id(request.match_info["session"])
    table = await table_of(app[DESK], session, app[SETTINGS].restore_hold_s)
    return session, table.snapshot()


def _answer(request: web.Request, body: bytes) -> web.Response:
    etag = f'"{tag_of(body)}"'
    headers = {"ETag": etag, "Cache-Control": NO_CACHE}
    if matches(request.headers.get("If-None-Match"), etag):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type=JSON, headers=headers)


def _key(request: web.Request) -> str:
    try:
        return state_key(request.match_info["key"])
    except BadId as error:
        raise bad_field("key", "bad-id", str(error)) from error


def _if_match(request: web.Request) -> str:
    """The tag a write names, without its quotes; empty for none. One only: a write has one value to go over."""
    given = request.headers.getall("If-Match", ())
    if not given or given == ["*"]:
        return "".join(given)
    tag = given[0].strip()
    if len(given) > 1 or len(tag) < 3 or tag[0] != '"' or tag[-1] != '"' or '"' in tag[1:-1]:
        raise bad_field("If-Match", "bad-parameter", "If-Match is one ETag in quotes, or *")
    return tag[1:-1]


async def _write(request: web.Request, command: SetState | ClearState) -> web.Response:
    app = request.app
    desk, session = app[DESK], session_id(request.match_info["session"])
    answer = await submit(desk, app[SETTINGS], session, command)
    written = Written(session=session, command_id=command.command_id, key=command.key, seq=None)
    if isinstance(answer, Unnumbered):
        return web.Response(status=202, body=_encode(written), content_type=JSON)
    event = event_at(desk.table(session), session, answer.seq)
    value = command.value if isinstance(command, SetState) else None
    if not isinstance(event, StateChanged) or event.state != {command.key: value}:
        raise id_conflict()
    written = msgspec.structs.replace(written, seq=event.seq, duplicate=isinstance(answer, Repeated))
    headers = {} if value is None else {"ETag": f'"{tag_of(_encode(value))}"'}
    return web.Response(body=_encode(written), content_type=JSON, headers=headers)
