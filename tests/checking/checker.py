"""The checks, each over raw records and over what clients noted. All findings are told together, the first of each kind.

What is promised: every acknowledged message ends in exactly one terminal reply, refusal or dead letter for each
(turn, version); a second copy on chat.replies is identical; turns run in order of acceptance; seqs have no gaps; and what
a reader was shown stays.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tests.checking import fold
from tests.checking.raw import DEAD_LETTERS, EVENTS, MESSAGES, REPLIES, Raw, Topics

TERMINAL: Final = ("reply.completed", "reply.failed", "reply.cancelled")
PUBLIC: Final = (*TERMINAL, "message.refused")
NONCE: Final = re.compile(r"#(\d+) history=(\d+) ")
FINDINGS_SHOWN: Final = 12


class Sent(NamedTuple):
    """A message that was acknowledged, in the order of its sender. id: as given; place: its place, from the broker's ack."""

    session: str
    text: str
    id: str = ""
    place: tuple[int, int] | None = None


class Shown(NamedTuple):
    """An event as a reader got it over HTTP."""

    session: str
    seq: int
    value: bytes


@dataclass
class Report:
    """What there was. copies: identical duplicates on chat.replies."""

    messages: int = 0
    answered: int = 0
    refused: int = 0
    dead: int = 0
    forwarded: int = 0
    copies: int = 0
    ghosts: int = 0
    claims: int = 0
    shown: int = 0


class Checker:
    """One run's topics against what its clients noted. `findings` is empty when everything held."""

    def __init__(self, topics: Topics, sent: Sequence[Sent], shown: Iterable[Shown] = ()) -> None:
        self.findings: list[str] = []
        self.report = Report()
        self._topics = topics
        self._sent = sent
        self._truth = fold.fold(topics[EVENTS])
        self.report.ghosts, self.report.claims = self._truth.ghosts, self._truth.claims
        self.history = self._truth.sessions
        self.replies = self._without_copies()
        self._check_replies_are_the_truth()
        self._check_every_turn_ended_once()
        self._check_order()
        self._check_each_input_became_something()
        self._check_each_sent_message_is_there()
        self._check_shown(shown)

    def _find(self, finding: str) -> None:
        self.findings.append(finding)

    def _without_copies(self) -> list[Raw]:
        """chat.replies as a careful reader takes it: what has a source at or below the highest seen is dropped."""
        kept: list[Raw] = []
        first: dict[tuple[int, int], Raw] = {}
        highest: dict[int, int] = defaultdict(lambda: -1)
        for raw in self._topics[REPLIES]:
            source = int(raw.headers["source"])
            before = first.setdefault((raw.partition, source), raw)
            if before is not raw and (before.key, before.value) != (raw.key, raw.value):
                self._find(f"two different replies with source {raw.partition}/{source}: {before.value!r}, {raw.value!r}")
            if source > highest[raw.partition]:
                highest[raw.partition] = source
                kept.append(raw)
            elif before is raw:
                self._find(f"the reply with source {raw.partition}/{source} first came after a later one: {raw.value!r}")
            else:
                self.report.copies += 1
        return kept

    def _check_replies_are_the_truth(self) -> None:
        """chat.replies is exactly what chat.events says: no ghost, nothing missing, the same bytes, the same order."""
        want = {
            (event.partition, event.offset): event
            for events in self.history.values()
            for event in events
            if event.type in PUBLIC
        }
        for raw in self.replies:
            source = (raw.partition, int(raw.headers["source"]))
            event = want.pop(source, None)
            if event is None:
                self._find(f"a reply that is not in the history: source {source}, {raw.value!r}")
            elif raw.value != event.value or (raw.key or b"").decode() != event.fields["session"]:
                self._find(f"a reply that differs from its event: {raw.value!r} is {event.value!r}")
        for event in want.values():
            self._find(f"never published: {event.value!r}")

    def _check_every_turn_ended_once(self) -> None:
        """By the raw topic alone: each (session, turn, version) has exactly one end."""
        ends: dict[tuple[str, int, int], int] = defaultdict(int)
        for raw in self.replies:
            fields = json.loads(raw.value or b"")
            if fields["type"] in TERMINAL:
                ends[fields["session"], fields["turn"], fields.get("version", 1)] += 1
            self.report.refused += fields["type"] == "message.refused"
        for turn, times in ends.items():
            if times != 1:
                self._find(f"turn {turn} ended {times} times")
        asked = {
            (name, event.fields["turn"], event.fields.get("version", 1))
            for name, events in self.history.items()
            for event in events
            if event.type in ("message.accepted", "turn.restarted")
        }
        self._find_all("never answered", asked - set(ends))
        self._find_all("answered, never asked", set(ends) - asked)
        self.report.answered = len(ends)

    def _check_order(self) -> None:
        """Turns end in the order in which their messages were accepted, and each saw all that were before it.

        For sessions whose turns all completed at the first version: those that restart, fail or interrupt may differ.
        """
        by_session: dict[str, list[fold.Fields]] = defaultdict(list)
        for raw in self.replies:
            fields = json.loads(raw.value or b"")
            by_session[fields["session"]].append(fields)
        for name, replies in by_session.items():
            if any(reply["type"] != "reply.completed" or reply.get("version", 1) != 1 for reply in replies):
                continue
            turns = [reply["turn"] for reply in replies]
            accepted = [event.fields["seq"] for event in self.history[name] if event.type == "message.accepted"]
            if turns != accepted:
                self._find(f"session {name}: accepted {accepted}, answered {turns}")
            seen = [int(found[2]) for reply in replies if (found := NONCE.match(reply["text"]))]
            if seen and seen != list(range(0, 2 * len(replies), 2)):
                self._find(f"session {name}: the model saw histories of these lengths: {seen}")

    def _check_each_input_became_something(self) -> None:
        """Each record that the broker took is an event, a repetition of a known id, a dead letter, or was forwarded."""
        decided = {
            (event.partition, event.input_at[1])
            for history in self.history.values()
            for event in history
            if event.input_at is not None
        }
        dead = {(int(raw.headers["partition"]), int(raw.headers["offset"])) for raw in self._topics[DEAD_LETTERS]}
        passed_on = {
            fold.place(raw.headers["forwarded"].decode()) for raw in self._topics[MESSAGES] if "forwarded" in raw.headers
        }
        self.report.dead, self.report.forwarded = len(dead), len(passed_on)
        self.report.messages = len(self._topics[MESSAGES])
        for raw in self._topics[MESSAGES]:
            at = (raw.partition, raw.offset)
            fates = (at in decided) + (at in dead) + (at in passed_on)
            if fates > 1:
                self._find(f"the record at {at} became two things: {raw.value!r}")
            if fates == 0 and not _is_cancel(raw) and self._id_of(raw) not in self._ids(raw.key):
                self._find(f"the record at {at} came to nothing: key {raw.key!r}, {raw.value!r}")

    def _id_of(self, raw: Raw) -> str:
        if "forwarded" in raw.headers:
            first = fold.place(raw.headers["forwarded"].decode())
            made = f"k-{first[0]}-{first[1]}"
        else:
            made = f"k-{raw.partition}-{raw.offset}"
        if not (raw.value or b"").lstrip().startswith(b"{"):
            return made
        fields = json.loads(raw.value or b"")
        return fields.get("message_id") or fields.get("command_id") or made

    def _ids(self, key: bytes | None) -> set[str]:
        history = self.history.get((key or b"").decode(), [])
        return {event.fields.get("message_id", "") for event in history if event.type == "message.accepted"} | {
            event.fields.get("command_id", "") for event in history
        }

    def _check_each_sent_message_is_there(self) -> None:
        """Each acknowledged message is in its session once, with its text, in the order in which it was sent."""
        accepted: dict[str, dict[str, fold.Event]] = {}
        for name, events in self.history.items():
            accepted[name] = {e.fields["message_id"]: e for e in events if e.type == "message.accepted"}
        last: dict[str, int] = defaultdict(int)
        for sent in self._sent:
            name = sent.id or "k-{}-{}".format(*(sent.place or ()))
            event = accepted.get(sent.session, {}).get(name)
            if event is None:
                self._find(f"lost: {sent}")
                continue
            if event.fields["text"] != sent.text:
                self._find(f"{sent} was recorded as {event.value!r}")
            if event.fields["seq"] < last[sent.session]:
                self._find(f"{sent} was accepted as {event.fields['seq']}, after a later one")
            last[sent.session] = event.fields["seq"]

    def _check_shown(self, shown: Iterable[Shown]) -> None:
        for each in shown:
            self.report.shown += 1
            history = self.history.get(each.session, [])
            if each.seq > len(history):
                self._find(f"shown and gone: {each}")
            elif history[each.seq - 1].value != each.value:
                self._find(f"shown was {each}, the history has {history[each.seq - 1].value!r}")

    def _find_all(self, what: str, which: Iterable[tuple[str, int, int]]) -> None:
        for each in sorted(which):
            self._find(f"{what}: {each}")


def _is_cancel(raw: Raw) -> bool:
    """A cancel may find nothing to cancel; that is no event."""
    return b'"cancel"' in (raw.value or b"")


def check(topics: Topics, sent: Sequence[Sent], shown: Iterable[Shown] = ()) -> Checker:
    """Check everything. Raises AssertionError with the first findings."""
    checker = Checker(topics, sent, shown)
    found = checker.findings
    more = f"\n… and {len(found) - FINDINGS_SHOWN} more" if len(found) > FINDINGS_SHOWN else ""
    assert not found, f"{checker.report}\n" + "\n".join(each[:600] for each in found[:FINDINGS_SHOWN]) + more
    print(checker.report)
    return checker
