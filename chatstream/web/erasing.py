"""DELETE /v1/sessions/{id}: forget a session for good."""

from typing import Final

import msgspec
from aiohttp import web

from chatstream.core.commands import Erase
from chatstream.core.errors import Erased, NotOwner, Restoring
from chatstream.core.ids import MessageId, SessionId, session_id
from chatstream.engine.desk import Desk, Repeated, Unnumbered
from chatstream.table import reads
from chatstream.web import bodies
from chatstream.web.problems import Problem
from chatstream.web.settings import DESK, LIMITS, SETTINGS
from chatstream.web.submitting import id_conflict, submit

BODY_BYTES_MOST: Final = 16 * 1024
"""An id at most."""

_encode: Final = msgspec.json.Encoder().encode


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a 202: the command is stored, and nobody decided it yet."""

    session: SessionId
    command_id: MessageId


async def delete_session(request: web.Request) -> web.Response:
    """Erase: 204 once that is recorded (rows and records are removed behind it), 202 while it is only stored.

    Of a session that is erased already it is 204 again, and nothing is recorded.
    """
    app = request.app
    desk, session = app[DESK], session_id(request.match_info["session"])
    body = await bodies.read_body(request, BODY_BYTES_MOST)
    command = bodies.read_act(request.headers, body, app[LIMITS], Erase)
    if _is_erased(desk, session):
        return web.Response(status=204)
    try:
        answer = await submit(desk, app[SETTINGS], session, command)
    except Problem as problem:
        if problem.code == Erased.code:  # another request was quicker
            return web.Response(status=204)
        raise
    if isinstance(answer, Repeated):
        raise id_conflict()
    if isinstance(answer, Unnumbered):
        stored = Stored(session=session, command_id=command.command_id)
        return web.Response(status=202, body=_encode(stored), content_type="application/json")
    return web.Response(status=204)


def _is_erased(desk: Desk, session: SessionId) -> bool:
    """Is that known here? Where it is not, the command finds out."""
    try:
        reads.head(desk.table(session), session)
    except Erased:
        return True
    except (NotOwner, Restoring):
        return False
    return False
