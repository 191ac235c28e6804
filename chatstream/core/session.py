"""The life of one conversation: decide, evolve, react.

Pure: the same session and event give the same session everywhere and for ever. `evolve` refuses nothing (what counts
was settled by claims.py); `fits` says whether an event makes sense, so that a fold can raise the alarm.

State is bounded at any conversation length: a head, the queue of at most Limits.waiting_turns numbers, and as many messages
that wait for their time as Limits.scheduled_messages. `decide` is in deciding.py, what needs no command in concluding.py.
"""

from typing import Final, Literal, assert_never

import msgspec
from msgspec.structs import replace

from chatstream.core.concluding import (
    Compacted,
    Completed,
    Failed,
    Outcome,
    Parked,
    Stepped,
    compact,
    conclude,
    interrupt,
    resume,
    send_due,
    step,
)
from chatstream.core.context import Context, Decision, Duplicate, Nothing, Partial, Reason
from chatstream.core.deciding import decide
from chatstream.core.events import (
    AnyEvent,
    ApprovalDecided,
    ApprovalRequested,
    ContextCompacted,
    MessageAccepted,
    MessageRefused,
    MessageScheduled,
    ReplyCancelled,
    ReplyCompleted,
    ReplyFailed,
    SessionCreated,
    SessionErased,
    SessionUpdated,
    StateChanged,
    StepCompleted,
    Terminal,
    TurnRestarted,
    TurnResumed,
    Usage,
)
from chatstream.core.head import Copying, Ended, Owed, Running, Scheduled, Session, find_owed, find_scheduled
from chatstream.core.ids import InputPosition, MessageId, Seq, SessionId, Version

__all__ = [
    "Compacted", "Completed", "Context", "Copy", "Copying", "Debt", "Decision", "Duplicate", "Ended", "Failed", "Interrupt",
    "Nothing", "Outcome", "Owed", "Parked", "Partial", "Reason", "Run", "Running", "Scheduled", "Session", "Status", "Stepped",
    "compact", "conclude", "decide", "evolve", "fits", "interrupt", "react", "resume", "send_due", "status", "step",
]  # fmt: skip

TITLE_CHARS: Final = 80
TOKENS_MAX: Final = 10**9
"""More than that in one reply is a model's mistake and is not added up."""


class Run(msgspec.Struct, frozen=True, gc=False):
    """The session owes an answer to this turn."""

    turn: Seq
    version: Version


class Interrupt(msgspec.Struct, frozen=True, gc=False):
    """The session owes an end to this turn, running or waiting: `by` asked for it."""

    turn: Seq
    version: Version
    by: MessageId


class Copy(msgspec.Struct, frozen=True, gc=False):
    """The session owes itself copies of source's events, from `first` on through `last`."""

    source: SessionId
    first: Seq
    last: Seq


Debt = Run | Interrupt | Copy


def react(session: Session) -> tuple[Debt, ...]:
    """What the session still owes the world. Derived from the state, so nothing is ever forgotten."""
    if session.erased:
        return ()
    if session.copying is not None:
        # The fork's own first event is no copy: last_seq is where the source's next one starts.
        return (Copy(session.copying.source, session.last_seq, session.copying.through),)
    running = session.running
    if running is None:
        return ()
    dropped = tuple(Interrupt(owed.turn, owed.version, owed.dropped_by) for owed in session.queue if owed.dropped_by)
    if running.interrupted_by:
        return (Interrupt(running.turn, running.version, running.interrupted_by), *dropped)
    return dropped if running.parked else (Run(running.turn, running.version), *dropped)


def fits(session: Session, event: AnyEvent) -> bool:  # noqa: C901  a match over a closed union
    """Does an event that counts make sense here? If not, somebody's decide and this evolve disagree: an alarm."""
    match event:
        case MessageAccepted():
            due = not event.scheduled or event.copy or find_scheduled(session, event.scheduled) is not None
            return event.turn == event.seq and event.replaces < event.seq and due
        case MessageRefused():
            return not event.scheduled or event.copy or find_scheduled(session, event.scheduled) is not None
        case TurnRestarted():
            return 0 < event.turn < event.seq and find_owed(session, event.turn) is None
        case ReplyCancelled():
            owed = find_owed(session, event.turn)
            if owed is None:
                return event.copy or find_scheduled(session, event.turn) is not None
            return owed.version == event.version
        case TurnResumed() | ReplyCompleted() | ReplyFailed() | StepCompleted():
            return _runs(session, event)
        case ApprovalRequested():
            return _runs(session, event) and session.running is not None and not session.running.parked
        case ApprovalDecided():
            return _runs(session, event) and session.running is not None and session.running.parked == event.name
        case SessionCreated():
            return event.copy or (event.seq == 1 and event.source != event.session)
        case ContextCompacted():
            return event.through < event.seq
        case MessageScheduled() | StateChanged() | SessionUpdated() | SessionErased():
            return True
        case _:
            assert_never(event)


def _runs(session: Session, event: AnyEvent) -> bool:
    running = session.running
    return running is not None and running.turn == event.turn and running.version == event.version


def evolve(session: Session, event: AnyEvent, input_at: InputPosition | None = None) -> Session:
    """The session after one more event. input_at: the place of the command that caused it, None when none did."""
    if input_at is not None:
        session = replace(session, last_input=input_at)
    after = _evolved(session, event) if fits(session, event) else _moved(session, event)
    if event.copy and after.copying is not None and event.seq > after.copying.through:
        return replace(after, copying=None)
    return after


def _evolved(session: Session, event: AnyEvent) -> Session:  # noqa: C901  a match over a closed union
    match event:
        case MessageAccepted():
            return _accepted(session, event)
        case ReplyCompleted() | ReplyFailed() | ReplyCancelled():
            return _ended(session, event)
        case MessageRefused():
            return replace(_moved(session, event), scheduled=_without(session.scheduled, event.scheduled))
        case MessageScheduled():
            return _scheduled(session, event)
        case TurnResumed():
            return _with_running(session, event, resumed=event.n)
        case TurnRestarted():
            return _restarted(session, event)
        case StepCompleted():
            return _moved(session, event)
        case ApprovalRequested():
            return _with_running(session, event, parked=event.name)
        case ApprovalDecided():
            return _with_running(session, event, parked="")
        case StateChanged():
            return replace(_moved(session, event), state_bytes=event.state_bytes)
        case SessionUpdated():
            title = event.title if isinstance(event.title, str) else "" if event.title is None else session.title
            return replace(_moved(session, event), title=title)
        case SessionCreated():
            copying = session.copying if event.copy else Copying(event.source, event.through_seq)
            return replace(_moved(session, event), copying=copying)
        case ContextCompacted():
            return _charged(_moved(session, event), event, event.usage)
        case SessionErased():
            # Nothing of what was before: after compaction a fold from the start does not see it any more.
            erased = Session(session.session, event.seq, session.last_input, erased=True)
            return replace(erased, created=event.time, updated=event.time)
        case _:
            assert_never(event)


def _moved(session: Session, event: AnyEvent) -> Session:
    """The session with one more event, whatever it says."""
    updated = max(event.time, session.updated)
    return replace(session, last_seq=event.seq, updated=updated, created=session.created or event.time)


def _accepted(session: Session, event: MessageAccepted) -> Session:
    running, queue, first = session.running, session.queue, session.first
    if event.replaces:
        running, queue = _dropped(running, queue, event)
    owed = Owed(event.turn, event.version, event.message_id)
    if running is None:
        running = Running(event.turn, event.version, event.message_id)
    elif event.replaces or event.on_busy == "interrupt":
        if not event.replaces and not running.interrupted_by:
            running = replace(running, interrupted_by=event.message_id)
        queue, first = (*queue[:first], owed, *queue[first:]), first + 1
    else:
        queue = (*queue, owed)
    return replace(
        session,
        last_seq=event.seq,
        running=running,
        queue=queue,
        first=first,
        messages=session.messages + 1,
        created=session.created or event.time,
        updated=max(event.time, session.updated),
        title=session.title or event.text[:TITLE_CHARS],
        user=session.user or event.user,
        scheduled=_without(session.scheduled, event.scheduled),
        rewinds=session.rewinds + (event.replaces > 0),
    )


def _dropped(
    running: Running | None, queue: tuple[Owed, ...], edit: MessageAccepted
) -> tuple[Running | None, tuple[Owed, ...]]:
    """Turns that an edit took back have to be ended."""
    if running is not None and running.turn >= edit.replaces and not running.interrupted_by:
        running = replace(running, interrupted_by=edit.message_id)
    marked = (
        replace(owed, dropped_by=edit.message_id) if owed.turn >= edit.replaces and not owed.dropped_by else owed
        for owed in queue
    )
    return running, tuple(marked)


def _without(scheduled: tuple[Scheduled, ...], seq: Seq) -> tuple[Scheduled, ...]:
    return tuple(one for one in scheduled if one.seq != seq) if seq and scheduled else scheduled


def _scheduled(session: Session, event: MessageScheduled) -> Session:
    after = _moved(session, event)
    title, user = session.title or event.text[:TITLE_CHARS], session.user or event.user
    if event.copy:  # who asked for it asked the source, which sends it
        return replace(after, title=title, user=user)
    one = Scheduled(event.seq, event.due, event.message_id)
    return replace(after, scheduled=(*session.scheduled, one), title=title, user=user)


def _ended(session: Session, event: Terminal) -> Session:
    running, queue, first = session.running, session.queue, session.first
    owed = find_owed(session, event.turn)
    if owed is None:
        return replace(_moved(session, event), scheduled=_without(session.scheduled, event.turn))
    if running is not None and running.turn == event.turn:
        running, queue, first = _next(queue, first)
    else:
        place = next(i for i, owed in enumerate(queue) if owed.turn == event.turn)
        queue, first = (*queue[:place], *queue[place + 1 :]), first - (place < first)
    state_bytes = event.state_bytes if isinstance(event, ReplyCompleted) else None
    after = replace(
        session,
        last_seq=event.seq,
        running=running,
        queue=queue,
        first=first,
        replies=session.replies + isinstance(event, ReplyCompleted),
        failed=isinstance(event, ReplyFailed),
        updated=max(event.time, session.updated),
        state_bytes=session.state_bytes if state_bytes is None else state_bytes,
        ended=Ended(event.turn, event.version, event.message_id, how(event)),
    )
    return after if isinstance(event, ReplyFailed) else _charged(after, event, event.usage)


def how(event: Terminal) -> Literal["completed", "failed", "cancelled"]:
    """How a turn ended, in a word."""
    match event:
        case ReplyCompleted():
            return "completed"
        case ReplyFailed():
            return "failed"
        case ReplyCancelled():
            return "cancelled"
        case _:
            assert_never(event)


def _charged(session: Session, event: AnyEvent, usage: Usage | None) -> Session:
    """With what a model told it used. A copy's was charged where it was made."""
    if usage is None or event.copy:
        return session
    return replace(
        session,
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
    running = Running(owed.turn, owed.version, owed.message_id, interrupted_by=owed.dropped_by)
    return running, queue[1:], max(first - 1, 0)


def _with_running(session: Session, event: AnyEvent, **changes: int | str) -> Session:
    assert session.running is not None  # fits() saw to it
    return replace(_moved(session, event), running=replace(session.running, **changes))


def _restarted(session: Session, event: TurnRestarted) -> Session:
    running, queue, first = session.running, session.queue, session.first
    if running is None:
        running = Running(event.turn, event.version, event.message_id)
    else:
        owed = Owed(event.turn, event.version, event.message_id)
        queue, first = (*queue[:first], owed, *queue[first:]), first + 1
    return replace(_moved(session, event), running=running, queue=queue, first=first)


Status = Literal["idle", "running", "parked", "failed"]


def status(session: Session) -> Status:
    """What a reader is told the session is doing."""
    if session.running is not None:
        return "parked" if session.running.parked else "running"
    return "failed" if session.failed else "idle"
