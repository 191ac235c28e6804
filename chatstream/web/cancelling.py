"""POST /v1/sessions/{id}/cancel: end a turn, running or waiting, as a recorded command."""

from typing import Final

import msgspec
from aiohttp import web

from chatstream.core.commands import Cancel
from chatstream.core.events import ReplyCancelled
from chatstream.core.ids import MessageId, Seq, SessionId, session_id
from chatstream.engine.desk import Accepted, Repeated, Unnumbered
from chatstream.table import reads
from chatstream.table.port import View
from chatstream.web import bodies
from chatstream.web.settings import DESK, LIMITS, SETTINGS
from chatstream.web.submitting import event_at, id_conflict, submit

BODY_BYTES_MOST: Final = 16 * 1024
"""A turn and two ids: a few hundred bytes."""

_encode: Final = msgspec.json.Encoder().encode


class Cancelled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer. reply: what there is of the answer now; None, with seq, while nobody decided the command yet."""

    session: SessionId
    command_id: MessageId
    seq: Seq | None
    turn: Seq | None
    reply: reads.Item | None
    duplicate: bool = False


async def post_cancel(request: web.Request) -> web.Response:
    """Cancel a turn: 200 once that is recorded, 202 while it is only stored, 409 when there is nothing to cancel."""
    app = request.app
    desk = app[DESK]
    session = session_id(request.match_info["session"])
    body = await bodies.read_body(request, BODY_BYTES_MOST)
    command = bodies.read_act(request.headers, body, app[LIMITS], Cancel)
    answer = await submit(desk, app[SETTINGS], session, command)
    if isinstance(answer, Unnumbered):
        stored = Cancelled(session=session, command_id=command.command_id, seq=None, turn=None, reply=None)
        return web.Response(status=202, body=_encode(stored), content_type="application/json")
    cancelled = _cancelled(desk.table(session), session, command, answer)
    return web.Response(body=_encode(cancelled), content_type="application/json")


def _cancelled(view: View, session: SessionId, command: Cancel, answer: Accepted | Repeated) -> Cancelled:
    """Raises Problem (422) when the id was used before for another turn, or for no cancel at all."""
    event = event_at(view, session, answer.seq)
    if not isinstance(event, ReplyCancelled) or not _same(command, event):
        raise id_conflict()
    return Cancelled(
        session=session,
        command_id=command.command_id,
        seq=event.seq,
        turn=event.turn,
        reply=reads.reply_item(event),
        duplicate=isinstance(answer, Repeated),
    )


def _same(command: Cancel, event: ReplyCancelled) -> bool:
    if command.turn:
        return command.turn == event.turn
    return command.message_id in ("", event.message_id)
