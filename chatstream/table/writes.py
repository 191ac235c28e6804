"""Which rows an event writes, and which go with it when its session is erased."""

from typing import Any, Final

import msgspec
from msgspec import UNSET

from chatstream.core.codec import type_name
from chatstream.core.events import (
    AnyEvent,
    ApprovalDecided,
    ApprovalRequested,
    MessageAccepted,
    ReplyCancelled,
    ReplyCompleted,
    ReplyFailed,
    SessionErased,
    SessionUpdated,
    StateChanged,
    StepCompleted,
    id_of,
)
from chatstream.core.ids import Offset, SessionId
from chatstream.core.session import Session, status
from chatstream.table import rows
from chatstream.table.port import Change

_encoder: Final = msgspec.msgpack.Encoder()


def brought(event: AnyEvent, value: bytes, offset: Offset, after: Session) -> list[Change]:
    """The rows that are one counting event's own, whatever else is in its batch. after: the session with it."""
    found = _named(event)
    if not after.erased:
        session = event.session
        found.append((rows.entry_key(session, event.seq), offset.to_bytes(8, "big") + value))
        named = id_of(event)
        if named:
            found.append((rows.message_key(session, named), event.seq.to_bytes(8, "big")))
    return found


def moved(before: Session, after: Session) -> list[Change]:
    """The rows that say where a session stands, the head left out: once for however many events lie between the two."""
    session = after.session
    found: list[Change] = []
    owed, owes = _owes(before), _owes(after)
    if owed != owes:
        found.append((rows.owed_key(session), b"" if owes else None))
    if before.scheduled is not after.scheduled:
        found += _due_changes(before, after)
    if before.updated and (before.updated != after.updated or after.erased):
        found.append((rows.recent_key(before.updated, session), None))
    if not after.erased:
        found.append((rows.recent_key(after.updated, session), _encoder.encode((status(after), after.user, after.title))))
    if before.user != after.user:
        found.append((rows.user_key(after.user or before.user, session), b"" if after.user else None))
    if before.failed != after.failed:
        found.append((rows.failed_key(session), b"" if after.failed else None))
    if before.copying is not after.copying:
        found += _fork_changes(before, after)
    return found


def undone(event: AnyEvent) -> list[Change]:
    """The removal of every row that one event of an erased session brought."""
    keys = [rows.entry_key(event.session, event.seq), *(key for key, _ in _named(event))]
    named = id_of(event)
    if named:
        keys.append(rows.message_key(event.session, named))
    return [(key, None) for key in keys]


def _named(event: AnyEvent) -> list[Change]:
    """The rows that are this event's alone, whatever was before it."""
    session, seq = event.session, event.seq.to_bytes(8, "big")
    match event:
        case ReplyCompleted():
            ended = (rows.answer_key(session, event.turn), seq + type_name(event).encode())
            return [ended, *_state_changes(session, event.state)] if event.state else [ended]
        case ReplyFailed() | ReplyCancelled():
            return [(rows.answer_key(session, event.turn), seq + type_name(event).encode())]
        case MessageAccepted():
            replaced = event.replaces.to_bytes(8, "big")
            return [(rows.rewind_key(session, event.seq), replaced)] if event.replaces else []
        case StateChanged():
            return _state_changes(session, event.state)
        case StepCompleted() | ApprovalRequested() | ApprovalDecided():
            return [(rows.step_key(session, event.turn, event.version, event.name), seq)]
        case SessionUpdated():
            return _profile_changes(event)
        case SessionErased():
            return [(rows.erasing_key(session), b"")]
        case _:
            return []


def _owes(session: Session) -> bool:
    """Is there something to be found again after a restart?"""
    return session.running is not None or session.copying is not None


def _state_changes(session: SessionId, state: dict[str, Any]) -> list[Change]:
    return [(rows.state_key(session, key), _json(value)) for key, value in state.items()]


def _due_changes(before: Session, after: Session) -> list[Change]:
    gone, come = set(before.scheduled) - set(after.scheduled), set(after.scheduled) - set(before.scheduled)
    changed: list[Change] = [(rows.due_key(one.due, before.session, one.seq), None) for one in gone]
    return changed + [(rows.due_key(one.due, after.session, one.seq), b"") for one in come]


def _profile_changes(event: SessionUpdated) -> list[Change]:
    given = (("title", event.title), ("metadata", event.metadata), ("system", event.system), ("model", event.model))
    return [(rows.profile_key(event.session, field), _json(value)) for field, value in given if value is not UNSET]


def _fork_changes(before: Session, after: Session) -> list[Change]:
    if after.copying is not None:
        return [(rows.fork_key(after.copying.source, after.session), b"")]
    return [] if before.copying is None else [(rows.fork_key(before.copying.source, before.session), None)]


def _json(value: object) -> bytes | None:
    return None if value is None else msgspec.json.encode(value)
