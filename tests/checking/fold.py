"""Which events count, in the simplest way: written from the protocol's text, sharing no line with the product.

A claim counts if its epoch is higher than the one before. A record counts only under the claim that holds where it
stands, if its seq is the next of its session, its input is beyond the session's last and its id is new there.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final

from tests.checking.raw import Raw

Fields = dict[str, Any]

EPOCH_MAX: Final = 2**53
"""A higher number is no epoch."""


@dataclass(frozen=True)
class Event:
    """An event that counts, and where it stands on chat.events."""

    partition: int
    offset: int
    value: bytes
    fields: Fields
    input_at: tuple[int, int] | None
    """(generation, offset) of the command that caused it."""

    @property
    def type(self) -> str:
        return str(self.fields["type"])


@dataclass
class _Session:
    events: list[Event] = field(default_factory=list)
    last_input: tuple[int, int] = (0, -1)
    ids: set[str] = field(default_factory=set)


@dataclass
class Truth:
    """What chat.events says. sessions: events in seq order. ghosts, claims: how many records of the kind there were."""

    sessions: dict[str, list[Event]]
    ghosts: int
    claims: int


def fold(records: list[Raw]) -> Truth:
    """The truth of all partitions; records by partition and offset."""
    sessions: dict[str, _Session] = {}
    epochs: dict[int, tuple[int, str]] = {}
    ghosts = claims = 0
    for raw in records:
        key = (raw.key or b"").decode(errors="replace")
        epoch, claim = epochs.get(raw.partition, (0, ""))
        if key.startswith("#claim/"):
            found = _claim(raw.value)
            if found is not None and found[0] > epoch and key == f"#claim/{found[1]}":
                epochs[raw.partition] = found
                claims += 1
        elif raw.headers.get("claim", b"") != claim.encode() or not claim or raw.value is None:
            ghosts += 1
        elif not key.startswith("#mark/"):
            session = sessions.setdefault(key.split("/")[0], _Session())
            ghosts += not _take(session, raw, key)
    return Truth({name: session.events for name, session in sessions.items()}, ghosts, claims)


def _claim(value: bytes | None) -> tuple[int, str] | None:
    """Epoch and name of a claim; None for what a stranger wrote under such a key."""
    try:
        fields = json.loads(value or b"")
        epoch, name = fields["epoch"], f"{fields['epoch']}-{fields['id']}"
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return (epoch, name) if type(epoch) is int and 0 <= epoch <= EPOCH_MAX else None


def _take(session: _Session, raw: Raw, key: str) -> bool:
    assert raw.value is not None
    fields = json.loads(raw.value)
    assert key.split("/")[:2] == [fields["session"], str(fields["seq"])], f"the key {key} is not its event's"
    input_at = place(raw.headers["input"].decode()) if "input" in raw.headers else None
    brought = fields.get("message_id" if fields["type"] == "message.accepted" else "command_id", "")
    is_next = fields["seq"] == len(session.events) + 1
    if not is_next or (input_at is not None and input_at <= session.last_input) or brought in session.ids:
        return False
    session.events.append(Event(raw.partition, raw.offset, raw.value, fields, input_at))
    session.last_input = max(session.last_input, input_at or session.last_input)
    if brought:
        session.ids.add(brought)
    return True


def place(text: str) -> tuple[int, int]:
    """`3:17` or `3/17` as numbers."""
    first, _, second = text.replace("/", ":").partition(":")
    return int(first), int(second)
