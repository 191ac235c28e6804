"""What a command leads to: at most one event. Which command is taken in which state stands in docs/design.md, as a table.

The rules of this file:
- Nothing but the session, the command and the context is looked at, and nothing is changed.
- A command that brings a message (message, edit) always leads to an event, if only a refusal: whoever sent it is owed one.
- Any other command that cannot be followed leads to `Nothing`, with the reason.
"""

from typing import Any, Final, Literal, assert_never

import msgspec

from chatstream.core.commands import (
    AnyCommand,
    Approve,
    Cancel,
    ClearState,
    Edit,
    Erase,
    Fork,
    Message,
    OnBusy,
    Regenerate,
    Retry,
    SetState,
    Update,
)
from chatstream.core.context import Context, Decision, Duplicate, Nothing, Partial
from chatstream.core.events import (
    ApprovalDecided,
    MessageAccepted,
    MessageRefused,
    MessageScheduled,
    ReplyCancelled,
    SessionCreated,
    SessionErased,
    SessionUpdated,
    StateChanged,
    TurnRestarted,
)
from chatstream.core.head import Owed, Running, Scheduled, Session, find_owed, find_scheduled, is_busy
from chatstream.core.ids import NO_ID, MessageId, Seq, Version
from chatstream.core.state import cost_bytes, matches
from chatstream.core.times import at_ms, rfc3339

NO_SEQ: Final = Seq(0)


def decide(session: Session, command: AnyCommand, context: Context) -> Decision:  # noqa: C901  a match over a closed union
    """What a command leads to: at most one event."""
    if context.known is not None:
        return Duplicate(context.known)
    match command:
        case Message():
            return _decide_message(session, command, context)
        case Cancel():
            return _decide_cancel(session, command, context)
        case Retry() | Regenerate():
            return _decide_again(session, command, context)
        case Edit():
            return _decide_edit(session, command, context)
        case Fork():
            return _decide_fork(session, command, context)
        case Update():
            return _decide_update(session, command, context)
        case SetState() | ClearState():
            return _decide_state(session, command, context)
        case Approve():
            return _decide_approve(session, command, context)
        case Erase():
            return _decide_erase(session, command, context)
        case _:
            assert_never(command)


def _place(context: Context) -> str:
    return f"{context.input.generation}:{context.input.offset}"


def _decide_message(
    session: Session, command: Message, context: Context
) -> MessageAccepted | MessageScheduled | MessageRefused:
    if command.delay_s or command.at:
        later = _decide_later(session, command, context)
        if later is not None:
            return later
    code = refusal_of(session, command.on_busy, context.waiting_turns)
    if code is not None:
        return _refused(session, command.message_id, context.now, code)
    return _accepted(session, command, command.message_id, context, on_busy=command.on_busy)


def _accepted(
    session: Session,
    said: Message | Edit,
    message_id: MessageId,
    context: Context,
    on_busy: OnBusy = "enqueue",
    replaces: Seq = NO_SEQ,
) -> MessageAccepted:
    seq = Seq(session.last_seq + 1)
    return MessageAccepted(
        session=session.session,
        seq=seq,
        time=max(context.now, session.updated),
        turn=seq,
        message_id=message_id,
        text=said.text,
        content=said.content,
        user=said.user,
        metadata=said.metadata,
        on_busy=on_busy,
        input=_place(context),
        replaces=replaces,
    )


def refusal_of(session: Session, on_busy: str, waiting_turns: int) -> Literal["turn-in-progress", "queue-full"] | None:
    """Why a message is turned away in this state, None when it is not."""
    if session.running is not None and on_busy == "reject":
        return "turn-in-progress"
    return "queue-full" if _is_full(session, waiting_turns) else None


def _is_full(session: Session, waiting_turns: int) -> bool:
    """Is there no room for one more turn? While none runs there always is."""
    return session.running is not None and len(session.queue) >= waiting_turns


def _refused(session: Session, message_id: MessageId, now: str, code: Any) -> MessageRefused:
    return MessageRefused(
        session=session.session,
        seq=Seq(session.last_seq + 1),
        time=max(now, session.updated),
        message_id=message_id,
        code=code,
    )


def _decide_later(session: Session, command: Message, context: Context) -> MessageScheduled | MessageRefused | None:
    """None: the time has come already, the message is sent now."""
    now_ms, due_ms = at_ms(context.now) or 0, _due_ms(command, context)
    if due_ms <= now_ms:
        return None
    if due_ms - now_ms > context.delay_s * 1000:
        return _refused(session, command.message_id, context.now, "too-far")
    if len(session.scheduled) >= context.scheduled_messages:
        return _refused(session, command.message_id, context.now, "queue-full")
    return MessageScheduled(
        session=session.session,
        seq=Seq(session.last_seq + 1),
        time=max(context.now, session.updated),
        message_id=command.message_id,
        due=rfc3339(due_ms),
        text=command.text,
        content=command.content,
        user=command.user,
        metadata=command.metadata,
        on_busy=command.on_busy,
        input=_place(context),
    )


def _due_ms(command: Message, context: Context) -> int:
    if command.at:
        return at_ms(command.at) or 0
    # A delay counts from when the message was written; a producer's clock that runs ahead is not believed.
    now_ms = at_ms(context.now) or 0
    return min(context.sent_ms or now_ms, now_ms) + int(command.delay_s * 1000)


def _decide_cancel(session: Session, command: Cancel, context: Context) -> ReplyCancelled | Nothing:
    named = _named(session, command, context.target)
    if named is None:
        return Nothing("not-running")
    is_running = session.running is not None and session.running.turn == turn_of(named)
    said = context.partial if is_running else Partial()
    return cancelled(session, named, command.command_id, said, context.now, command_id=command.command_id)


def _named(session: Session, command: Cancel, target: Seq | None) -> Owed | Running | Scheduled | None:
    """What a cancel means: by its number, else by its message's id, else the running turn."""
    seq = command.turn or (target if command.message_id else None)
    if seq:
        return find_owed(session, seq) or find_scheduled(session, seq)
    return None if command.message_id else session.running


def turn_of(named: Owed | Running | Scheduled) -> Seq:
    """The number under which a turn, or a message that waits for its time, is known."""
    return named.seq if isinstance(named, Scheduled) else named.turn


def cancelled(
    session: Session,
    named: Owed | Running | Scheduled,
    by: MessageId,
    said: Partial,
    now: str,
    command_id: MessageId = NO_ID,
) -> ReplyCancelled:
    """The event that ends a turn, or a message that waits for its time, without an answer."""
    return ReplyCancelled(
        session=session.session,
        seq=Seq(session.last_seq + 1),
        time=max(now, session.updated),
        turn=turn_of(named),
        version=Version(1) if isinstance(named, Scheduled) else named.version,
        message_id=named.message_id,
        command_id=command_id,
        text=said.text,
        by=by,
        usage=said.usage,
    )


def _decide_again(session: Session, command: Retry | Regenerate, context: Context) -> TurnRestarted | Nothing:
    ended = context.ended if isinstance(command, Retry) and command.turn else session.ended
    if isinstance(command, Retry) and command.turn and find_owed(session, command.turn) is not None:
        return Nothing("turn-in-progress")
    if ended is None or (isinstance(command, Retry) and ended.how == "completed"):
        return Nothing("not-ended")
    if find_owed(session, ended.turn) is not None:
        return Nothing("turn-in-progress")
    if context.rewound:
        return Nothing("rewound")
    if _is_full(session, context.waiting_turns):
        return Nothing("queue-full")
    return TurnRestarted(
        session=session.session,
        seq=Seq(session.last_seq + 1),
        time=max(context.now, session.updated),
        turn=ended.turn,
        version=Version(ended.version + 1),
        message_id=ended.message_id,
        command_id=command.command_id,
    )


def _decide_edit(session: Session, command: Edit, context: Context) -> MessageAccepted | MessageRefused:
    code: str | None = None
    if not context.is_message:
        code = "no-such-message"
    elif context.rewound:
        code = "rewound"
    elif _is_full(session, context.waiting_turns):
        code = "queue-full"
    if code is not None:
        return _refused(session, command.command_id, context.now, code)
    return _accepted(session, command, command.command_id, context, replaces=command.seq)


def _decide_fork(session: Session, command: Fork, context: Context) -> SessionCreated | Nothing:
    if session.last_seq == 0:
        return Nothing("no-such-session")
    if context.fork is None:
        return Nothing("other-partition")
    if command.seq > session.last_seq:
        return Nothing("no-such-message")
    if context.fork.last_seq:
        return Nothing("session-exists")
    through = command.seq or session.last_seq
    return SessionCreated(
        session=context.fork.session,
        seq=Seq(1),
        time=context.now,
        command_id=command.command_id,
        source=session.session,
        through_seq=through,
        count=through,
    )


def _decide_update(session: Session, command: Update, context: Context) -> SessionUpdated:
    return SessionUpdated(
        session=session.session,
        seq=Seq(session.last_seq + 1),
        time=max(context.now, session.updated),
        command_id=command.command_id,
        title=command.title,
        metadata=command.metadata,
        system=command.system,
        model=command.model,
    )


def _decide_state(session: Session, command: SetState | ClearState, context: Context) -> StateChanged | Nothing:
    if not matches(command.if_match, context.held):
        return Nothing("precondition-failed")
    value = command.value if isinstance(command, SetState) else None
    raw = None if value is None else msgspec.json.encode(value)
    size_bytes = session.state_bytes + cost_bytes(command.key, raw) - cost_bytes(command.key, context.held)
    # What only makes it smaller is always taken: a responder may have filled it a little above the limit meanwhile.
    if size_bytes > context.state_bytes and size_bytes > session.state_bytes:
        return Nothing("state-too-large")
    return StateChanged(
        session=session.session,
        seq=Seq(session.last_seq + 1),
        time=max(context.now, session.updated),
        command_id=command.command_id,
        state={command.key: value},
        state_bytes=size_bytes,
    )


def _decide_approve(session: Session, command: Approve, context: Context) -> ApprovalDecided | Nothing:
    running = session.running
    if running is None or not running.parked or running.parked.rpartition("#")[0] != command.name:
        return Nothing("no-such-approval")
    return ApprovalDecided(
        session=session.session,
        seq=Seq(session.last_seq + 1),
        time=max(context.now, session.updated),
        turn=running.turn,
        version=running.version,
        message_id=running.message_id,
        command_id=command.command_id,
        name=running.parked,
        decision=command.decision,
        comment=command.comment,
    )


def _decide_erase(session: Session, command: Erase, context: Context) -> SessionErased | Nothing:
    if session.last_seq == 0:
        return Nothing("no-such-session")
    if command.idle_since and (is_busy(session) or (at_ms(session.updated) or 0) > (at_ms(command.idle_since) or 0)):
        return Nothing("not-idle")
    return SessionErased(
        session=session.session,
        seq=Seq(session.last_seq + 1),
        time=max(context.now, session.updated),
        command_id=command.command_id,
    )
