"""What readers ask of the rows: a head, a page of the conversation, a page of events.

The rules of this file:
- Everything in one answer comes from one view; hand in a snapshot where several rows must agree.
- The cost of an answer is bounded by its page, never by the conversation: at most SCAN_FACTOR entries are looked at for
  each message asked for, and the page ends early where that is used up.
"""

from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple, assert_never

import msgspec
from msgspec.structs import replace

from chatstream.core import codec
from chatstream.core.errors import BadInput, Erased, TableBroken, UnknownFormat
from chatstream.core.events import (
    AnyEvent,
    ApprovalRequested,
    Blocks,
    MessageAccepted,
    MessageScheduled,
    ReplyCancelled,
    ReplyCompleted,
    ReplyFailed,
    Terminal,
    Usage,
)
from chatstream.core.head import find_scheduled
from chatstream.core.ids import Seq, SessionId
from chatstream.core.limits import MIB
from chatstream.core.session import Session
from chatstream.table import rows
from chatstream.table.port import View

PAGE_BYTES: Final = 4 * MIB
"""A page ends behind the event that passes it: two hundred events of the largest size would be 1.6 GB."""

SCAN_FACTOR: Final = 5
"""Entries looked at per message asked for; usually nearly every entry is a message."""

MessageStatus = Literal["scheduled", "waiting", "running", "answered", "refused", "failed", "cancelled", "completed"]
"""Of a user's message: the first seven. Of a reply: `completed`, `failed`, `cancelled`. `scheduled`: it is sent later;
`refused`: it was turned away when its time had come."""

STATUS_OF_ENDING: Final[dict[str, MessageStatus]] = {
    "reply.completed": "answered",
    "reply.failed": "failed",
    "reply.cancelled": "cancelled",
}


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One message of the conversation as readers see it, the user's or the model's.

    turn: seq of the user's message it belongs to. The fields from `user` on are there where they apply. due: when a
    message is to be sent, or was to be sent that was taken back or turned away. replaces: of an edit, the message that it
    went back to. superseded: a later version of the turn has ended. rewound: an edit took it back, the model does not see it.
    """

    seq: Seq
    role: Literal["user", "assistant"]
    text: str
    content: Blocks | None
    status: MessageStatus
    message_id: str
    time: str
    turn: Seq
    version: int
    user: str = ""
    metadata: dict[str, Any] | None = None
    model: str = ""
    stop_reason: str = ""
    usage: Usage | None = None
    attempts: int = 0
    code: str = ""
    detail: str = ""
    by: str = ""
    due: str = ""
    replaces: Seq = Seq(0)
    superseded: bool = False
    rewound: bool = False


class Conversation(NamedTuple):
    """A page of messages, oldest first.

    has_more: there are more in the direction asked for. previous: what to ask `before` for the page before this one;
    next: what to ask `after` for the page behind it; None where there is none. last_seq: of the session, then.
    """

    items: list[Item]
    has_more: bool
    previous: int | None
    next: int | None
    last_seq: Seq


class Events(NamedTuple):
    """A page of events as logged. through: seq up to which they go; last_seq: of the session, in the same view."""

    values: list[bytes]
    through: int
    last_seq: int


Shown = MessageAccepted | MessageScheduled | Terminal
"""Events that are messages of the conversation."""

Places = dict[Seq, int]


class Standing(NamedTuple):
    """Where a user's message is. position: turns before it, 0 while it runs, None when it has ended."""

    status: MessageStatus
    position: int | None


def event_of(entry: rows.Entry) -> AnyEvent:
    """Raises TableBroken for a row that this version cannot read: one of a newer version's, or a damaged one."""
    try:
        return codec.read_event(entry.value)
    except (BadInput, UnknownFormat) as error:
        raise TableBroken(f"a row cannot be read: {error}") from error


def head(view: View, session: SessionId) -> Session:
    """The session's head; last_seq is 0 for one nobody has heard of. Raises Erased, as every read here does."""
    found = rows.read_head(view, session)
    if found.erased:
        raise Erased(f"session {session} was erased")
    return found


def events(view: View, session: SessionId, after_seq: int, limit: int, most_bytes: int = PAGE_BYTES) -> Events:
    """Events behind after_seq, at most `limit` and not many more bytes than most_bytes; view: a snapshot."""
    last_seq = head(view, session).last_seq
    stop = min(after_seq + limit, last_seq)
    values: list[bytes] = []
    size_bytes = 0
    through = after_seq
    if stop > after_seq:
        for _, raw in view.scan(rows.entry_key(session, after_seq + 1), rows.entry_key(session, stop + 1)):
            values.append(rows.entry_of(raw).value)
            through += 1
            size_bytes += len(raw)
            if size_bytes >= most_bytes:
                break
    return Events(values, through, last_seq)


def conversation(
    view: View, session: SessionId, limit: int, before: int | None = None, after: int | None = None
) -> Conversation:
    """A page of messages: the newest, or those right before, or right after, a seq (give one of them). view: a snapshot."""
    now = head(view, session)
    if after is not None:
        return _forward(view, now, limit, after)
    return _backward(view, now, limit, now.last_seq + 1 if before is None else min(before, now.last_seq + 1))


def _backward(view: View, now: Session, limit: int, before: int) -> Conversation:
    lowest = max(before - limit * SCAN_FACTOR, 1)
    rows_back = view.scan_back(rows.entry_key(now.session, lowest), rows.entry_key(now.session, before)) if before > 1 else ()
    items, reached, full = _collect(view, now, rows_back, limit)
    start = items[-1].seq if full else min(reached or before, before)
    items.reverse()
    older = start > 1
    newer = bool(items) and before <= now.last_seq
    return Conversation(items, older, start if older else None, items[-1].seq if newer else None, now.last_seq)


def _forward(view: View, now: Session, limit: int, after: int) -> Conversation:
    stop = min(after + limit * SCAN_FACTOR, now.last_seq)
    start = rows.entry_key(now.session, after + 1)
    found = view.scan(start, rows.entry_key(now.session, stop + 1)) if stop > after else ()
    items, reached, full = _collect(view, now, found, limit)
    end = items[-1].seq if full else max(reached, after)
    newer = end < now.last_seq
    previous = items[0].seq if items and items[0].seq > 1 else None
    return Conversation(items, newer, previous, end if newer else None, now.last_seq)


def _collect(view: View, now: Session, found: Iterable[tuple[bytes, bytes]], limit: int) -> tuple[list[Item], int, bool]:
    """(messages in the order found, seq of the last entry looked at or 0, was the page filled?)."""
    events: list[Shown] = []
    size_bytes = 0
    reached = 0
    for _, raw in found:
        event = event_of(rows.entry_of(raw))
        reached = event.seq
        if isinstance(event, Shown) and not _was_sent(view, event):
            events.append(event)
            size_bytes += len(raw)
            if len(events) == limit or size_bytes >= PAGE_BYTES:
                break
    # Only now, for a view that has one cursor would seek its place again after each of these reads.
    places = places_of(now)
    rewinds = rows.read_rewinds(view, now.session) if now.rewinds else []
    items = [_item(view, now, places, event) for event in events]
    if rewinds:
        items = [replace(item, rewound=any(rewind.took_back(item.turn) for rewind in rewinds)) for item in items]
    return items, reached, len(items) == limit or size_bytes >= PAGE_BYTES


def _was_sent(view: View, event: Shown) -> bool:
    """Is it a scheduled message that is in the conversation by now, or, as a fork's copy, was never to be sent here?"""
    if not isinstance(event, MessageScheduled):
        return False
    return event.copy or rows.read_message_seq(view, event.session, event.message_id) != event.seq


def _item(view: View, now: Session, places: Places, event: Shown) -> Item:
    match event:
        case MessageAccepted():
            return user_item(event, standing(view, now.session, places, event.seq).status)
        case MessageScheduled():
            return user_item(event, scheduled_status(view, now, event.seq))
        case _:
            ending = rows.read_ending(view, now.session, event.turn)
            return replace(reply_item(event), superseded=ending is not None and ending.seq != event.seq)


def scheduled_status(view: View, now: Session, seq: Seq) -> Literal["scheduled", "cancelled", "refused"]:
    """Where a message is that was scheduled under seq and was not sent."""
    if find_scheduled(now, seq) is not None:
        return "scheduled"
    return "refused" if rows.read_ending(view, now.session, seq) is None else "cancelled"


def approval(view: View, now: Session) -> ApprovalRequested | None:
    """What the session's parked turn waits for, None when none is parked."""
    running = now.running
    if running is None or not running.parked:
        return None
    seq = rows.read_step(view, now.session, running.turn, running.version, running.parked)
    entry = None if seq is None else rows.read_entry(view, now.session, seq)
    event = None if entry is None else event_of(entry)
    return event if isinstance(event, ApprovalRequested) else None


def user_item(event: MessageAccepted | MessageScheduled, status: MessageStatus) -> Item:
    """A user's message, standing as `status`."""
    return Item(
        seq=event.seq,
        role="user",
        text=event.text,
        content=event.content,
        status=status,
        message_id=event.message_id,
        time=event.time,
        turn=event.seq,
        version=event.version,
        user=event.user,
        metadata=event.metadata,
        due=event.due if isinstance(event, MessageScheduled) else "",
        replaces=event.replaces if isinstance(event, MessageAccepted) else Seq(0),
    )


def reply_item(event: Terminal) -> Item:
    """A reply: whole, what there was of it when it was cancelled, or why there is none."""
    match event:
        case ReplyCompleted():
            return replace(
                _bare_reply(event, event.text, "completed"),
                content=event.content,
                model=event.model,
                stop_reason=event.stop_reason,
                usage=event.usage,
                attempts=event.attempts,
            )
        case ReplyFailed():
            shown = _bare_reply(event, "", "failed")
            return replace(shown, code=event.code, detail=event.detail, attempts=event.attempts)
        case ReplyCancelled():
            return replace(_bare_reply(event, event.text, "cancelled"), usage=event.usage, by=event.by)
        case _:
            assert_never(event)


def _bare_reply(event: Terminal, text: str, status: MessageStatus) -> Item:
    return Item(
        seq=event.seq,
        role="assistant",
        text=text,
        content=None,
        status=status,
        message_id=event.message_id,
        time=event.time,
        turn=event.turn,
        version=event.version,
    )


def places_of(now: Session) -> Places:
    """Turns that are still owed, with how many are before them: 0 for the running one."""
    places: Places = {owed.turn: place for place, owed in enumerate(now.queue, start=1)}
    if now.running is not None:
        places[now.running.turn] = 0
    return places


def standing(view: View, session: SessionId, places: Places, turn: Seq) -> Standing:
    """Where a user's message is: what the head says of it, else how it ended."""
    place = places.get(turn)
    if place is not None:
        return Standing("waiting" if place else "running", place)
    ending = rows.read_ending(view, session, turn)
    # Neither owed nor ended is what an alarm is about; readers are told that it will not be answered.
    return Standing("failed" if ending is None else STATUS_OF_ENDING[ending.type], None)
