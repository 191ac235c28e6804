"""Events that no command causes: what a turn comes to, and what the session's own state asks for."""

from typing import Any, assert_never

import msgspec

from chatstream.core.context import Partial
from chatstream.core.deciding import cancelled, refusal_of
from chatstream.core.events import (
    ApprovalRequested,
    Blocks,
    ContextCompacted,
    MessageAccepted,
    MessageRefused,
    MessageScheduled,
    ReplyCancelled,
    ReplyCompleted,
    ReplyFailed,
    StepCompleted,
    TurnResumed,
    Usage,
)
from chatstream.core.head import Owed, Running, Session
from chatstream.core.ids import MessageId, Seq


class Completed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An attempt gave a whole answer. Fields as in events.ReplyCompleted."""

    text: str
    content: Blocks | None = None
    model: str = ""
    stop_reason: str = ""
    usage: Usage | None = None
    attempts: int = 1
    state: dict[str, Any] | None = None
    state_bytes: int | None = None


class Failed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A turn is given up. Fields as in events.ReplyFailed."""

    code: str
    detail: str = ""
    attempts: int = 0


class Stepped(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A step of the running turn has a result. Fields as in events.StepCompleted."""

    name: str
    result: Any


class Parked(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The running turn waits for somebody's decision. Fields as in events.ApprovalRequested."""

    name: str
    detail: Any


class Compacted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The beginning of the conversation was summarised. Fields as in events.ContextCompacted."""

    through: Seq
    text: str
    model: str = ""
    usage: Usage | None = None


Outcome = Completed | Failed


def conclude(session: Session, running: Running, outcome: Outcome, now: str) -> ReplyCompleted | ReplyFailed:
    """The event that ends the running turn with what its attempts came to."""
    seq, time = Seq(session.last_seq + 1), max(now, session.updated)
    match outcome:
        case Completed():
            return ReplyCompleted(
                session=session.session,
                seq=seq,
                time=time,
                turn=running.turn,
                version=running.version,
                message_id=running.message_id,
                text=outcome.text,
                content=outcome.content,
                model=outcome.model,
                stop_reason=outcome.stop_reason,
                usage=outcome.usage,
                attempts=outcome.attempts,
                state=outcome.state,
                state_bytes=outcome.state_bytes,
            )
        case Failed():
            return ReplyFailed(
                session=session.session,
                seq=seq,
                time=time,
                turn=running.turn,
                version=running.version,
                message_id=running.message_id,
                code=outcome.code,
                detail=outcome.detail,
                attempts=outcome.attempts,
            )
        case _:
            assert_never(outcome)


def interrupt(session: Session, owed: Owed | Running, by: MessageId, said: Partial, now: str) -> ReplyCancelled:
    """The event that ends a turn because a later message asked for it (`by`)."""
    return cancelled(session, owed, by, said, now)


def resume(session: Session, running: Running, now: str) -> TurnResumed:
    """The event that says a process died in the middle of the running turn."""
    return TurnResumed(
        session=session.session,
        seq=Seq(session.last_seq + 1),
        time=max(now, session.updated),
        turn=running.turn,
        version=running.version,
        message_id=running.message_id,
        n=running.resumed + 1,
    )


def step(session: Session, running: Running, what: Stepped | Parked, now: str) -> StepCompleted | ApprovalRequested:
    """The event that records what the running turn has come to so far, or what it waits for."""
    seq, time = Seq(session.last_seq + 1), max(now, session.updated)
    match what:
        case Stepped():
            return StepCompleted(
                session=session.session,
                seq=seq,
                time=time,
                turn=running.turn,
                version=running.version,
                message_id=running.message_id,
                name=what.name,
                result=what.result,
            )
        case Parked():
            return ApprovalRequested(
                session=session.session,
                seq=seq,
                time=time,
                turn=running.turn,
                version=running.version,
                message_id=running.message_id,
                name=what.name,
                detail=what.detail,
            )
        case _:
            assert_never(what)


def send_due(session: Session, scheduled: MessageScheduled, now: str, waiting_turns: int) -> MessageAccepted | MessageRefused:
    """The event for a message whose time has come; as it was scheduled, it may be turned away even now."""
    seq, time = Seq(session.last_seq + 1), max(now, session.updated)
    code = refusal_of(session, scheduled.on_busy, waiting_turns)
    if code is not None:
        return MessageRefused(
            session=session.session,
            seq=seq,
            time=time,
            message_id=scheduled.message_id,
            code=code,
            scheduled=scheduled.seq,
        )
    return MessageAccepted(
        session=session.session,
        seq=seq,
        time=time,
        turn=seq,
        message_id=scheduled.message_id,
        text=scheduled.text,
        content=scheduled.content,
        user=scheduled.user,
        metadata=scheduled.metadata,
        on_busy=scheduled.on_busy,
        input=scheduled.input,
        scheduled=scheduled.seq,
    )


def compact(session: Session, what: Compacted, now: str) -> ContextCompacted:
    """The event that records a summary of the conversation's beginning."""
    return ContextCompacted(
        session=session.session,
        seq=Seq(session.last_seq + 1),
        time=max(now, session.updated),
        through=what.through,
        text=what.text,
        model=what.model,
        usage=what.usage,
    )
