"""Who may write a partition, and which of its records count: the ownership fold and the ghost rule.

The rules of this file, in the order they are applied to each record of `chat.events`, the same for everyone:
- A claim counts if its epoch is higher than the current one; then it is the current one.
- Any other record is a ghost unless it carries the current claim. Ghosts are ignored for ever.
- Of what is left, position and published only grow, and an event counts only if `counts` says so.
Nothing else is looked at, so old and new code count alike.
"""

import re
from functools import lru_cache
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from chatstream.core.codec import FORMAT
from chatstream.core.errors import UnknownFormat
from chatstream.core.events import AnyEvent, SessionErased
from chatstream.core.ids import NO_INPUT, ClaimName, Epoch, InputPosition, NodeId, Offset, Seq, SessionId
from chatstream.core.session import Session

CLAIM_KEY: Final = b"#claim/"
MARK_KEY: Final = b"#mark/"
CLAIM_HEADER: Final = "claim"
"""The writer's claim, on every record but claims: `epoch-id`."""
POS_HEADER: Final = "pos"
"""Input position at the time of writing, `generation:offset`."""
PUB_HEADER: Final = "pub"
"""Offset on chat.events up to which everything public is on chat.replies."""
INPUT_HEADER: Final = "input"
"""The place of the command that caused the event, `generation:offset`."""
ERASES_HEADER: Final = "erases"
"""On tombstones: the erased session that the key's record belongs to."""

EPOCH_MAX: Final = 2**53
"""Epochs above it are no claim of ours: a stranger must not be able to end all claiming with one record."""

_COUNT: Final = msgspec.Meta(ge=0, le=EPOCH_MAX)
"""Numbers in claims: what every reader of JSON and every table row can hold."""
_DIGITS_MAX: Final = 18
"""More digits may not fit a signed 64-bit integer; such a header reads as absent, the same for every reader."""
_POSITION: Final = re.compile(rb"([0-9]{1,18}):(-1|[0-9]{1,18})")

Headers = tuple[tuple[str, bytes], ...]


class Claim(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="claim"):
    """The value of a `#claim/…` record: from here on, `node` writes this partition.

    id: fresh for every claim. format: codec.FORMAT of the writer. topics: topic name to the broker's topic id.
    generation: the input generation, raised only when an operator adopts a new chat.messages.
    """

    epoch: Annotated[Epoch, _COUNT]
    id: str
    node: NodeId
    url: str
    format: Annotated[int, _COUNT]
    topics: dict[str, str]
    partitions: Annotated[int, _COUNT]
    generation: Annotated[int, _COUNT] = 0

    @property
    def name(self) -> ClaimName:
        """As it stands in keys and headers."""
        return ClaimName(f"{self.epoch}-{self.id}")


class Ownership(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a partition's records say about its writing.

    anchor: offset of the current claim, -1 before the first. published: highest source offset known to be on
    chat.replies, -1 for none. topics and partitions: as the current claim named them.
    """

    epoch: Epoch = Epoch(0)
    claim: ClaimName = ClaimName("")
    anchor: Offset = Offset(-1)
    node: NodeId = NodeId("")
    position: InputPosition = NO_INPUT
    published: Offset = Offset(-1)
    topics: dict[str, str] = {}
    partitions: int = 0
    generation: int = 0


Verdict = Literal["claimed", "lost-claim", "ghost", "mark", "event"]
"""`lost-claim` lost its race; `event` may count, `counts` decides."""


class _AnyFormat(msgspec.Struct, frozen=True, tag_field="type", tag="claim"):
    """What a claim of every format has, also of those that this version cannot read whole."""

    epoch: Annotated[Epoch, _COUNT]
    format: Annotated[int, _COUNT]


_claim_decoder: Final = msgspec.json.Decoder(Claim)
_any_format_decoder: Final = msgspec.json.Decoder(_AnyFormat)
_claim_encoder: Final = msgspec.json.Encoder()


def claim_record(claim: Claim) -> tuple[bytes, bytes]:
    """Key and value of a claim's record. The key is unique, so that compaction never removes one for another's sake."""
    return CLAIM_KEY + claim.name.encode(), _claim_encoder.encode(claim)


def mark_key(claim: ClaimName, number: int) -> bytes:
    """Key of the claim's nth mark."""
    return MARK_KEY + f"{claim}/{number}".encode()


def event_key(session: SessionId, seq: int, claim: ClaimName) -> bytes:
    """Key of an event's record."""
    return f"{session}/{seq}/{claim}".encode()


def session_of_key(key: bytes) -> SessionId | None:
    """The session an event key belongs to, None when it is not an event key."""
    parts = key.split(b"/")
    if len(parts) != 3 or key.startswith(b"#"):
        return None
    return SessionId(parts[0].decode(errors="replace"))


def seq_of_key(key: bytes) -> Seq | None:
    """The seq in an event key, None when there is none."""
    parts = key.split(b"/")
    if len(parts) != 3 or not parts[1].isdigit() or len(parts[1]) > _DIGITS_MAX:
        return None
    return Seq(int(parts[1]))


def erased_by(key: bytes, headers: Headers) -> SessionId | None:
    """The session whose erasure a tombstone belongs to, None when it is nobody's."""
    for name, value in headers:
        if name == ERASES_HEADER:
            return SessionId(value.decode(errors="replace"))
    return session_of_key(key)


def fold_record(
    ownership: Ownership, offset: Offset, key: bytes | None, value: bytes | None, headers: Headers
) -> tuple[Ownership, Verdict]:
    """One record further. Raises UnknownFormat when a counting claim was written by a newer chatstream."""
    if key is not None and key.startswith(CLAIM_KEY):
        return _fold_claim(ownership, offset, key, value)
    if key is None or value is None or not ownership.claim:
        return ownership, "ghost"
    claim = pos = pub = None
    for name, content in headers:
        if name == CLAIM_HEADER:
            claim = content
        elif name == POS_HEADER:
            pos = content
        elif name == PUB_HEADER:
            pub = content
    if claim != ownership.claim.encode():
        return ownership, "ghost"
    if pos is not None or pub is not None:
        ownership = _advanced(ownership, pos, pub)
    return ownership, "mark" if key.startswith(MARK_KEY) else "event"


def _fold_claim(ownership: Ownership, offset: Offset, key: bytes, value: bytes | None) -> tuple[Ownership, Verdict]:
    _refuse_newer(ownership, key, value)
    claim = read_claim(key, value)
    if claim is None or claim.epoch <= ownership.epoch:
        return ownership, "lost-claim"
    position = max(ownership.position, InputPosition(claim.generation, -1))
    return (
        replace(
            ownership,
            epoch=claim.epoch,
            claim=claim.name,
            anchor=offset,
            node=claim.node,
            position=position,
            topics=claim.topics,
            partitions=claim.partitions,
            generation=claim.generation,
        ),
        "claimed",
    )


def _refuse_newer(ownership: Ownership, key: bytes, value: bytes | None) -> None:
    """Looked at first: a claim of a newer format may not decode here, and must not be taken for a stranger's record."""
    claim = _decoded(_any_format_decoder, value)
    if claim is None or claim.format <= FORMAT or claim.epoch <= ownership.epoch:
        return
    if key.startswith(CLAIM_KEY + b"%d-" % claim.epoch):
        raise UnknownFormat(f"the partition is written in format {claim.format}, this node knows {FORMAT}: upgrade this node")


def read_claim(key: bytes, value: bytes | None) -> Claim | None:
    """A claim record's claim, None for a stranger's record under such a key."""
    claim = _decoded(_claim_decoder, value)
    return claim if claim is not None and CLAIM_KEY + claim.name.encode() == key else None


_T = TypeVar("_T")


def _decoded(decoder: msgspec.json.Decoder[_T], value: bytes | None) -> _T | None:
    try:
        return decoder.decode(value or b"")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def _advanced(ownership: Ownership, pos: bytes | None, pub: bytes | None) -> Ownership:
    position = read_position(pos) or NO_INPUT
    published = _read_offset(pub)
    if position <= ownership.position:
        if published <= ownership.published:
            return ownership
        return replace(ownership, published=published)
    return replace(ownership, position=position, published=max(published, ownership.published))


def counts(session: Session, event: AnyEvent, input_at: InputPosition | None, id_known: bool) -> bool:
    """Does an event under the current claim count? id_known: the id it brings is in the session already.

    Of an erased session compaction leaves nothing but the erasure: it counts also where what was before it is gone.
    """
    in_order = event.seq == session.last_seq + 1
    return (
        (in_order or (isinstance(event, SessionErased) and event.seq > session.last_seq))
        and (input_at is None or input_at > session.last_input)
        and not id_known
        and not session.erased
    )


def write_position(position: InputPosition) -> bytes:
    """A position as it stands in headers."""
    return b"%d:%d" % position


@lru_cache(maxsize=128)  # the records of one burst carry the same position
def read_position(raw: bytes | None) -> InputPosition | None:
    """A position from a header, None when absent or ill-formed."""
    found = None if raw is None else _POSITION.fullmatch(raw)
    return None if found is None else InputPosition(int(found[1]), int(found[2]))


def _read_offset(raw: bytes | None) -> Offset:
    if raw is None or not raw.isdigit() or len(raw) > _DIGITS_MAX:
        return Offset(-1)
    return Offset(int(raw))
