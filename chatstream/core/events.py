"""What has happened to a session: records on the events topic. Past tense, never edited.

`SCHEMA` names every type with its current version; codec.py upcasts older ones. An event's JSON has `v` only above 1.
"""

from typing import Any, Final, Literal

import msgspec

from chatstream.core.ids import MessageId, Seq, SessionId, Version

Blocks = list[dict[str, Any]]
Usage = dict[str, Any]
"""What the model charged, as it told: `input_tokens`, `output_tokens` and whatever else."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True, gc=False):
    """What every event has.

    time: RFC 3339 in UTC with milliseconds, never before the session's last. turn: seq of the message answered.
    """

    session: SessionId
    seq: Seq
    time: str
    turn: Seq = Seq(0)
    version: Version = Version(1)
    message_id: MessageId = MessageId("")
    command_id: MessageId = MessageId("")
    v: int = 1


class MessageAccepted(Event, frozen=True, kw_only=True, tag="message.accepted", gc=False):
    """A user's message is in the conversation; `turn` is its own seq. `input` is its place, `generation:offset`."""

    text: str = ""
    content: Blocks | None = None
    user: str = ""
    metadata: dict[str, Any] | None = None
    on_busy: Literal["enqueue", "reject", "interrupt"] = "enqueue"
    input: str = ""


class MessageRefused(Event, frozen=True, kw_only=True, tag="message.refused", gc=False):
    """A message was turned away and its id stays free."""

    code: Literal["queue-full", "turn-in-progress"]


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
    """The turn was stopped. text: what had been said so far. by: id of the command that stopped it."""

    text: str = ""
    by: MessageId = MessageId("")
    usage: Usage | None = None


class TurnResumed(Event, frozen=True, kw_only=True, tag="turn.resumed", gc=False):
    """A process died in the middle of the turn for the nth time; it runs again."""

    n: int


class TurnRestarted(Event, frozen=True, kw_only=True, tag="turn.restarted", gc=False):
    """An ended turn runs again under a new version."""


AnyEvent = MessageAccepted | MessageRefused | ReplyCompleted | ReplyFailed | ReplyCancelled | TurnResumed | TurnRestarted
Terminal = ReplyCompleted | ReplyFailed | ReplyCancelled
Public = ReplyCompleted | ReplyFailed | ReplyCancelled | MessageRefused
"""What chat.replies carries."""

SCHEMA: Final[dict[str, int]] = {
    "message.accepted": 1,
    "message.refused": 1,
    "reply.completed": 1,
    "reply.failed": 1,
    "reply.cancelled": 1,
    "turn.resumed": 1,
    "turn.restarted": 1,
}


def brought_id(event: AnyEvent) -> MessageId:
    """The id an event makes known in its session, empty when it brings none. A refusal registers nothing."""
    if isinstance(event, MessageAccepted):
        return event.message_id
    return event.command_id
