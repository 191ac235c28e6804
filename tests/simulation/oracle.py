"""The judge: reads the raw topics in the simplest way, with its own rules, and says what is wrong with them.

It shares no code with the product's fold: JSON by the standard library, headers by hand, and the rules spelled out anew.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from chatstream.core.ids import PartitionNo
from chatstream.core.partitioner import partition_of
from chatstream.log.port import Record, Topic
from chatstream.log.simulated_broker import SimulatedBroker
from tests.simulation.waiting import Waiting
from tests.simulation.wrong import Wrong as Wrong

TERMINAL = ("reply.completed", "reply.failed", "reply.cancelled")
PUBLIC = (*TERMINAL, "message.refused")


class Told(NamedTuple):
    """An event that counts. input: offset of the command that caused it, -1 for none. owed: turns owed after it, in order;
    later: messages that wait for their time then; parked: what the running turn waits for then."""

    offset: int
    value: bytes
    event: dict[str, Any]
    input: int
    owed: tuple[int, ...]
    later: tuple[int, ...] = ()
    parked: str = ""


class Story:
    """One session: its events that count, the ids it knows, the turns it owes in the order in which they have to end."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.ids: dict[str, int] = {}
        self.last_input = -1
        self.owed: list[int] = []
        self.jumpers = 0
        self.versions: dict[int, int] = {}
        self.waiting = Waiting()


class Reading:
    """One partition of chat.events, folded as far as `next_offset`."""

    def __init__(self, number: PartitionNo) -> None:
        self.number = number
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

    def _event(self, record: Record, headers: dict[str, bytes]) -> None:
        event = json.loads(record.value or b"")
        where = f"{event['session']}/{event['seq']} at chat.events/{self.number}/{record.offset}"
        story = self.stories.setdefault(event["session"], Story())
        input_at = int(headers["input"].split(b":")[1]) if "input" in headers else -1
        brought = _brought(event)
        if event["seq"] != len(story.told) + 1:
            raise Wrong(f"P6: {where} follows seq {len(story.told)} under the current claim")
        if input_at >= 0 and input_at <= story.last_input:
            raise Wrong(f"P2: {where} decides input {input_at} after {story.last_input}")
        if brought and brought in story.ids:
            raise Wrong(f"P2: {where} brings id {brought!r} again")
        if record.key != f"{event['session']}/{event['seq']}/".encode() + self.claim:
            raise Wrong(f"P6: {where} has the key {record.key!r}")
        if brought:
            story.ids[brought] = event["seq"]
        story.last_input = max(story.last_input, input_at)
        taken_back = event["type"] == "reply.cancelled" and event["turn"] in story.waiting.later
        story.waiting.follow(event, story.owed, where)
        if not taken_back:
            _follow(story, event, where)
        waiting = story.waiting
        told = Told(
            record.offset, record.value or b"", event, input_at, tuple(story.owed), tuple(waiting.later), waiting.parked
        )
        story.told.append(told)
        if event["type"] in PUBLIC:
            self.public.append(told)
        if input_at >= 0:
            self.by_input[input_at] = told


def _brought(event: dict[str, Any]) -> str:
    """The id that the event makes known."""
    if event["type"] == "message.scheduled" or (event["type"] == "message.accepted" and not event.get("scheduled")):
        return str(event.get("message_id", ""))
    return "" if event["type"] == "message.accepted" else str(event.get("command_id", ""))


def _follow(story: Story, event: dict[str, Any], where: str) -> None:
    """The order in which turns end: of acceptance, interrupting ones first; who is cancelled ends at any time."""
    kind, turn = event["type"], event.get("turn", 0)
    if kind == "message.accepted":
        if event.get("on_busy") == "interrupt" and story.owed:
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


class Command(NamedTuple):
    """An inbound record as the judge understands it. kind: message, cancel, approve, garbage."""

    kind: str
    session: str = ""
    id: str = ""
    text: str = ""
    target: str = ""
    turn: int = 0


def understand(record: Record, partition: int) -> Command:
    """What an inbound record asks for."""
    try:
        session = (record.key or b"").decode()
        text = (record.value or b"").decode()
    except UnicodeDecodeError:
        return Command("garbage")
    if not session or not session.isalnum() or not text:
        return Command("garbage")
    forwarded = dict(record.headers).get("forwarded")
    place = forwarded.decode().replace("/", "-") if forwarded else f"{partition}-{record.offset}"
    if not text.startswith("{"):
        return Command("message", session, f"k-{place}", text)
    try:
        fields = json.loads(text)
    except ValueError:
        return Command("garbage")
    kind = fields.get("type", "message")
    name = fields.get("command_id" if kind in ("cancel", "approve") else "message_id", "")
    if name.startswith("k-"):
        return Command("garbage")
    name = name or f"k-{place}"
    if fields.get("type", "message") == "message" and fields.get("text"):
        return Command("message", session, name, fields["text"])
    if kind == "approve":
        return Command("approve", session, name, fields["name"])
    if kind == "cancel":
        return Command("cancel", session, name, "", fields.get("message_id", ""), fields.get("turn", 0))
    return Command("garbage")


class Oracle:
    """Judges one broker's topics. `unfinished` may be asked at any time, `judge` at the end."""

    def __init__(self, broker: SimulatedBroker) -> None:
        self._broker = broker
        self.readings = [Reading(PartitionNo(number)) for number in range(broker.partitions)]

    def read(self) -> None:
        """Fold what is new."""
        for reading in self.readings:
            reading.read(self._broker.log(Topic.EVENTS, reading.number).records)

    def unfinished(self) -> str | None:
        """What is still owed, None when everything is done: P8."""
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
            if reading.public and reading.published < reading.public[-1].offset:
                return f"published of {reading.number} is {reading.published}, the last is {reading.public[-1].offset}"
        return None

    def judge(self) -> None:
        """All that can be judged from the topics alone. Raises Wrong."""
        self.read()
        for reading in self.readings:
            again = Reading(reading.number)
            again.read(self._broker.records(Topic.EVENTS, reading.number))
            if again.public != reading.public or again.ghosts > reading.ghosts:
                raise Wrong(f"P5: chat.events/{reading.number} reads otherwise from its start")
            self._judge_inputs(reading)
            self._judge_replies(reading)

    def event(self, session: str, seq: int) -> Told | None:
        """The event that counts under that number."""
        story = self.readings[partition_of(session.encode(), self._broker.partitions)].stories.get(session)
        return None if story is None or not 0 < seq <= len(story.told) else story.told[seq - 1]

    def recorded(self, session: str) -> dict[tuple[int, int, str], Any]:
        """What steps and decisions of a session are in the log, by (turn, version, name)."""
        story = self.readings[partition_of(session.encode(), self._broker.partitions)].stories.get(session)
        return {} if story is None else story.waiting.recorded

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
        if session.isalnum() and home != reading.number:
            forwards = self._forwards(home, reading.number, record.offset)
            if told is not None or letters or not forwards:
                raise Wrong(f"P1: {where} belongs to {home}: event {told}, {len(letters)} letters, {forwards} forwards")
        elif command.kind == "garbage":
            if told is not None or not letters or any((letter.value or b"") != (record.value or b"") for letter in letters):
                raise Wrong(f"P1: {where} is no command: event {told}, {len(letters)} letters")
            if len({(letter.key, letter.value, letter.headers) for letter in letters}) != 1:
                raise Wrong(f"P1: {where} has different letters")
        elif letters:
            raise Wrong(f"P1: {where} is a command and went to the dead letters")
        elif told is not None:
            _judge_decision(where, command, told)
        elif not self._excused(reading.stories.get(command.session, Story()), command, record.offset):
            raise Wrong(f"P1: {where} {command} led to nothing")

    def _letters(self, partition: int, offset: int) -> list[Record]:
        key = f"{partition}/{offset}".encode()
        return [record for record in self._broker.records(Topic.DEAD_LETTERS, PartitionNo(0)) if record.key == key]

    def _forwards(self, home: PartitionNo, partition: int, offset: int) -> int:
        mark = ("forwarded", f"{partition}/{offset}".encode())
        return sum(mark in record.headers for record in self._broker.records(Topic.MESSAGES, home))

    def _excused(self, story: Story, command: Command, at: int) -> bool:
        """May the command have led to nothing? A known id, or a cancel of what was not owed when it was decided."""
        if command.id in story.ids and story.told[story.ids[command.id] - 1].input < at:
            return True
        if command.kind == "message":
            return False
        first = max((seq for seq, told in enumerate(story.told, 1) if 0 <= told.input < at), default=0)
        last = min((seq for seq, told in enumerate(story.told) if told.input > at), default=len(story.told))
        names = _names if command.kind == "cancel" else _decides
        return any(not names(story, command, seq) for seq in range(first, last + 1))

    # -- P2 -------------------------------------------------------------------------------------------------------

    def _judge_replies(self, reading: Reading) -> None:
        """Every record is an event that counts, byte for byte; without those at or below the highest source: all, in order."""
        public = {told.offset: told for told in reading.public}
        kept: list[int] = []
        for record in self._broker.records(Topic.REPLIES, reading.number):
            source = int(dict(record.headers)["source"])
            told = public.get(source)
            where = f"chat.replies/{reading.number}/{record.offset} of source {source}"
            if told is None or told.value != record.value or (record.key or b"").decode() != told.event["session"]:
                raise Wrong(f"P2: {where} is not the event that counts: {record.value!r}")
            if not kept or source > kept[-1]:
                kept.append(source)
        if kept != sorted(public):
            raise Wrong(f"P1: chat.replies/{reading.number} has sources {kept}, not {sorted(public)}")


def _judge_decision(where: str, command: Command, told: Told) -> None:
    event = told.event
    if event["session"] != command.session:
        raise Wrong(f"P1: {where} led to an event of another session: {event}")
    if command.kind == "cancel":
        if event["type"] != "reply.cancelled" or event.get("by") != command.id:
            raise Wrong(f"P1: {where} {command} led to {event}")
    elif command.kind == "approve":
        if event["type"] != "approval.decided" or event["name"] != f"{command.text}#1" or event["command_id"] != command.id:
            raise Wrong(f"P1: {where} {command} led to {event}")
    elif not event["type"].startswith("message.") or event["message_id"] != command.id or event.get("scheduled"):
        raise Wrong(f"P1: {where} {command} led to {event}")
    elif event["type"] != "message.refused" and event["text"] != command.text:
        raise Wrong(f"P1: {where} {command} led to another text: {event}")


def _names(story: Story, command: Command, seq: int) -> bool:
    """Does the cancel name a turn that is owed, or a message that waits, right after event `seq`?"""
    owed, later = (story.told[seq - 1].owed, story.told[seq - 1].later) if seq else ((), ())
    if command.turn:
        return command.turn in owed or command.turn in later
    if command.target:
        target = story.ids.get(command.target, 0)
        sent = story.waiting.sent.get(target, target)
        return 0 < target <= seq and (target in later or sent in owed)
    return bool(owed)


def _decides(story: Story, command: Command, seq: int) -> bool:
    """Is what the command decides asked right after event `seq`?"""
    return bool(seq) and story.told[seq - 1].parked == f"{command.text}#1"
