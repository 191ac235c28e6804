"""The judge: reads the raw topics in the simplest way, with its own rules, and says what is wrong with them.

It shares no code with the product's fold: JSON by the standard library, headers by hand, and the rules spelled out anew.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from chatstream.core.ids import PartitionNo
from chatstream.core.limits import Limits
from chatstream.core.partitioner import partition_of
from chatstream.log.port import Record, Topic
from chatstream.log.simulated_broker import SimulatedBroker
from tests.simulation.idling import judge_idle
from tests.simulation.past import TERMINAL, Past, is_copy
from tests.simulation.understanding import Command, could_follow, is_session, judge_decision, judge_edit, understand
from tests.simulation.values import Held, Values
from tests.simulation.waiting import Waiting
from tests.simulation.wrong import Wrong as Wrong

PUBLIC = (*TERMINAL, "message.refused")


class Told(NamedTuple):
    """An event that counts. input: offset of the command that caused it, -1 for none. owed: turns owed after it, in order;
    later: messages that wait for their time then; parked: what the running turn waits for then; held: the K/V state then."""

    offset: int
    value: bytes
    event: dict[str, Any]
    input: int
    owed: tuple[int, ...]
    later: tuple[int, ...]
    parked: str
    held: Held


class Story:
    """One session: its events that count, the ids it knows, the turns it owes in the order in which they have to end."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.ids: dict[str, int] = {}
        self.last_input = -1
        self.owed: list[int] = []
        self.jumpers = 0
        self.waiting = Waiting()
        self.past = Past()
        self.values = Values()

    @property
    def erased(self) -> bool:
        """Is it forgotten?"""
        return self.past.erased_at >= 0


class Reading:
    """One partition of chat.events, folded as far as `next_offset`. gone: sessions of which compaction may have removed
    events, so that nothing can be said of them."""

    def __init__(self, number: PartitionNo, gone: frozenset[str] = frozenset()) -> None:
        self.number = number
        self._gone = gone
        self.next_offset = 0
        self.epoch = 0
        self.claim = b""
        self.position = -1
        self.published = -1
        self.stories: dict[str, Story] = {}
        self.public: list[Told] = []
        self.by_input: dict[int, Told] = {}
        self.ghosts = 0

    def read(self, records: Sequence[Record]) -> None:
        """Fold what is new in the partition."""
        for record in records:
            if record.offset >= self.next_offset:
                self._record(record)
                self.next_offset = record.offset + 1

    def _record(self, record: Record) -> None:
        key, headers = record.key or b"", dict(record.headers)
        if key.startswith(b"#claim/"):
            self._claim(key, record.value)
            return
        if not self.claim or headers.get("claim") != self.claim or record.value is None:
            self.ghosts += 1
            if record.value is None and "erases" in headers and headers.get("claim") == self.claim:
                self._tombstone(record, headers["erases"].decode())
            return
        if "pos" in headers:
            self.position = max(self.position, int(headers["pos"].split(b":")[1]))
        if "pub" in headers:
            self.published = max(self.published, int(headers["pub"]))
        if not key.startswith(b"#mark/"):
            self._event(record, headers)

    def _claim(self, key: bytes, value: bytes | None) -> None:
        try:
            epoch = int(json.loads(value or b"")["epoch"])
        except (ValueError, KeyError, TypeError):
            return
        if epoch > self.epoch:
            self.epoch, self.claim = epoch, key.removeprefix(b"#claim/")

    def _tombstone(self, record: Record, session: str) -> None:
        if session not in self._gone and not (session in self.stories and self.stories[session].erased):
            raise Wrong(f"P5: chat.events/{self.number}/{record.offset} removes {record.key!r} of {session}, which lives")

    def _event(self, record: Record, headers: dict[str, bytes]) -> None:
        event = json.loads(record.value or b"")
        if event["session"] in self._gone:
            return
        where = f"{event['session']}/{event['seq']} at chat.events/{self.number}/{record.offset}"
        story = self.stories.setdefault(event["session"], Story())
        input_at = int(headers["input"].split(b":")[1]) if "input" in headers else -1
        brought = _brought(event)
        self._counts(record, event, story, input_at, where)
        if event.get("copy") and story.past.copying is not None:
            self._copy(event, story.past.copying, where)
        if brought:
            story.ids[brought] = event["seq"]
        story.last_input = max(story.last_input, input_at)
        taken_back = event["type"] == "reply.cancelled" and story.waiting.waits(event)
        story.past.follow(event, story.owed, record.offset, where)
        story.waiting.follow(event, story.owed, where)
        story.values.follow(event, where)
        if not taken_back:
            _follow(story, event, where)
        owed, later, held = tuple(story.owed), tuple(story.waiting.later), story.values.held
        told = Told(record.offset, record.value or b"", event, input_at, owed, later, story.waiting.parked, held)
        story.told.append(told)
        if event["type"] in PUBLIC and not event.get("copy"):
            self.public.append(told)
        if input_at >= 0:
            self.by_input[input_at] = told

    def _counts(self, record: Record, event: dict[str, Any], story: Story, input_at: int, where: str) -> None:
        brought = _brought(event)
        if event["seq"] != len(story.told) + 1:
            raise Wrong(f"P6: {where} follows seq {len(story.told)} under the current claim")
        if input_at >= 0 and input_at <= story.last_input:
            raise Wrong(f"P2: {where} decides input {input_at} after {story.last_input}")
        if brought and brought in story.ids:
            raise Wrong(f"P2: {where} brings id {brought!r} again")
        if record.key != f"{event['session']}/{event['seq']}/".encode() + self.claim:
            raise Wrong(f"P6: {where} has the key {record.key!r}")

    def _copy(self, event: dict[str, Any], copying: tuple[str, int], where: str) -> None:
        """A fork's event is the source's, under another name and with numbers that are one more."""
        source, _ = copying
        if source in self._gone:
            return
        told = self.stories[source].told if source in self.stories else []
        if len(told) < event["seq"] - 1 or not is_copy(event, told[event["seq"] - 2].event):
            raise Wrong(f"P5: {where} is no copy of event {event['seq'] - 1} of {source}: {event}")


def _brought(event: dict[str, Any]) -> str:
    """The id that the event makes known."""
    if event["type"] == "message.scheduled" or (event["type"] == "message.accepted" and not event.get("scheduled")):
        return str(event.get("message_id", ""))
    return "" if event["type"] == "message.accepted" else str(event.get("command_id", ""))


def _follow(story: Story, event: dict[str, Any], where: str) -> None:
    """The order in which turns end: of acceptance, interrupting ones first; who is cancelled ends at any time."""
    kind, turn = event["type"], event.get("turn", 0)
    if kind == "session.erased":
        story.owed.clear()
        story.jumpers = 0
    elif kind in ("message.accepted", "turn.restarted"):
        first = kind == "turn.restarted" or event.get("replaces") or event.get("on_busy") == "interrupt"
        if first and story.owed:
            story.owed.insert(1 + story.jumpers, turn)
            story.jumpers += 1
        else:
            story.owed.append(turn)
    elif kind in TERMINAL:
        if turn not in story.owed:
            raise Wrong(f"P2: {where} ends turn {turn}, which is not owed: {story.owed}")
        place = story.owed.index(turn)
        if place and kind != "reply.cancelled":
            raise Wrong(f"P3: {where} ends turn {turn} before {story.owed[0]}")
        del story.owed[place]
        story.jumpers -= 0 < place <= story.jumpers
        if place == 0:
            story.jumpers = max(story.jumpers - 1, 0)
    elif kind == "turn.resumed" and story.owed[:1] != [turn]:
        raise Wrong(f"P3: {where} resumes turn {turn}, {story.owed[:1]} runs")


class Oracle:
    """Judges one broker's topics. `unfinished` may be asked at any time, `judge` at the end."""

    def __init__(self, broker: SimulatedBroker, limits: Limits | None = None) -> None:
        self._broker = broker
        self._limits = limits or Limits()
        self._found: Wrong | None = None
        self.readings = [Reading(PartitionNo(number)) for number in range(broker.partitions)]

    def read(self) -> None:
        """Fold what is new. Raises Wrong, the same each time: the first one may be lost in a callback of the loop."""
        if self._found is not None:
            raise self._found
        try:
            for reading in self.readings:
                reading.read(self._broker.log(Topic.EVENTS, reading.number).records)
        except Wrong as found:
            self._found = found
            raise

    def unfinished(self, removed: bool = False) -> str | None:
        """What is still owed, None when everything is done: P8. removed: the records of erased sessions, too."""
        self.read()
        for reading in self.readings:
            inputs = self._broker.log(Topic.MESSAGES, reading.number)
            if inputs.records and reading.position < inputs.records[-1].offset:
                return f"input position of {reading.number} is {reading.position}, the last is {inputs.records[-1].offset}"
            for session, story in reading.stories.items():
                if story.owed:
                    return f"{session} still owes turns {story.owed}"
                if story.waiting.later:
                    return f"{session} has still to send {sorted(story.waiting.later)}"
                if story.past.copying:
                    return f"{session} has still to be copied from {story.past.copying}"
                if self._limits.erase_idle_days and not story.erased:
                    return f"{session} is idle, and has still to be erased"
            public = self._owed_to_the_public(reading)
            if public and reading.published < public[-1].offset:
                return f"published of {reading.number} is {reading.published}, the last is {public[-1].offset}"
            if removed and (left := self._left(reading)):
                return f"of erased sessions there are still {left[:3]}"
        return None

    def _owed_to_the_public(self, reading: Reading) -> list[Told]:
        return [told for told in reading.public if not reading.stories[told.event["session"]].erased]

    def _left(self, reading: Reading) -> list[bytes]:
        """Keys of records of erased sessions that no compaction would remove."""
        erased = {name.encode(): story.past.erased_at for name, story in reading.stories.items() if story.erased}
        if not erased:
            return []
        left: dict[bytes, None] = {}
        for record in self._broker.records(Topic.EVENTS, reading.number):
            key = record.key or b""
            if record.value is None:
                left.pop(key, None)
            elif record.offset != erased.get(key.split(b"/")[0], record.offset):
                left[key] = None
        return list(left)

    def judge(self) -> None:
        """All that can be judged from the topics alone. Raises Wrong."""
        self.read()
        for reading in self.readings:
            again = Reading(reading.number, frozenset(name for name, story in reading.stories.items() if story.erased))
            again.read(self._broker.records(Topic.EVENTS, reading.number))
            if again.public != self._owed_to_the_public(reading) or again.ghosts > reading.ghosts:
                raise Wrong(f"P5: chat.events/{reading.number} reads otherwise from its start")
            self._judge_inputs(reading)
            self._judge_replies(reading)

    def story(self, session: str) -> Story:
        """What the log tells of a session."""
        reading = self.readings[partition_of(session.encode(), self._broker.partitions)]
        return reading.stories.get(session) or Story()

    def event(self, session: str, seq: int) -> Told | None:
        """The event that counts under that number."""
        told = self.story(session).told
        return told[seq - 1] if 0 < seq <= len(told) else None

    def recorded(self, session: str) -> dict[tuple[int, int, str], Any]:
        """What steps and decisions of a session are in the log, by (turn, version, name)."""
        return self.story(session).waiting.recorded

    # -- P1 -------------------------------------------------------------------------------------------------------

    def _judge_inputs(self, reading: Reading) -> None:
        decided = set(reading.by_input)
        for record in self._broker.records(Topic.MESSAGES, reading.number):
            self._judge_input(reading, record)
            decided.discard(record.offset)
        if decided:
            raise Wrong(f"P1: events of {reading.number} name inputs {sorted(decided)} that are no records")

    def _judge_input(self, reading: Reading, record: Record) -> None:
        where = f"chat.messages/{reading.number}/{record.offset}"
        command = understand(record, reading.number)
        told = reading.by_input.get(record.offset)
        letters = self._letters(reading.number, record.offset)
        session = (record.key or b"").decode(errors="replace")
        home = partition_of(record.key or b"", self._broker.partitions)
        if is_session(session) and home != reading.number:
            forwards = self._forwards(home, reading.number, record.offset)
            if told is not None or letters or not forwards:
                raise Wrong(f"P1: {where} belongs to {home}: event {told}, {len(letters)} letters, {forwards} forwards")
        elif command.kind == "garbage":
            if told is not None or not letters or any((letter.value or b"") != (record.value or b"") for letter in letters):
                raise Wrong(f"P1: {where} is no command: event {told}, {len(letters)} letters")
            if len({(letter.key, letter.value, letter.headers) for letter in letters}) != 1:
                raise Wrong(f"P1: {where} has different letters")
        elif letters:
            self._judge_late(reading, command, where, record.offset, letters)
        elif told is not None:
            self._judge_decided(reading, command, where, told)
        elif not self._excused(reading, command, record.offset):
            raise Wrong(f"P1: {where} {command} led to nothing")

    def _letters(self, partition: int, offset: int) -> list[Record]:
        key = f"{partition}/{offset}".encode()
        return [record for record in self._broker.records(Topic.DEAD_LETTERS, PartitionNo(0)) if record.key == key]

    def _judge_decided(self, reading: Reading, command: Command, where: str, told: Told) -> None:
        judge_decision(where, command, told)
        story, before = reading.stories.get(command.session, Story()), told.event["seq"] - 1
        if command.kind == "edit":
            judge_edit(where, story, command, told)
        elif command.kind != "fork" and not could_follow(story, command, before, self._limits):
            raise Wrong(f"P1: {where} {command} could not be followed, and led to {told.event}")
        if command.since:
            judge_idle(story, told.event, self._limits, where)

    def _judge_late(self, reading: Reading, command: Command, where: str, at: int, letters: list[Record]) -> None:
        """What comes behind the erasure of its session, and only that, is a dead letter without its value."""
        story = reading.stories.get(command.session, Story())
        if not story.erased or story.told[-1].input > at or at in reading.by_input or command.since:
            raise Wrong(f"P1: {where} is a command and went to the dead letters")
        if any(letter.value or dict(letter.headers)["reason"] != b"session-erased" for letter in letters):
            raise Wrong(f"P1: {where} of an erased session has the letters {letters}")

    def _forwards(self, home: PartitionNo, partition: int, offset: int) -> int:
        mark = ("forwarded", f"{partition}/{offset}".encode())
        return sum(mark in record.headers for record in self._broker.records(Topic.MESSAGES, home))

    def _excused(self, reading: Reading, command: Command, at: int) -> bool:
        """May the command have led to nothing? A known id, or it could not be followed when it was decided."""
        story = reading.stories.get(command.session, Story())
        if _knew(story, command.id, at):
            return True
        if story.erased and story.told[-1].input < at:
            return bool(command.since)
        if command.kind == "fork" and self._no_room(reading, command, at):
            return True
        first = max((seq for seq, told in enumerate(story.told, 1) if 0 <= told.input < at), default=0)
        if first and story.past.whole_at:
            first = max(first, story.past.whole_at)
        if first and self._came_late(reading, story):
            first = 0
        last = min((seq for seq, told in enumerate(story.told) if told.input > at), default=len(story.told))
        return any(not could_follow(story, command, seq, self._limits) for seq in range(first, last + 1))

    def _came_late(self, reading: Reading, story: Story) -> bool:
        """Was the session made of a fork that may still have been copied: so later than where the command for it stands?"""
        made = story.told[0]
        return made.event["type"] == "session.created" and 0 <= self._whole(reading, made.event["from"]) < made.offset

    def _no_room(self, reading: Reading, command: Command, at: int) -> bool:
        """Was there a session of the fork's name, or may it not be here?"""
        fork = reading.stories.get(command.target, Story())
        made = [one for one in reading.stories.values() if one.told and one.told[0].event.get("command_id") == command.id]
        there = bool(fork.told) and (
            0 <= fork.told[0].input < at or fork.told[0].offset < self._whole(reading, command.session)
        )
        elsewhere = partition_of(command.target.encode(), self._broker.partitions) != reading.number
        return (
            there
            or (bool(command.target) and elsewhere)
            or (not command.target and any(_knew(one, command.id, at) for one in made))
        )

    def _whole(self, reading: Reading, session: str) -> int:
        """Offset from which on what a fork was asked while it was copied is decided, others before that; -1 for no fork."""
        story = reading.stories.get(session, Story())
        return story.told[story.past.whole_at - 1].offset if story.past.whole_at else -1

    # -- P2 -------------------------------------------------------------------------------------------------------

    def _judge_replies(self, reading: Reading) -> None:
        """Every record is an event that counts, byte for byte; without those at or below the highest source: all, in order."""
        public, wanted = {told.offset: told for told in reading.public}, self._owed_to_the_public(reading)
        kept: list[int] = []
        for record in self._broker.records(Topic.REPLIES, reading.number):
            source = int(dict(record.headers)["source"])
            told = public.get(source)
            where = f"chat.replies/{reading.number}/{record.offset} of source {source}"
            if told is None or told.value != record.value or (record.key or b"").decode() != told.event["session"]:
                raise Wrong(f"P2: {where} is not the event that counts: {record.value!r}")
            if not kept or source > kept[-1]:
                kept.append(source)
        if not {told.offset for told in wanted} <= set(kept):
            raise Wrong(f"P1: chat.replies/{reading.number} has sources {kept}, not {[told.offset for told in wanted]}")


def _knew(story: Story, command_id: str, at: int) -> bool:
    """Was the id known in the session when the input at `at` was decided?"""
    return command_id in story.ids and story.told[story.ids[command_id] - 1].input < at
