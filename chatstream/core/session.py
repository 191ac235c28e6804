"""The life of one conversation: decide, evolve, react.

Pure: the same session and event give the same session everywhere and for ever. `evolve` refuses nothing (what counts
was settled by claims.py); `fits` says whether an event makes sense, so that a fold can raise the alarm.

State is bounded at any conversation length: a head, and the queue of at most Limits.waiting_turns numbers.
"""

from typing import Any, Final, Literal, assert_never

import msgspec
from msgspec.structs import replace

from chatstream.core.commands import AnyCommand, Cancel, Message
from chatstream.core.events import (
    AnyEvent,
    Blocks,
    MessageAccepted,
    MessageRefused,
    ReplyCancelled,
    ReplyCompleted,
    ReplyFailed,
    Terminal,
    TurnRestarted,
    TurnResumed,
    Usage,
)
from chatstream.core.head import Owed, Running, Session, find_owed
from chatstream.core.ids import NO_ID, InputPosition, MessageId, Seq, Version

__all__ = [
    "Completed", "Context", "Debt", "Decision", "Duplicate", "Failed", "Interrupt", "Nothing", "Outcome", "Owed", "Partial",
    "Run", "Running", "Session", "Status", "conclude", "decide", "evolve", "fits", "interrupt", "react", "resume", "status",
]  # fmt: skip

TITLE_CHARS: Final = 80
TOKENS_MAX: Final = 10**9
"""More than that in one reply is a model's mistake and is not added up."""


class Duplicate(msgspec.Struct, frozen=True, gc=False):
    """The command's id is known already: nothing happens. seq: the event it led to then."""

    seq: Seq


class Nothing(msgspec.Struct, frozen=True, gc=False):
    """The command asks for what cannot be done now, and that is no event. code: for the HTTP problem."""

    code: Literal["not-running"]


class Partial(msgspec.Struct, frozen=True, gc=False):
    """What a running attempt has said so far."""

    text: str = ""
    usage: Usage | None = None


Decision = AnyEvent | Duplicate | Nothing


class Context(msgspec.Struct, frozen=True, gc=False):
    """What decide needs beside the session: where the command stands, when it is, what is known of its ids.

    known: the seq of the event that brought the command's id. target: the seq that Cancel.message_id names.
    partial: what the running turn has said so far. waiting_turns: Limits.waiting_turns.
    """

    input: InputPosition
    now: str
    known: Seq | None = None
    target: Seq | None = None
    partial: Partial = Partial()
    waiting_turns: int = 1_000


def decide(session: Session, command: AnyCommand, context: Context) -> Decision:
    """What a command leads to: at most one event."""
    if context.known is not None:
        return Duplicate(context.known)
    match command:
        case Message():
            return _decide_message(session, command, context)
        case Cancel():
            return _decide_cancel(session, command, context)
        case _:
            assert_never(command)


def _decide_message(session: Session, command: Message, context: Context) -> MessageAccepted | MessageRefused:
    seq = Seq(session.last_seq + 1)
    time = max(context.now, session.updated)
    if session.running is not None and command.on_busy == "reject":
        return MessageRefused(
            session=session.session, seq=seq, time=time, message_id=command.message_id, code="turn-in-progress"
        )
    if session.running is not None and len(session.queue) >= context.waiting_turns:
        return MessageRefused(session=session.session, seq=seq, time=time, message_id=command.message_id, code="queue-full")
    return MessageAccepted(
        session=session.session,
        seq=seq,
        time=time,
        turn=seq,
        message_id=command.message_id,
        text=command.text,
        content=command.content,
        user=command.user,
        metadata=command.metadata,
        on_busy=command.on_busy,
        input=f"{context.input.generation}:{context.input.offset}",
    )


def _decide_cancel(session: Session, command: Cancel, context: Context) -> ReplyCancelled | Nothing:
    owed = _named(session, command, context.target)
    if owed is None:
        return Nothing("not-running")
    is_running = session.running is not None and session.running.turn == owed.turn
    said = context.partial if is_running else Partial()
    return _cancelled(session, owed, command.command_id, said, context.now, command_id=command.command_id)


def _named(session: Session, command: Cancel, target: Seq | None) -> Owed | Running | None:
    """The turn that a cancel means: by its number, else by its message's id, else the running one."""
    if command.turn:
        return find_owed(session, command.turn)
    if command.message_id:
        return None if target is None else find_owed(session, target)
    return session.running


def _cancelled(
    session: Session,
    owed: Owed | Running,
    by: MessageId,
    said: Partial,
    now: str,
    command_id: MessageId = NO_ID,
) -> ReplyCancelled:
    return ReplyCancelled(
        session=session.session,
        seq=Seq(session.last_seq + 1),
        time=max(now, session.updated),
        turn=owed.turn,
        version=owed.version,
        message_id=owed.message_id,
        command_id=command_id,
        text=said.text,
        by=by,
        usage=said.usage,
    )


class Run(msgspec.Struct, frozen=True, gc=False):
    """The session owes an answer to this turn."""

    turn: Seq
    version: Version


class Interrupt(msgspec.Struct, frozen=True, gc=False):
    """The session owes the end of its running turn."""

    turn: Seq
    version: Version
    by: MessageId


Debt = Run | Interrupt


def react(session: Session) -> Debt | None:
    """What the session still owes the world. Derived from the state, so nothing is ever forgotten."""
    running = session.running
    if running is None or session.erased:
        return None
    if running.interrupted_by:
        return Interrupt(running.turn, running.version, running.interrupted_by)
    return Run(running.turn, running.version)


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


def interrupt(session: Session, running: Running, said: Partial, now: str) -> ReplyCancelled:
    """The event that ends the running turn because a later message asked for it."""
    return _cancelled(session, running, running.interrupted_by, said, now)


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


def fits(session: Session, event: AnyEvent) -> bool:
    """Does an event that counts make sense here? If not, somebody's decide and this evolve disagree: an alarm."""
    match event:
        case MessageAccepted():
            return event.turn == event.seq
        case MessageRefused():
            return True
        case TurnRestarted():
            return 0 < event.turn < event.seq and find_owed(session, event.turn) is None
        case TurnResumed() | ReplyCompleted() | ReplyFailed():
            running = session.running
            return running is not None and running.turn == event.turn and running.version == event.version
        case ReplyCancelled():
            owed = find_owed(session, event.turn)
            return owed is not None and owed.version == event.version
        case _:
            assert_never(event)


def evolve(session: Session, event: AnyEvent, input_at: InputPosition | None = None) -> Session:
    """The session after one more event. input_at: the place of the command that caused it, None when none did."""
    if input_at is not None:
        session = replace(session, last_input=input_at)
    if not fits(session, event):
        return replace(session, last_seq=event.seq, updated=event.time)
    match event:
        case MessageAccepted():
            return _accepted(session, event)
        case MessageRefused():
            return replace(session, last_seq=event.seq, updated=event.time, created=session.created or event.time)
        case ReplyCompleted() | ReplyFailed() | ReplyCancelled():
            return _ended(session, event)
        case TurnResumed():
            return _resumed(session, event)
        case TurnRestarted():
            return _restarted(session, event)
        case _:
            assert_never(event)


def _accepted(session: Session, event: MessageAccepted) -> Session:
    running, queue, first = session.running, session.queue, session.first
    if running is None:
        running = Running(event.turn, event.version, event.message_id)
    elif event.on_busy == "interrupt":
        if not running.interrupted_by:
            running = replace(running, interrupted_by=event.message_id)
        owed = Owed(event.turn, event.version, event.message_id)
        queue, first = (*queue[:first], owed, *queue[first:]), first + 1
    else:
        queue = (*queue, Owed(event.turn, event.version, event.message_id))
    return replace(
        session,
        last_seq=event.seq,
        running=running,
        queue=queue,
        first=first,
        messages=session.messages + 1,
        created=session.created or event.time,
        updated=event.time,
        title=session.title or event.text[:TITLE_CHARS],
        user=session.user or event.user,
    )


def _ended(session: Session, event: Terminal) -> Session:
    running, queue, first = session.running, session.queue, session.first
    if running is not None and running.turn == event.turn:
        running, queue, first = _next(queue, first)
    else:
        place = next(i for i, owed in enumerate(queue) if owed.turn == event.turn)
        queue, first = (*queue[:place], *queue[place + 1 :]), first - (place < first)
    state_bytes = event.state_bytes if isinstance(event, ReplyCompleted) else None
    usage = {} if isinstance(event, ReplyFailed) or event.usage is None else event.usage
    return replace(
        session,
        last_seq=event.seq,
        running=running,
        queue=queue,
        first=first,
        replies=session.replies + isinstance(event, ReplyCompleted),
        failed=isinstance(event, ReplyFailed),
        updated=event.time,
        state_bytes=session.state_bytes if state_bytes is None else state_bytes,
        input_tokens=session.input_tokens + _count(usage, "input_tokens"),
        output_tokens=session.output_tokens + _count(usage, "output_tokens"),
    )


def _count(usage: Usage, what: str) -> int:
    """A count as a model told it, 0 for what cannot be one: the sums have to fit a row's 64 bits for ever."""
    value = usage.get(what, 0)
    return value if type(value) is int and 0 <= value <= TOKENS_MAX else 0


def _next(queue: tuple[Owed, ...], first: int) -> tuple[Running | None, tuple[Owed, ...], int]:
    if not queue:
        return None, (), 0
    owed = queue[0]
    return Running(owed.turn, owed.version, owed.message_id), queue[1:], max(first - 1, 0)


def _resumed(session: Session, event: TurnResumed) -> Session:
    assert session.running is not None  # fits() saw to it
    running = replace(session.running, resumed=event.n)
    return replace(session, last_seq=event.seq, running=running, updated=event.time)


def _restarted(session: Session, event: TurnRestarted) -> Session:
    running, queue, first = session.running, session.queue, session.first
    if running is None:
        running = Running(event.turn, event.version, event.message_id)
    else:
        owed = Owed(event.turn, event.version, event.message_id)
        queue, first = (*queue[:first], owed, *queue[first:]), first + 1
    return replace(session, last_seq=event.seq, running=running, queue=queue, first=first, updated=event.time)


Status = Literal["idle", "running", "failed"]


def status(session: Session) -> Status:
    """What a reader is told the session is doing."""
    if session.running is not None:
        return "running"
    return "failed" if session.failed else "idle"
