"""Given events, when a command comes, then exactly these events: the life of a session without a log or a clock."""

from collections.abc import Iterable
from typing import Any

from chatstream.core.commands import AnyCommand, Cancel, Message
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
    TurnRestarted,
    TurnResumed,
)
from chatstream.core.ids import InputPosition, MessageId, Seq, SessionId, Version
from chatstream.core.session import Context, Decision, Partial, Session, decide, evolve

ALICE = SessionId("alice")
NOW = "2026-01-02T03:04:05.000Z"


def place(offset: int) -> InputPosition:
    """A place on the inbound topic."""
    return InputPosition(0, offset)


def given(*events: AnyEvent) -> Session:
    """The session to which these have happened; those that a command caused came in from offset 0 on."""
    session = Session(ALICE)
    for event in events:
        session = evolve(session, event)
    return session


def when(
    session: Session,
    command: AnyCommand,
    *,
    offset: int = 100,
    now: str = NOW,
    known: int | None = None,
    target: int | None = None,
    partial: Partial | None = None,
    waiting_turns: int = 1_000,
) -> Decision:
    """What a command leads to."""
    context = Context(
        input=place(offset),
        now=now,
        known=None if known is None else Seq(known),
        target=None if target is None else Seq(target),
        partial=partial or Partial(),
        waiting_turns=waiting_turns,
    )
    return decide(session, command, context)


def message(text: str = "hello", id: str = "m", **fields: Any) -> Message:
    """A user's message as a command."""
    return Message(command_id=MessageId(id), message_id=MessageId(id), text=text, **fields)


def cancel(turn: int = 0, id: str = "c", message_id: str = "") -> Cancel:
    """A cancel as a command."""
    return Cancel(command_id=MessageId(id), turn=Seq(turn), message_id=MessageId(message_id))


def _head(seq: int, time: str) -> dict[str, Any]:
    return {"session": ALICE, "seq": Seq(seq), "time": time}


def accepted(seq: int, text: str = "hello", *, id: str = "", time: str = NOW, **fields: Any) -> MessageAccepted:
    """A message that is in the conversation, its id `m<seq>`."""
    return MessageAccepted(**_head(seq, time), turn=Seq(seq), message_id=MessageId(id or f"m{seq}"), text=text, **fields)


def refused(seq: int, code: Any = "queue-full", *, id: str = "m", time: str = NOW) -> MessageRefused:
    """A message that was turned away."""
    return MessageRefused(**_head(seq, time), message_id=MessageId(id), code=code)


def _answer(seq: int, turn: int, version: int, time: str) -> dict[str, Any]:
    return {**_head(seq, time), "turn": Seq(turn), "version": Version(version), "message_id": MessageId(f"m{turn}")}


def completed(seq: int, turn: int, text: str = "hi", *, version: int = 1, time: str = NOW, **fields: Any) -> ReplyCompleted:
    """The answer to a turn."""
    return ReplyCompleted(**_answer(seq, turn, version, time), text=text, **fields)


def failed(seq: int, turn: int, code: str = "responder-error", *, version: int = 1, time: str = NOW) -> ReplyFailed:
    """A turn without an answer."""
    return ReplyFailed(**_answer(seq, turn, version, time), code=code)


def cancelled(seq: int, turn: int, text: str = "", *, version: int = 1, time: str = NOW, **fields: Any) -> ReplyCancelled:
    """A turn that was stopped."""
    return ReplyCancelled(**_answer(seq, turn, version, time), text=text, **fields)


def resumed(seq: int, turn: int, n: int = 1, *, version: int = 1, time: str = NOW) -> TurnResumed:
    """A process died in the middle of a turn."""
    return TurnResumed(**_answer(seq, turn, version, time), n=n)


def restarted(seq: int, turn: int, version: int = 2, *, time: str = NOW) -> TurnRestarted:
    """An ended turn runs again."""
    return TurnRestarted(**_answer(seq, turn, version, time))


def scheduled(seq: int, due: str, *, id: str = "", time: str = NOW, **fields: Any) -> MessageScheduled:
    """A message that is to be sent later, its id `m<seq>`."""
    fields = {"text": "hello", **fields}
    return MessageScheduled(**_head(seq, time), message_id=MessageId(id or f"m{seq}"), due=due, **fields)


def stepped(seq: int, turn: int, name: str, result: Any = None, *, version: int = 1, time: str = NOW) -> StepCompleted:
    """A step of a turn has a result."""
    return StepCompleted(**_answer(seq, turn, version, time), name=name, result=result)


def asked(seq: int, turn: int, name: str, detail: Any = None, *, version: int = 1, time: str = NOW) -> ApprovalRequested:
    """A turn waits for somebody."""
    return ApprovalRequested(**_answer(seq, turn, version, time), name=name, detail=detail)


def decided(
    seq: int, turn: int, name: str, decision: Any = "approved", *, version: int = 1, time: str = NOW, **fields: Any
) -> ApprovalDecided:
    """Somebody decided."""
    return ApprovalDecided(**_answer(seq, turn, version, time), name=name, decision=decision, **fields)


def changed(seq: int, state: dict[str, Any], state_bytes: int = 1, *, time: str = NOW) -> StateChanged:
    """A command changed the state."""
    return StateChanged(**_head(seq, time), state=state, state_bytes=state_bytes)


def updated(seq: int, *, time: str = NOW, **fields: Any) -> SessionUpdated:
    """What is known of the session changed."""
    return SessionUpdated(**_head(seq, time), **fields)


def created(source: str, through: int, *, time: str = NOW, **fields: Any) -> SessionCreated:
    """The session is a fork."""
    return SessionCreated(**_head(1, time), source=SessionId(source), through_seq=Seq(through), count=through, **fields)


def compacted(seq: int, through: int, text: str = "in short", *, time: str = NOW, **fields: Any) -> ContextCompacted:
    """The beginning was summarised."""
    return ContextCompacted(**_head(seq, time), through=Seq(through), text=text, **fields)


def erased(seq: int, *, time: str = NOW) -> SessionErased:
    """The session was forgotten."""
    return SessionErased(**_head(seq, time))


def waiting(session: Session) -> list[int]:
    """The turns in the queue, in the order in which they will run."""
    return [owed.turn for owed in session.queue]


def many(first_seq: int, count: int) -> Iterable[MessageAccepted]:
    """That many messages in a row."""
    return (accepted(seq) for seq in range(first_seq, first_seq + count))
