"""The judge's rules for what goes back: turns that run again, edits, forks and erasures.

As the rest of the judge it shares no code with the product.
"""

from typing import Any

from tests.simulation.wrong import Wrong

TERMINAL = ("reply.completed", "reply.failed", "reply.cancelled")
MOVED = ("turn", "replaces", "scheduled", "through")
"""Fields that name an event: in a fork each is one more."""


class Past:
    """One session's. ends: turn to how it ended last; last: the turn that did. edits: (replaced, seq of the edit).

    dropped: turns that an edit took back while they waited. copying: what is still to be copied of which session.
    whole_at: seq of a fork's last copy.
    """

    def __init__(self) -> None:
        self.messages: set[int] = set()
        self.versions: dict[int, int] = {}
        self.ends: dict[int, str] = {}
        self.last = 0
        self.edits: list[tuple[int, int]] = []
        self.dropped: set[int] = set()
        self.copying: tuple[str, int] | None = None
        self.whole_at = 0
        self.erased_at = -1

    def took_back(self, turn: int, before: int) -> bool:
        """Was the turn taken back by an edit that stands at or before `before`?"""
        return any(replaced <= turn < edit <= before for replaced, edit in self.edits)

    def follow(self, event: dict[str, Any], owed: list[int], offset: int, where: str) -> None:
        """One more event, before the turns that are owed are followed."""
        kind = event["type"]
        if self.erased_at >= 0:
            raise Wrong(f"P2: {where} follows the erasure of its session")
        if (self.copying is not None) != event.get("copy", False):
            raise Wrong(f"P6: {where} is {'no copy' if self.copying else 'a copy'}, to be copied is {self.copying}")
        if kind == "message.accepted":
            self._accepted(event, owed, where)
        elif kind == "turn.restarted":
            self._restarted(event, owed, where)
        elif kind in TERMINAL and event["turn"] in owed:
            self._ended(event, where)
        elif kind == "session.created" and not event.get("copy"):
            if event["seq"] != 1 or event["count"] != event["through_seq"]:
                raise Wrong(f"P6: {where} makes a fork of {event['count']} events, through {event['through_seq']}")
            self.copying, self.whole_at = (event["from"], event["through_seq"]), event["count"] + 1
        elif kind == "session.erased":
            self.erased_at = offset
        if event["seq"] == self.whole_at:
            self.copying = None

    def _accepted(self, event: dict[str, Any], owed: list[int], where: str) -> None:
        self.messages.add(event["seq"])
        replaced = event.get("replaces", 0)
        if replaced:
            if replaced not in self.messages or self.took_back(replaced, event["seq"]):
                raise Wrong(f"P3: {where} goes back to {replaced}, which is no message any more")
            self.dropped |= {turn for turn in owed[1:] if turn >= replaced}
            self.edits.append((replaced, event["seq"]))

    def _restarted(self, event: dict[str, Any], owed: list[int], where: str) -> None:
        turn = event["turn"]
        if turn in owed or turn not in self.ends or self.took_back(turn, event["seq"]):
            raise Wrong(f"P3: {where} runs turn {turn} again; owed: {owed}, ended: {self.ends}, edits: {self.edits}")
        self.versions[turn] = self.versions.get(turn, 1) + 1
        if event.get("version", 1) != self.versions[turn]:
            raise Wrong(f"P2: {where} is version {event.get('version', 1)} of turn {turn}, and not {self.versions[turn]}")

    def _ended(self, event: dict[str, Any], where: str) -> None:
        turn = event["turn"]
        if event.get("version", 1) != self.versions.get(turn, 1):
            raise Wrong(f"P2: {where} ends a version of turn {turn} that is not {self.versions.get(turn, 1)}")
        if turn in self.dropped and event["type"] != "reply.cancelled":
            raise Wrong(f"P3: {where} answers turn {turn}, which an edit had taken back while it waited")
        self.dropped.discard(turn)
        self.ends[turn], self.last = event["type"], turn


def is_copy(event: dict[str, Any], source: dict[str, Any]) -> bool:
    """Is it the source's event, as a fork has it?"""
    moved = {name: source[name] + 1 for name in MOVED if source.get(name)}
    wanted = source | moved | {"session": event["session"], "seq": source["seq"] + 1, "copy": True}
    return _told(event) == _told(wanted) and "command_id" not in event


def _told(event: dict[str, Any]) -> dict[str, Any]:
    """What an event says; a default may be written or not."""
    return {name: value for name, value in event.items() if name != "command_id" and (name, value) != ("on_busy", "enqueue")}
