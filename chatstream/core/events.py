"""What has happened to a session: records on the events topic. Past tense, never edited.

`SCHEMA` names every type with its current version; codec.py upcasts older ones. An event's JSON has `v` only above 1.
"""

from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from chatstream.core.commands import OnBusy, Verdict
from chatstream.core.ids import NO_ID, MessageId, Seq, SessionId, Version

Blocks = list[dict[str, Any]]
Usage = dict[str, Any]
"""What the model charged, as it told: `input_tokens`, `output_tokens` and whatever else."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True, gc=False):
    """What every event has.

    time: RFC 3339 in UTC with milliseconds, never before the session's last (a copy keeps its own). turn: seq of the
    message answered. copy: a fork took it over from the session it started from; it is not published again.
    """

    session: SessionId
    seq: Seq
    time: str
    turn: Seq = Seq(0)
    version: Version = Version(1)
    message_id: MessageId = MessageId("")
    command_id: MessageId = MessageId("")
    v: int = 1
    copy: bool = False


class MessageAccepted(Event, frozen=True, kw_only=True, tag="message.accepted", gc=False):
    """A user's message is in the conversation; `turn` is its own seq. `input` is its place, `generation:offset`.

    replaces: an edit, which took back that message and everything after it. scheduled: seq of the message.scheduled that
    came due.
    """

    text: str = ""
    content: Blocks | None = None
    user: str = ""
    metadata: dict[str, Any] | None = None
    on_busy: OnBusy = "enqueue"
    input: str = ""
    replaces: Seq = Seq(0)
    scheduled: Seq = Seq(0)


class MessageScheduled(Event, frozen=True, kw_only=True, tag="message.scheduled", gc=False):
    """A user's message will be sent at `due` (as `time`); it is not in the conversation yet."""

    due: str
    text: str = ""
    content: Blocks | None = None
    user: str = ""
    metadata: dict[str, Any] | None = None
    on_busy: OnBusy = "enqueue"
    input: str = ""


class MessageRefused(Event, frozen=True, kw_only=True, tag="message.refused", gc=False):
    """A message was turned away and its id stays free. scheduled: as in MessageAccepted; then the id does not."""

    code: Literal["queue-full", "turn-in-progress", "too-far", "no-such-message", "rewound"]
    scheduled: Seq = Seq(0)


class ReplyCompleted(Event, frozen=True, kw_only=True, tag="reply.completed", gc=False):
    """The model's answer, whole.

    content: blocks as the model gave them; None when there is nothing beyond text. state: key to new JSON value, None
    clears. state_bytes: size of all the session's state afterwards, None when unchanged.
    """

    text: str
    content: Blocks | None = None
    model: str = ""
    stop_reason: str = ""
    usage: Usage | None = None
    attempts: int = 1
    state: dict[str, Any] | None = None
    state_bytes: int | None = None


class ReplyFailed(Event, frozen=True, kw_only=True, tag="reply.failed", gc=False):
    """The turn ended without an answer. detail: for people."""

    code: str
    detail: str = ""
    attempts: int = 0


class ReplyCancelled(Event, frozen=True, kw_only=True, tag="reply.cancelled", gc=False):
    """The turn was stopped, or a message taken back before it was sent. text: what had been said so far. by: id of the
    command that stopped it."""

    text: str = ""
    by: MessageId = MessageId("")
    usage: Usage | None = None


class TurnResumed(Event, frozen=True, kw_only=True, tag="turn.resumed", gc=False):
    """A process died in the middle of the turn for the nth time; it runs again."""

    n: int


class TurnRestarted(Event, frozen=True, kw_only=True, tag="turn.restarted", gc=False):
    """An ended turn runs again under a new version."""


class StepCompleted(Event, frozen=True, kw_only=True, tag="step.completed", gc=False):
    """A step of the running turn has a result, which every later attempt of this version gets.

    name: the step's, `#` and its number in the attempt. result: any JSON value.
    """

    name: str
    result: Any = None


class ApprovalRequested(Event, frozen=True, kw_only=True, tag="approval.requested", gc=False):
    """The running turn is parked until somebody decides. name: as in StepCompleted. detail: any JSON value, for people."""

    name: str
    detail: Any = None


class ApprovalDecided(Event, frozen=True, kw_only=True, tag="approval.decided", gc=False):
    """Somebody decided what the parked turn waits for: it runs again. name: as it was requested."""

    name: str
    decision: Verdict
    comment: str = ""


class StateChanged(Event, frozen=True, kw_only=True, tag="state.changed", gc=False):
    """A command changed the session's K/V state. Fields as in ReplyCompleted."""

    state: dict[str, Any]
    state_bytes: int


class SessionUpdated(Event, frozen=True, kw_only=True, tag="session.updated", gc=False):
    """What is known of the session changed: the fields that are there, None where one was cleared."""

    title: str | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET
    system: str | UnsetType | None = UNSET
    model: str | UnsetType | None = UNSET


class SessionCreated(Event, frozen=True, kw_only=True, tag="session.created", gc=False, rename={"source": "from"}):
    """The session is a fork of `source`, whose first `count` events follow as copies; through_seq is the last of them."""

    source: SessionId
    through_seq: Seq
    count: int


class ContextCompacted(Event, frozen=True, kw_only=True, tag="context.compacted", gc=False):
    """The model is shown `text` for every turn that ended at or before the event `through`."""

    through: Seq
    text: str
    model: str = ""
    usage: Usage | None = None


class SessionErased(Event, frozen=True, kw_only=True, tag="session.erased", gc=False):
    """The session is forgotten: only this remains, and nothing of it counts any more."""


AnyEvent = (
    MessageAccepted
    | MessageScheduled
    | MessageRefused
    | ReplyCompleted
    | ReplyFailed
    | ReplyCancelled
    | TurnResumed
    | TurnRestarted
    | StepCompleted
    | ApprovalRequested
    | ApprovalDecided
    | StateChanged
    | SessionUpdated
    | SessionCreated
    | ContextCompacted
    | SessionErased
)
Terminal = ReplyCompleted | ReplyFailed | ReplyCancelled
Public = ReplyCompleted | ReplyFailed | ReplyCancelled | MessageRefused
"""What chat.replies carries, unless it is a copy."""

SCHEMA: Final[dict[str, int]] = {
    "message.accepted": 1,
    "message.scheduled": 1,
    "message.refused": 1,
    "reply.completed": 1,
    "reply.failed": 1,
    "reply.cancelled": 1,
    "turn.resumed": 1,
    "turn.restarted": 1,
    "step.completed": 1,
    "approval.requested": 1,
    "approval.decided": 1,
    "state.changed": 1,
    "session.updated": 1,
    "session.created": 1,
    "context.compacted": 1,
    "session.erased": 1,
}


def is_public(event: AnyEvent) -> bool:
    """Does the event go onto chat.replies?"""
    return isinstance(event, Public) and not event.copy


def ends_turn(event: AnyEvent, turn: Seq) -> bool:
    """Is the running turn over with this event, so that its call has to end?"""
    return isinstance(event, SessionErased) or (isinstance(event, ReplyCancelled) and event.turn == turn)


def id_of(event: AnyEvent) -> MessageId:
    """The id under which the event is found from now on, empty for none: a message that came due takes over its id."""
    return event.message_id if isinstance(event, MessageAccepted) else brought_id(event)


def brought_id(event: AnyEvent) -> MessageId:
    """The id an event makes known in its session, empty when it brings none.

    A refusal registers nothing, and a message that came due was registered when it was scheduled.
    """
    if isinstance(event, MessageAccepted):
        return NO_ID if event.scheduled else event.message_id
    if isinstance(event, MessageScheduled):
        return event.message_id
    return event.command_id
