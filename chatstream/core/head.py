"""A session's head: all that deciding and evolving need to know of it."""

from typing import Literal

import msgspec

from chatstream.core.ids import NO_ID, NO_INPUT, InputPosition, MessageId, Seq, SessionId, Version


class Owed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A turn that waits to run. dropped_by: the id of the edit that took it back; it only has to be ended."""

    turn: Seq
    version: Version = Version(1)
    message_id: MessageId = NO_ID
    dropped_by: MessageId = NO_ID


class Running(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The turn at the head of the queue.

    interrupted_by: the id that asked for its end, empty when none did. parked: the approval it waits for, empty for none.
    """

    turn: Seq
    version: Version = Version(1)
    message_id: MessageId = NO_ID
    interrupted_by: MessageId = NO_ID
    resumed: int = 0
    parked: str = ""


class Scheduled(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message that waits for its time. seq: of its message.scheduled. due: RFC 3339, as an event's time."""

    seq: Seq
    due: str
    message_id: MessageId


class Ended(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How a turn ended last."""

    turn: Seq
    version: Version
    message_id: MessageId
    how: Literal["completed", "failed", "cancelled"]


class Copying(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A fork that is not whole yet. through: the last seq to be copied of source; seq n there is n + 1 here."""

    source: SessionId
    through: Seq


class Session(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A session's head: all that deciding and evolving need, a few hundred bytes.

    first: how many at the front of the queue jumped it (interrupting or restarted turns).
    failed: the last ended turn failed. tokens: as the model told, summed. rewinds: how many edits there were.
    """

    session: SessionId
    last_seq: Seq = Seq(0)
    last_input: InputPosition = NO_INPUT
    running: Running | None = None
    queue: tuple[Owed, ...] = ()
    first: int = 0
    messages: int = 0
    replies: int = 0
    failed: bool = False
    erased: bool = False
    created: str = ""
    updated: str = ""
    title: str = ""
    user: str = ""
    state_bytes: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    scheduled: tuple[Scheduled, ...] = ()
    ended: Ended | None = None
    copying: Copying | None = None
    rewinds: int = 0


def is_busy(session: Session) -> bool:
    """Is something under way in the session, or does it wait for its time, for somebody, or for the rest of its copy?"""
    return session.running is not None or bool(session.scheduled) or session.copying is not None


def find_owed(session: Session, turn: Seq) -> Owed | Running | None:
    """The running or waiting turn of that number, None when it is owed nothing."""
    if session.running is not None and session.running.turn == turn:
        return session.running
    return next((owed for owed in session.queue if owed.turn == turn), None)


def find_scheduled(session: Session, seq: Seq) -> Scheduled | None:
    """The message of that number that waits for its time, None when there is none."""
    return next((one for one in session.scheduled if one.seq == seq), None)
