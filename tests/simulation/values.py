"""The judge's rules for a session's K/V state: which values the log makes, and which commands may be followed over them.

As the rest of the judge it shares no code with the product.
"""

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from tests.simulation.wrong import Wrong

if TYPE_CHECKING:
    from tests.simulation.oracle import Story

Held = dict[str, bytes]
"""Key to value, as JSON."""

NOTES: Final = "notes"
"""The key under which the scripted model writes down what it was asked."""
SWAPPED: Final = ("a", "b")
"""The key that the scripted model sets in one reply, and the one that it clears in the same."""


def as_json(value: Any) -> bytes:
    """A value as the product writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def tag(raw: bytes) -> str:
    """What a write over this value names."""
    return hashlib.blake2b(raw, digest_size=12).hexdigest()


def size_bytes(held: Held) -> int:
    """What all of it counts."""
    return sum(len(key.encode()) + len(raw) for key, raw in held.items())


def changed(held: Held, changes: dict[str, Any]) -> Held:
    """With these changes: nothing, which JSON calls null, clears."""
    after = held | {key: as_json(value) for key, value in changes.items()}
    return {key: raw for key, raw in after.items() if raw != b"null"}


class Values:
    """One session's, as far as it was followed."""

    def __init__(self) -> None:
        self.held: Held = {}

    def follow(self, event: dict[str, Any], where: str) -> None:
        """One more event. A fork's copies bring it what they brought its source."""
        if event["type"] == "session.erased":
            self.held = {}
        changes = event.get("state")
        if event["type"] == "state.changed" and (changes is None or len(changes) != 1):
            raise Wrong(f"P1: {where} changes {changes}, and a command names one key")
        if changes is not None:
            self.held = changed(self.held, changes)
            if event["state_bytes"] != size_bytes(self.held):
                raise Wrong(f"P4: {where} says {event['state_bytes']} bytes of state, it is {size_bytes(self.held)}")


def may_write(held: Held, key: str, value: Any, if_match: str, most_bytes: int) -> bool:
    """Could a command have put the value there, None to clear it, over what is held?"""
    there = held.get(key)
    if if_match and (there is None or if_match not in ("*", tag(there))):
        return False
    before, after = size_bytes(held), size_bytes(changed(held, {key: value}))
    return after <= most_bytes or after <= before


def judge_reply(story: "Story", event: dict[str, Any]) -> None:
    """Does a reply bring the state that its script sets, over what was held while the turn ran? Raises Wrong."""
    number, script = story.told[event["turn"] - 1].event["text"].split()[:2]
    since = range(event["turn"] - 1, event["seq"] - 1)
    wanted: list[dict[str, Any] | None] = [None]
    if script == "note":
        wanted = [{NOTES: noted(json.loads(story.told[at].held.get(NOTES, b"[]")), number)} for at in since]
    elif script == "swap":
        wanted = [{SWAPPED[0]: number, SWAPPED[1]: None}]
    if event.get("state") not in wanted:
        raise Wrong(f"P3: {event} brings the state {event.get('state')} and not one of {wanted}")


def noted(notes: Any, number: str) -> list[Any]:
    """The model's notes with one more; what somebody else put there and is no list it writes over."""
    return [*notes, number] if isinstance(notes, list) else [number]
