"""What else is asked of a session: retry, regenerate, edit, what is known of it, and a parked turn's approval.

Each is a recorded command: 200 once it is confirmed in the log, 202 while it is only stored. The same id with the same
request gets the first answer again.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web
from msgspec import UNSET

from chatstream.core.codec import type_name
from chatstream.core.commands import AnyCommand, Approve, Edit, Regenerate, Retry, Update
from chatstream.core.events import AnyEvent, ApprovalDecided, MessageAccepted, SessionUpdated, TurnRestarted
from chatstream.core.ids import MessageId, Seq, SessionId, session_id
from chatstream.core.limits import Limits
from chatstream.engine.desk import Accepted, Repeated, Unnumbered
from chatstream.web import bodies
from chatstream.web.problems import Problem
from chatstream.web.settings import DESK, LIMITS, SETTINGS
from chatstream.web.submitting import event_at, id_conflict, submit

BODY_BYTES_MOST: Final = 16 * 1024
"""Of what names a turn or decides an approval; an edit and an update may bring as much as a message."""

_encode: Final = msgspec.json.Encoder().encode
_C = TypeVar("_C", bound=AnyCommand)


class Done(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer. type: of the event; seq: its number, None while nobody decided the command yet. turn, version: what runs
    again or now; position: turns before it, where that is known."""

    session: SessionId
    command_id: MessageId
    seq: Seq | None
    type: str = ""
    turn: Seq = Seq(0)
    version: int = 0
    position: int | None = None
    duplicate: bool = False


async def post_retry(request: web.Request) -> web.Response:
    """Run a turn again that failed or was cancelled; 409 where it did not, or an edit took it back."""
    return await _act(request, await _read(request, Retry), _is_retry)


async def post_regenerate(request: web.Request) -> web.Response:
    """Answer the turn that ended last once more."""
    return await _act(request, await _read(request, Regenerate), lambda _, event: isinstance(event, TurnRestarted))


async def post_edit(request: web.Request) -> web.Response:
    """Go back to before one of the user's messages and say something else; 404 where there is no such message."""
    most_bytes = bodies.body_bytes_most(request.app[LIMITS])
    return await _act(request, await _read(request, Edit, most_bytes), _is_edit)


async def patch_session(request: web.Request) -> web.Response:
    """Set or, with null, clear title, metadata, system prompt or model; a session that is new begins with it."""
    limits = request.app[LIMITS]
    command = await _read(request, Update, update_bytes_most(limits))
    if all(field is UNSET for field in (command.title, command.metadata, command.system, command.model)):
        raise Problem(400, "empty", "give title, metadata, system or model")
    return await _act(request, command, _is_update)


async def post_approval(request: web.Request) -> web.Response:
    """Decide what a parked turn waits for; 409 where nothing of that name is waited for."""
    fields = {"name": request.match_info["name"]}
    return await _act(request, await _read(request, Approve, BODY_BYTES_MOST, fields), _is_approval)


def update_bytes_most(limits: Limits) -> int:
    """Largest raw body of an update: twice what its parts may have, as every body may be written with escapes."""
    return 2 * (limits.system_bytes + limits.metadata_bytes) + BODY_BYTES_MOST


async def _read(
    request: web.Request, kind: type[_C], most_bytes: int = BODY_BYTES_MOST, fields: dict[str, Any] | None = None
) -> _C:
    body = await bodies.read_body(request, most_bytes)
    return bodies.read_act(request.headers, body, request.app[LIMITS], kind, fields)


async def _act(request: web.Request, command: _C, same: Callable[[_C, AnyEvent], bool]) -> web.Response:
    """Submit, and tell what became of it. same: did the command, if it is repeated, lead to this event?"""
    app = request.app
    desk, session = app[DESK], session_id(request.match_info["session"])
    answer = await submit(desk, app[SETTINGS], session, command)
    if isinstance(answer, Unnumbered):
        done = Done(session=session, command_id=command.command_id, seq=None)
        return web.Response(status=202, body=_encode(done), content_type="application/json")
    event = event_at(desk.table(session), session, answer.seq)
    if not same(command, event):
        raise id_conflict()
    return web.Response(body=_encode(_done(command, event, answer)), content_type="application/json")


def _done(command: AnyCommand, event: AnyEvent, answer: Accepted | Repeated) -> Done:
    runs = isinstance(event, TurnRestarted | MessageAccepted)
    return Done(
        session=event.session,
        command_id=command.command_id,
        seq=event.seq,
        type=type_name(event),
        turn=event.turn,
        version=event.version if event.turn else 0,
        position=answer.position if runs and isinstance(answer, Accepted) else None,
        duplicate=isinstance(answer, Repeated),
    )


def _is_retry(command: Retry, event: AnyEvent) -> bool:
    return isinstance(event, TurnRestarted) and command.turn in (0, event.turn)


def _is_edit(command: Edit, event: AnyEvent) -> bool:
    if not isinstance(event, MessageAccepted):
        return False
    return (event.replaces, event.text, event.content) == (command.seq, command.text, command.content)


def _is_update(command: Update, event: AnyEvent) -> bool:
    if not isinstance(event, SessionUpdated):
        return False
    asked = (command.title, command.metadata, command.system, command.model)
    return asked == (event.title, event.metadata, event.system, event.model)


def _is_approval(command: Approve, event: AnyEvent) -> bool:
    if not isinstance(event, ApprovalDecided):
        return False
    return (event.name.rpartition("#")[0], event.decision) == (command.name, command.decision)
