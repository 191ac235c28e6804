"""Names of things as types of their own, and what a well-formed one is."""

import re
from typing import Final, NamedTuple, NewType

from chatstream.core.errors import BadId

SessionId = NewType("SessionId", str)
MessageId = NewType("MessageId", str)
"""Names a command; `message_id` and `command_id` share this one namespace per session."""
NO_ID: Final = MessageId("")
Seq = NewType("Seq", int)
"""An event's number in its session: 1, 2, 3, no gaps. 0 means "none yet"."""
Version = NewType("Version", int)
"""Which run of a turn: 1 for the first, one more with every retry or regenerate."""
PartitionNo = NewType("PartitionNo", int)
Offset = NewType("Offset", int)
"""Kafka's offset, nothing else."""
Epoch = NewType("Epoch", int)
ClaimName = NewType("ClaimName", str)
"""`epoch-id`, as it stands in keys and headers: `6-1f0a9c3b77de`."""
NodeId = NewType("NodeId", str)

ID_CHARS_MAX: Final = 200
RESERVED_PREFIX: Final = "k-"
"""Ids we make ourselves from a place in the log start so; nobody else's may."""

_EATEN = (".", "..")
"""By every HTTP client that normalises paths."""
_ID = re.compile(rf"[A-Za-z0-9._:@~-]{{1,{ID_CHARS_MAX}}}")


class InputPosition(NamedTuple):
    """A place on `chat.messages`, compared as (generation, offset).

    The generation grows only when an operator adopts a new `chat.messages`, whose offsets start again.
    """

    generation: int
    offset: int


NO_INPUT: Final = InputPosition(0, -1)
"""Before the first command."""


def session_id(raw: str) -> SessionId:
    """A session id from outside. Raises BadId unless it is 1 to 200 of `A-Za-z0-9._:@~-` and not `.` or `..`."""
    return SessionId(_well_formed(raw, "session id"))


def message_id(raw: str) -> MessageId:
    """A message or command id from outside. Raises BadId as session_id does, and for the reserved prefix `k-`."""
    if raw.startswith(RESERVED_PREFIX):
        raise BadId(f"ids that start with {RESERVED_PREFIX!r} are made by chatstream itself")
    return MessageId(_well_formed(raw, "message id"))


def known_id(raw: str) -> MessageId:
    """An id that names an earlier command, ours included. Raises BadId as session_id does."""
    return MessageId(_well_formed(raw, "message id"))


def state_key(raw: str) -> str:
    """A key of the session's K/V state: 1 to 200 printable characters without `/`, not `.` or `..`. Raises BadId."""
    if not raw or len(raw) > ID_CHARS_MAX or "/" in raw or not raw.isprintable() or raw in _EATEN:
        raise BadId(f"a state key is 1 to {ID_CHARS_MAX} printable characters without '/', and not '.' or '..'")
    return raw


def name_of(raw: str) -> str:
    """The name of a step or an approval. Raises BadId as session_id does."""
    return _well_formed(raw, "name")


def place_id(partition: int, offset: int, generation: int = 0) -> MessageId:
    """The id of a command that brought none: its place on the inbound topic, the same on every reading.

    The generation stands in it once there was more than one, since offsets start again with each.
    """
    place = f"{generation}.{offset}" if generation else f"{offset}"
    return MessageId(f"{RESERVED_PREFIX}{partition}-{place}")


def _well_formed(raw: str, what: str) -> str:
    if _ID.fullmatch(raw) is None or raw in _EATEN:
        raise BadId(f"a {what} is 1 to {ID_CHARS_MAX} characters of A-Z a-z 0-9 . _ : @ ~ - and not '.' or '..'")
    return raw
