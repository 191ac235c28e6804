"""POST /v1/sessions/{id}/fork: a new session that starts with this one's conversation."""

from typing import Final

import msgspec
from aiohttp import web
from msgspec.structs import replace

from chatstream.core.commands import Fork
from chatstream.core.copying import fork_name
from chatstream.core.events import SessionCreated
from chatstream.core.ids import MessageId, Seq, SessionId, session_id
from chatstream.engine.desk import Accepted, Repeated, Unnumbered
from chatstream.table import reads
from chatstream.table.port import View
from chatstream.web import bodies
from chatstream.web.problems import of_refusal
from chatstream.web.settings import DESK, LIMITS, SETTINGS
from chatstream.web.submitting import event_at, id_conflict, submit

BODY_BYTES_MOST: Final = 16 * 1024
"""A number and two ids: a few hundred bytes."""

_encode: Final = msgspec.json.Encoder().encode


class Forked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"source": "from"}):
    """The answer. session: the new one. through_seq: the source's last event that it takes over; None, with seq, while
    nobody decided the command yet."""

    session: SessionId
    source: SessionId
    command_id: MessageId
    seq: Seq | None
    through_seq: Seq | None
    duplicate: bool = False


async def post_fork(request: web.Request) -> web.Response:
    """Fork: 201 once that is recorded (the copy goes on behind it), 202 while it is only stored."""
    app = request.app
    desk, settings = app[DESK], app[SETTINGS]
    source = session_id(request.match_info["session"])
    body = await bodies.read_body(request, BODY_BYTES_MOST)
    command = bodies.read_act(request.headers, body, app[LIMITS], Fork)
    name = command.id or fork_name(source, command.command_id, desk.partitions)
    if desk.partition_of(name) != desk.partition_of(source):
        raise of_refusal("other-partition", settings.retry_after_s)
    answer = await submit(desk, settings, source, replace(command, id=name))
    if isinstance(answer, Unnumbered):
        stored = Forked(session=name, source=source, command_id=command.command_id, seq=None, through_seq=None)
        return web.Response(status=202, body=_encode(stored), content_type="application/json")
    forked = _forked(desk.table(name), source, name, command, answer)
    headers = {"Location": f"/v1/sessions/{name}"}
    return web.Response(status=201, body=_encode(forked), content_type="application/json", headers=headers)


def _forked(view: View, source: SessionId, name: SessionId, command: Fork, answer: Accepted | Repeated) -> Forked:
    """Raises Problem (422) when the id was used before for another fork, or for something else; Erased."""
    # A repeated id may be one of the source's: then there is no such fork.
    created = event_at(view, name, 1) if reads.head(view, name).last_seq else None
    if not isinstance(created, SessionCreated) or not _same(source, command, created):
        raise id_conflict()
    return Forked(
        session=name,
        source=source,
        command_id=command.command_id,
        seq=created.seq,
        through_seq=created.through_seq,
        duplicate=isinstance(answer, Repeated),
    )


def _same(source: SessionId, command: Fork, created: SessionCreated) -> bool:
    return (created.source, created.command_id) == (source, command.command_id) and command.seq in (0, created.through_seq)
