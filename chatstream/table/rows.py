"""Which rows an event becomes. Keys are text prefixes and big-endian numbers, so that rows sort in the order they are read.

head/<session>                      the Session, msgpack: small and bounded
entry/<session>/<seq>               offset on chat.events, then the event's bytes as logged
message/<session>/<id>              seq of the event that brought the id
answer/<session>/<turn>             seq and type of the event that ended the turn last
state/<session>/<key>               one value of the K/V state, JSON
owed/<session>                      empty: the session owes the world something (found again after a restart)
recent/<inverted time>/<session>    empty: the listing, newest activity first
ghost/<session>/<record key>        empty: keys of ignored records, for erasure
running/<session>                   local, no part of the fold: an attempt was started here
meta                                what was folded so far: TableMeta
"""

from typing import Final

import msgspec

from chatstream.core.claims import Ownership
from chatstream.core.codec import type_name
from chatstream.core.errors import TableBroken
from chatstream.core.events import AnyEvent, ReplyCompleted, Terminal, brought_id
from chatstream.core.ids import MessageId, Offset, Seq, SessionId, Version
from chatstream.core.session import Session
from chatstream.table.port import Change, View

META: Final = b"meta"
HEAD: Final = b"head/"
ENTRY: Final = b"entry/"
MESSAGE: Final = b"message/"
ANSWER: Final = b"answer/"
STATE: Final = b"state/"
OWED: Final = b"owed/"
RECENT: Final = b"recent/"
GHOST: Final = b"ghost/"
RUNNING: Final = b"running/"
LOCAL: Final = (RUNNING,)
"""Prefixes of rows that are this node's own and no part of the fold."""

LAYOUT: Final = 1
"""Raised whenever rows change their meaning: a table of another layout is folded again from the log."""


class TableMeta(msgspec.Struct, frozen=True, array_like=True):
    """How far the table is. next_offset: of chat.events, the first not folded yet."""

    layout: int
    next_offset: Offset
    ownership: Ownership


class Entry(msgspec.Struct, frozen=True, gc=False):
    """An event's row. offset: where it stands on chat.events. value: its JSON as logged."""

    offset: Offset
    value: bytes


class Ending(msgspec.Struct, frozen=True):
    """How a turn ended last. seq: of that event; type: its short name, such as `reply.completed`."""

    seq: Seq
    type: str


_encoder: Final = msgspec.msgpack.Encoder()
_head_decoder: Final = msgspec.msgpack.Decoder(Session)
_meta_decoder: Final = msgspec.msgpack.Decoder(TableMeta)


def head_key(session: SessionId) -> bytes:
    return HEAD + session.encode()


def entry_key(session: SessionId, seq: int) -> bytes:
    return ENTRY + session.encode() + b"/" + seq.to_bytes(8, "big")


def message_key(session: SessionId, message_id: MessageId) -> bytes:
    return MESSAGE + f"{session}/{message_id}".encode()


def answer_key(session: SessionId, turn: int) -> bytes:
    return ANSWER + session.encode() + b"/" + turn.to_bytes(8, "big")


def state_key(session: SessionId, key: str) -> bytes:
    return STATE + f"{session}/{key}".encode()


def owed_key(session: SessionId) -> bytes:
    return OWED + session.encode()


def running_key(session: SessionId) -> bytes:
    return RUNNING + session.encode()


def running_value(turn: Seq, version: Version) -> bytes:
    """Which turn and version a `running/` row says was started."""
    return b"%d/%d" % (turn, version)


def ghost_key(session: SessionId, record_key: bytes) -> bytes:
    return GHOST + session.encode() + b"/" + record_key


def recent_key(time: str, session: SessionId) -> bytes:
    """Newest first: every digit of the time is turned round (0 for 9, 1 for 8, …); the rest of its letters stay."""
    return RECENT + time.translate(_NINES).encode() + b"/" + session.encode()


_NINES: Final = str.maketrans("0123456789", "9876543210")


def after_prefix(prefix: bytes) -> bytes:
    """The first key behind all that start with prefix (our prefixes end in `/` or a session id, never in 0xff)."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def changes(before: Session, event: AnyEvent, value: bytes, offset: Offset, after: Session) -> list[Change]:
    """The rows of one counting event, the head left out: of several events in a batch only the last head is written."""
    session = event.session
    rows: list[Change] = [(entry_key(session, event.seq), offset.to_bytes(8, "big") + value)]
    brought = brought_id(event)
    if brought:
        rows.append((message_key(session, brought), event.seq.to_bytes(8, "big")))
    if isinstance(event, Terminal):
        rows.append((answer_key(session, event.turn), event.seq.to_bytes(8, "big") + type_name(event).encode()))
    if before.running is None and after.running is not None:
        rows.append((owed_key(session), b""))
    if before.running is not None and after.running is None:
        rows.append((owed_key(session), None))
    if before.updated != after.updated:
        if before.updated:
            rows.append((recent_key(before.updated, session), None))
        rows.append((recent_key(after.updated, session), b""))
    if isinstance(event, ReplyCompleted) and event.state:
        rows += [(state_key(session, key), _json(value)) for key, value in event.state.items()]
    return rows


def _json(value: object) -> bytes | None:
    return None if value is None else msgspec.json.encode(value)


def write_head(session: Session) -> Change:
    """The head's row."""
    return head_key(session.session), _encoder.encode(session)


def write_meta(meta: TableMeta) -> Change:
    """The meta row."""
    return META, _encoder.encode(meta)


def read_meta(view: View) -> TableMeta | None:
    """How far the table is; None for an empty table or one of another layout, which has to be folded again."""
    raw = view.get(META)
    if raw is None:
        return None
    try:
        meta = _meta_decoder.decode(raw)
    except msgspec.DecodeError:
        return None
    return meta if meta.layout == LAYOUT else None


def read_head(view: View, session: SessionId) -> Session:
    """The session's head; a session nobody has heard of has last_seq 0. Raises TableBroken for a damaged row."""
    raw = view.get(head_key(session))
    try:
        return Session(session) if raw is None else _head_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TableBroken(f"the head of {session} cannot be read: {error}") from error


def read_entry(view: View, session: SessionId, seq: int) -> Entry | None:
    """One event's row."""
    raw = view.get(entry_key(session, seq))
    return None if raw is None else entry_of(raw)


def entry_of(raw: bytes) -> Entry:
    """An entry row's value taken apart."""
    return Entry(Offset(int.from_bytes(raw[:8], "big")), raw[8:])


def read_message_seq(view: View, session: SessionId, message_id: MessageId) -> Seq | None:
    """The seq of the event that brought an id, None for an unknown id."""
    raw = view.get(message_key(session, message_id))
    return None if raw is None else Seq(int.from_bytes(raw, "big"))


def read_ending(view: View, session: SessionId, turn: int) -> Ending | None:
    """How a turn ended last, None while it has never ended: found at the same cost however far behind it that is."""
    raw = view.get(answer_key(session, turn))
    return None if raw is None else Ending(Seq(int.from_bytes(raw[:8], "big")), raw[8:].decode())
