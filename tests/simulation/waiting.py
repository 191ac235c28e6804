"""The judge's rules for what waits and what is recorded on the way: messages for later, steps, questions, summaries.

As the rest of the judge it shares no code with the product.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from tests.simulation.wrong import Wrong


class Got(NamedTuple):
    """What a responder's code was given by a step or a decision: before it goes on, that has to stand in the log for good."""

    session: str
    turn: int
    version: int
    name: str
    value: Any


class Waiting:
    """One session's. later: seq of a message.scheduled to its event; elsewhere: likewise of a fork's copies, which only
    the source sends. parked: what the running turn asked, and where. summaries: through where each reaches, of those that hold:
    an edit ends those that tell of what it takes back."""

    def __init__(self) -> None:
        self.later: dict[int, dict[str, Any]] = {}
        self.elsewhere: dict[int, dict[str, Any]] = {}
        self.sent: dict[int, int] = {}
        self.parked = ""
        self.asked_at = 0
        self.recorded: dict[tuple[int, int, str], Any] = {}
        self.summaries: list[int] = []

    def follow(self, event: dict[str, Any], owed: list[int], where: str) -> None:
        """One more event, before the turns that are owed are followed."""
        kind = event["type"]
        if event.get("replaces"):
            self.summaries = [through for through in self.summaries if through < event["replaces"]]
        if kind == "message.scheduled":
            self._pool(event)[event["seq"]] = event
        elif kind == "session.erased":
            self.later.clear()
            self.parked = ""
        elif kind in ("message.accepted", "message.refused") and event.get("scheduled"):
            self._sent(event, where)
        elif kind in ("step.completed", "approval.requested", "approval.decided"):
            self._on_the_way(event, owed, where)
        elif kind == "context.compacted":
            before = max(self.summaries, default=0)
            if not before < event["through"] < event["seq"] or not event["text"]:
                raise Wrong(f"P3: {where} summarises through {event['through']}, the one before through {before}")
            self.summaries.append(event["through"])
        elif kind.startswith("reply."):
            self._ended(event, owed, where)

    def _pool(self, event: dict[str, Any]) -> dict[int, dict[str, Any]]:
        return self.elsewhere if event.get("copy") else self.later

    def waits(self, event: dict[str, Any]) -> bool:
        """Does the event end a message that waits for its time?"""
        return event["turn"] in self._pool(event)

    def _sent(self, event: dict[str, Any], where: str) -> None:
        first = self._pool(event).pop(event["scheduled"], None)
        if first is None:
            raise Wrong(f"P2: {where} sends {event['scheduled']}, which does not wait: it was sent or taken back")
        if event["time"] < first["due"]:
            raise Wrong(f"P3: {where} sends at {event['time']} what is due at {first['due']}")
        if event["message_id"] != first["message_id"] or event.get("text", first["text"]) != first["text"]:
            raise Wrong(f"P2: {where} sends other than what was scheduled: {first}")
        if event["type"] == "message.accepted":
            self.sent[event["scheduled"]] = event["seq"]

    def _on_the_way(self, event: dict[str, Any], owed: list[int], where: str) -> None:
        kind, turn = event["type"], event["turn"]
        if owed[:1] != [turn]:
            raise Wrong(f"P3: {where} is of turn {turn}, {owed[:1]} runs")
        place = (turn, event.get("version", 1), event["name"])
        if kind == "approval.requested":
            if self.parked:
                raise Wrong(f"P3: {where} asks while {self.parked} is asked")
            self.parked, self.asked_at = event["name"], event["seq"]
            return
        if kind == "approval.decided" and self.parked != event["name"]:
            raise Wrong(f"P2: {where} decides {event['name']}, asked is {self.parked!r}")
        if place in self.recorded:
            raise Wrong(f"P2: {where} records {place} again")
        self.recorded[place] = event["decision"] if kind == "approval.decided" else event.get("result")
        if kind == "approval.decided":
            self.parked = ""

    def _ended(self, event: dict[str, Any], owed: list[int], where: str) -> None:
        self._pool(event).pop(event["turn"], None)
        if owed[:1] == [event["turn"]]:
            if self.parked and event["type"] != "reply.cancelled":
                raise Wrong(f"P3: {where} ends a turn that waits for {self.parked}")
            self.parked = ""


def judge_got(gets: Iterable[Got], recorded: Any) -> None:
    """Nothing was given to a responder's code that the log does not have. recorded: of a session, by (turn, version, name)."""
    for got in gets:
        found = recorded(got.session).get((got.turn, got.version, got.name), "nothing")
        if found != got.value:
            raise Wrong(f"P7: code was given {got}, and the log has {found!r}")
