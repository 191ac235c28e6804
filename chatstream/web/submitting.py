"""Putting a command on the log on behalf of a request, and looking up what it led to."""

from chatstream.core.commands import AnyCommand
from chatstream.core.errors import OutcomeUnknown, TableBroken
from chatstream.core.events import AnyEvent
from chatstream.core.ids import SessionId
from chatstream.engine.desk import Accepted, Desk, Refused, Repeated, Unnumbered
from chatstream.table import reads, rows
from chatstream.table.port import View
from chatstream.web import problems
from chatstream.web.problems import Problem
from chatstream.web.settings import WebSettings
from chatstream.web.waiting import settle_restore


async def submit(
    desk: Desk, settings: WebSettings, session: SessionId, command: AnyCommand
) -> Accepted | Repeated | Unnumbered:
    """Submit a command that carries an id, holding it while its partition is restored.

    Raises Problem where it was refused or its outcome is unknown, Restoring, and what Desk.submit raises else.
    """
    await settle_restore(desk, session, settings.restore_hold_s)
    if desk.stopping:
        raise problems.stopping(settings.retry_after_s)
    try:
        answer = await desk.submit(session, command)
    except OutcomeUnknown as error:
        raise Problem(
            503,
            error.code,
            "the log did not answer in time; repeat the request with this id as Idempotency-Key",
            retryable=True,
            retry_after_s=settings.retry_after_s,
            extra={"message_id": command.command_id, "session": session},
        ) from error
    if isinstance(answer, Refused):
        raise problems.of_refusal(answer.reason, settings.retry_after_s)
    return answer


def event_at(view: View, session: SessionId, seq: int) -> AnyEvent:
    """The event that an answer or a row named. Raises Erased, or TableBroken when it is not there."""
    entry = rows.read_entry(view, session, seq)
    if entry is None:
        reads.head(view, session)
        raise TableBroken(f"event {seq} of session {session} is missing in the table")
    return reads.event_of(entry)


def id_conflict() -> Problem:
    """The id of a command is known, and what it led to then is something else."""
    return Problem(
        422, "idempotency-conflict", "this id was used for something else in this session: send what is new under a new id"
    )
