"""Which rows an event becomes. Keys are text prefixes and big-endian numbers, so that rows sort in the order they are read.

head/<session>                      the Session, msgpack: small and bounded
entry/<session>/<seq>               offset on chat.events, then the event's bytes as logged
message/<session>/<id>              seq of the event that brought the id
answer/<session>/<turn>             seq and type of the event that ended the turn last
state/<session>/<key>               one value of the K/V state, JSON
profile/<session>/<field>           title, metadata, system or model as somebody set it, JSON
rewind/<session>/<seq>              of an edit's message: the seq that it went back to
step/<session>/<turn>/<version>/<name>  seq of the event that completed the step, or asked for the approval, or decided it
due/<time>/<session>/<seq>          empty: a message that waits for its time
owed/<session>                      empty: the session owes the world something (found again after a restart)
fork/<source>/<session>             empty: the session is still being copied from source
claim/<offset>                      name of the claim under which is written from there on: record keys end in it
recent/<inverted time>/<session>    (status, user, title), msgpack: the list of sessions, newest activity first
user/<user>/<session>               empty: the sessions that a user began
failed/<session>                    empty: the session's last turn failed
ghost/<session>/<record key>        empty: keys of ignored records, for erasure
running/<session>                   local, no part of the fold: an attempt was started here
erasing/<session>                   local: entries and ghosts of an erased session may be left, whose records have to go
meta                                what was folded so far: TableMeta

Of an erased session only the head stays. What depends on the state goes with the event `session.erased`; what one event
brought goes with that event's tombstone (`undone`).
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from chatstream.core.claims import Ownership
from chatstream.core.errors import TableBroken
from chatstream.core.ids import ClaimName, MessageId, Offset, Seq, SessionId, Version
from chatstream.core.prompt import Rewind
from chatstream.core.session import Session
from chatstream.table.port import Change, View

META: Final = b"meta"
HEAD: Final = b"head/"
ENTRY: Final = b"entry/"
MESSAGE: Final = b"message/"
ANSWER: Final = b"answer/"
STATE: Final = b"state/"
PROFILE: Final = b"profile/"
REWIND: Final = b"rewind/"
STEP: Final = b"step/"
DUE: Final = b"due/"
OWED: Final = b"owed/"
FORK: Final = b"fork/"
ERASING: Final = b"erasing/"
RECENT: Final = b"recent/"
USER: Final = b"user/"
FAILED: Final = b"failed/"
GHOST: Final = b"ghost/"
CLAIM: Final = b"claim/"
RUNNING: Final = b"running/"
LOCAL: Final = (RUNNING, ERASING)
"""Prefixes of rows that are this node's own and no part of the fold."""

LAYOUT: Final = 5
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


class Due(NamedTuple):
    """A message that waits for its time, named by its message.scheduled. due: as there."""

    due: str
    session: SessionId
    seq: Seq


class Profile(msgspec.Struct, frozen=True):
    """What somebody set of a session, None where nobody did."""

    title: str | None = None
    metadata: dict[str, Any] | None = None
    system: str | None = None
    model: str | None = None


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


def profile_key(session: SessionId, field: str) -> bytes:
    return PROFILE + f"{session}/{field}".encode()


def rewind_key(session: SessionId, edit: int) -> bytes:
    return REWIND + session.encode() + b"/" + edit.to_bytes(8, "big")


def step_key(session: SessionId, turn: int, version: int, name: str) -> bytes:
    return STEP + f"{session}/{turn}/{version}/{name}".encode()


def due_key(due: str, session: SessionId, seq: int) -> bytes:
    return DUE + f"{due}/{session}/".encode() + seq.to_bytes(8, "big")


def fork_key(source: SessionId, session: SessionId) -> bytes:
    return FORK + f"{source}/{session}".encode()


def erasing_key(session: SessionId) -> bytes:
    return ERASING + session.encode()


def owed_key(session: SessionId) -> bytes:
    return OWED + session.encode()


def running_key(session: SessionId) -> bytes:
    return RUNNING + session.encode()


def running_value(turn: Seq, version: Version) -> bytes:
    """Which turn and version a `running/` row says was started."""
    return b"%d/%d" % (turn, version)


def claim_key(offset: int) -> bytes:
    return CLAIM + offset.to_bytes(8, "big")


def ghost_key(session: SessionId, record_key: bytes) -> bytes:
    return GHOST + session.encode() + b"/" + record_key


def recent_key(time: str, session: SessionId) -> bytes:
    """Newest first: every digit of the time is turned round (0 for 9, 1 for 8, …); the rest of its letters stay."""
    return RECENT + f"{inverted(time)}/{session}".encode()


def inverted(time: str) -> str:
    """A time so that later ones sort first; of such a text the time again."""
    # As bytes: a text's own translate takes four times as long, and each turn needs several.
    return time.encode().translate(_NINES).decode()


def user_key(user: str, session: SessionId) -> bytes:
    return USER + f"{user}/{session}".encode()


def failed_key(session: SessionId) -> bytes:
    return FAILED + session.encode()


_NINES: Final = bytes.maketrans(b"0123456789", b"9876543210")


def after_prefix(prefix: bytes) -> bytes:
    """The first key behind all that start with prefix (our prefixes end in `/` or a session id, never in 0xff)."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def read_claim(view: View, offset: Offset) -> tuple[Offset, ClaimName, Offset | None]:
    """The claim under which the record at `offset` was written: (where it stands, its name, where the next one stands).

    Raises TableBroken when there is none.
    """
    found = next(view.scan_back(CLAIM, claim_key(offset + 1)), None)
    if found is None:
        raise TableBroken(f"the claim of the record at offset {offset} is missing")
    later = next(view.scan(claim_key(offset + 1), after_prefix(CLAIM)), None)
    return _claim_offset(found[0]), ClaimName(found[1].decode()), None if later is None else _claim_offset(later[0])


def _claim_offset(key: bytes) -> Offset:
    return Offset(int.from_bytes(key[len(CLAIM) :], "big"))


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


def read_rewinds(view: View, session: SessionId) -> list[Rewind]:
    """Every edit of the session, in order."""
    prefix = REWIND + session.encode() + b"/"
    found = view.scan(prefix, after_prefix(prefix))
    return [Rewind(Seq(int.from_bytes(raw, "big")), Seq(int.from_bytes(key[len(prefix) :], "big"))) for key, raw in found]


def read_state(view: View, session: SessionId) -> Iterator[tuple[str, bytes]]:
    """The session's K/V state, keys in order, values as JSON."""
    prefix = STATE + session.encode() + b"/"
    return ((key[len(prefix) :].decode(), raw) for key, raw in view.scan(prefix, after_prefix(prefix)))


def read_profile(view: View, session: SessionId) -> Profile:
    """What somebody set of the session."""
    prefix = PROFILE + session.encode() + b"/"
    found = view.scan(prefix, after_prefix(prefix))
    return msgspec.convert({key[len(prefix) :].decode(): msgspec.json.decode(raw) for key, raw in found}, Profile)


def read_step(view: View, session: SessionId, turn: int, version: int, name: str) -> Seq | None:
    """The seq of the event that completed a step, or asked for or decided an approval, None when there is none yet."""
    raw = view.get(step_key(session, turn, version, name))
    return None if raw is None else Seq(int.from_bytes(raw, "big"))


def read_due(view: View, limit: int) -> list[Due]:
    """The messages that are to be sent next, in the order of their times and of one time and session in that of acceptance."""
    return [_due_of(key) for key, _ in islice(view.scan(DUE, after_prefix(DUE)), limit)]


def _due_of(key: bytes) -> Due:
    due, session = key[len(DUE) : -9].decode().split("/")
    return Due(due, SessionId(session), Seq(int.from_bytes(key[-8:], "big")))
