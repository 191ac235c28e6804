"""All nodes of an exploration, the steps that can be taken, and whether what can be seen is right.

A step is (what, whose). Two worlds that took the same steps are the same; two with the same `fingerprint` go on alike.
"""

import json
from collections import deque
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from chatstream.core.ids import Offset, SessionId
from chatstream.core.limits import Limits
from chatstream.engine.projection import Projection
from chatstream.engine.surroundings import WAITER_HEADER
from chatstream.log.port import Ack, Topic
from chatstream.table import rows
from chatstream.table.memory import MemoryTableStore
from tests.simulation.exploring.log import P0, Lane, Sent, SharedLog, Task
from tests.simulation.exploring.node import ExploredNode
from tests.simulation.exploring.seat import ExploredSeat
from tests.simulation.oracle import Oracle, Wrong

Step = tuple[str, int]
Fault = Literal["crash", "zombie", "lost"]
FAULTS: Final = ("crash", "away", "zombie", "lost")
"""Steps that cost a fault. crash: a node dies and comes back; away: it dies, and the partition is given to the next node;
zombie: the partition is given to the next node, and the one that has it does not hear of it yet; lost: a producer fails,
and what it had on its way may land late or not at all."""


class Message(msgspec.Struct, frozen=True):
    """A command on chat.messages. id: of the message; two with the same are one message sent twice. kind: as its `type`."""

    session: str
    id: str
    kind: str = "message"


class Scope(msgspec.Struct, frozen=True):
    """How much happens. faults: how many, of which kinds. moves: how often the partition is given away in good order.

    claims: how many are started in all. ticks: do owners write marks before the end? replies: is it a step of its own that a
    reply is read back, lands, and is acknowledged? Else it happens as soon as it can. prompt: the model answers as soon as it
    is asked; else whenever it likes.
    """

    name: str
    messages: tuple[Message, ...]
    nodes: int = 2
    faults: int = 0
    kinds: tuple[Fault, ...] = ("crash", "zombie", "lost")
    moves: int = 0
    claims: int = 2
    ticks: bool = False
    replies: bool = False
    prompt: bool = False


class World:
    """See above. assigned: who has the partition, as the group has it."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.limits = Limits()
        self.log = SharedLog()
        self.oracle = Oracle(self.log)  # type: ignore[arg-type]  # all that it asks of a broker
        self.nodes = [ExploredNode(self, number) for number in range(scope.nodes)]
        self.adrift: list[deque[Sent]] = []
        self.assigned = 0
        self.claims = 0
        self.faults_left = scope.faults
        self.moves_left = scope.moves
        self.ending = False
        for message in scope.messages:
            fields = {"message_id": message.id, "text": message.id} if message.kind == "message" else {"command_id": message.id}
            value = json.dumps({"type": message.kind} | fields).encode()
            headers = ((WAITER_HEADER, f"{message.session}/{message.id}".encode()),)
            self.log.topics[Topic.MESSAGES].append(message.session.encode(), value, headers)

    def close(self) -> None:
        """It is not needed any more."""
        for node in self.nodes:
            node.die()
        self.adrift.clear()

    def told(self, session: str, seq: int) -> dict[str, Any] | None:
        """The event that counts under that number now."""
        self._read()
        told = self.oracle.event(session, seq)
        return None if told is None else told.event

    def set_adrift(self, lane: Lane) -> None:
        """What a producer that is no more had on its way."""
        if lane.sent:
            self.adrift.append(deque(lane.sent))
        lane.sent.clear()

    # -- steps ----------------------------------------------------------------------------------------------------

    def steps(self) -> list[Step]:
        """All that can be taken now."""
        found = [(what, node.number) for node in self.nodes for what in self._of(node)]
        for number in range(len(self.adrift)):
            found += [("late", number), ("sunk", number)]
        return found

    def _of(self, node: ExploredNode) -> Iterator[str]:
        own, seat, has = node.own, node.seat, self.assigned == node.number
        if own is None and has and (self.ending or self.claims < self.scope.claims):
            yield "claim"
        if own is not None and own.waiting == "look":
            yield "look"
        yield from (what for what, able in (("land", node.events.sent), ("ack", node.events.landed)) if able)
        yield from (what for what, able in (("put", node.side.sent), ("put ack", node.side.landed)) if able)
        if seat is not None:
            yield from self._of_seat(seat)
        if not has and own is not None:
            yield "told"
        yield from self._faults(node, has)

    def _of_seat(self, seat: ExploredSeat) -> Iterator[str]:
        if 0 <= seat.fetch < len(self.scope.messages) and not seat.paused:
            yield "take"
        yield from (f"answer {session}" for session in sorted(seat.jobs))
        yield from (f"catch {place}" for place, task in enumerate(seat.catching) if task.waiting)
        if seat.gap is not None:
            yield "gap"
        if (self.scope.ticks or self.ending) and _would_mark(seat):
            yield "tick"

    def _faults(self, node: ExploredNode, has: bool) -> Iterator[str]:
        if self.ending:
            return
        if self.moves_left and has and node.own is not None and len(self.nodes) > 1:
            yield "move"
        if not self.faults_left or node.own is None:
            return
        kinds, several = self.scope.kinds, len(self.nodes) > 1
        if "crash" in kinds:
            yield "crash"
        if several and has:
            yield from (what for what, kind in (("away", "crash"), ("zombie", "zombie")) if kind in kinds)
        if "lost" in kinds and (node.events.sent or node.events.landed):
            yield "lost"

    def take(self, step: Step) -> None:
        """Take one. Raises Wrong when something can be seen then that must not."""
        what, number = step
        if what == "late":
            self._land(self.adrift[number].popleft())
        elif what == "sunk":
            self.adrift[number].clear()
        else:
            self._act(self.nodes[number], what)
        self.adrift = [each for each in self.adrift if each]
        for node in self.nodes:
            node.tidy()
            if self.scope.prompt:
                self._answer(node)
            if not self.scope.replies:
                self._reply(node)
        self._read()

    def _read(self) -> None:
        if self.oracle.readings[0].next_offset < len(self.log.topics[Topic.EVENTS].records):
            self.oracle.read()

    def _answer(self, node: ExploredNode) -> None:
        """The model answers all that it was asked."""
        while node.seat is not None and node.seat.jobs:
            self._act(node, f"answer {min(node.seat.jobs)}")

    def _reply(self, node: ExploredNode) -> None:
        """All that has to do with replies, at once."""
        while node.side.sent or node.side.landed:
            self._act(node, "put" if node.side.sent else "put ack")
        for task in [] if node.seat is None else node.seat.catching:
            while task.waiting:
                task.step()
        while node.side.sent or node.side.landed:
            self._act(node, "put" if node.side.sent else "put ack")

    def _land(self, sent: Sent) -> Offset:
        return self.log.topics[sent.topic].append(sent.key, sent.value, sent.headers)

    def _act(self, node: ExploredNode, what: str) -> None:
        seat = node.seat
        match what.split():
            case ["claim"]:
                node.claim()
            case ["look"]:
                assert node.own is not None
                node.own.looks += 1
                node.own.seen = self.ends()
                node.own.step()
            case ["land"]:
                sent = node.events.sent.popleft()
                node.events.landed.append((sent.tag, self._land(sent)))
            case ["ack"]:
                node.ack()
            case ["put"]:
                sent = node.side.sent.popleft()
                node.side.landed.append((sent.tag, self._land(sent)))
            case ["put", "ack"]:
                on_ack, offset = node.side.landed.popleft()
                on_ack(Ack(None, offset))
            case ["told"]:
                node.revoked()
            case ["move"]:
                self.moves_left -= 1
                self._give_away(node)
                node.revoked()
            case [fault] if fault in FAULTS:
                self.faults_left -= 1
                self._befall(node, fault)
            case _:
                assert seat is not None
                self._act_seat(seat, what)

    def _act_seat(self, seat: ExploredSeat, what: str) -> None:
        match what.split():
            case ["take"]:
                records = self.log.topics[Topic.MESSAGES].records[seat.fetch : seat.fetch + 1]
                seat.fetch += 1
                seat.writer.on_records(records)
            case ["answer", session]:
                seat.answer_turn(SessionId(session))
                seat.writer.settle()
            case ["catch", place]:
                seat.catching[int(place)].step()
            case ["gap"]:
                Task(seat.close_gap()).step()
            case ["tick"]:
                seat.writer.tick()
            case _:
                raise AssertionError(what)

    def _befall(self, node: ExploredNode, fault: str) -> None:
        match fault:
            case "crash":
                node.die()
            case "away":
                node.die()
                self._give_away(node)
            case "zombie":
                self._give_away(node)
            case "lost":
                node.lose()

    def _give_away(self, node: ExploredNode) -> None:
        self.assigned = (node.number + 1) % len(self.nodes)

    # -- what can be seen -----------------------------------------------------------------------------------------

    def ends(self) -> tuple[int, int]:
        """How long the topics are that nodes write."""
        return len(self.log.topics[Topic.EVENTS].records), len(self.log.topics[Topic.REPLIES].records)

    def fingerprint(self) -> int:
        """Of everything that decides how it can go on."""
        topics = tuple(self.log.topics[topic].chain[-1] for topic in Topic)
        adrift = tuple(tuple(sent.content for sent in each) for each in self.adrift)
        left = (self.assigned, self.claims, self.faults_left, self.moves_left)
        return hash((topics, tuple(sorted(adrift, key=repr)), left, tuple(node.content() for node in self.nodes)))

    def check(self, known: dict[tuple[int, int], int]) -> None:
        """Every table is what the log says as far as it has come. known: what was found before. Raises Wrong: P4, P5, P7."""
        for node in self.nodes:
            found = _of_the_fold(node.rows())
            if not found:
                continue
            meta = rows.read_meta(_Rows(found))
            stop = 0 if meta is None else meta.next_offset
            events = self.log.topics[Topic.EVENTS]
            if stop > len(events.records):
                raise Wrong(f"P4: n{node.number}'s table is at {stop}, and the log ends at {len(events.records)}")
            place = (stop, events.chain[stop])
            if place not in known:
                known[place] = hash(frozenset(self._folded(stop).items()))
            if known[place] != hash(frozenset(found.items())):
                raise Wrong(f"P4: n{node.number}'s table of {stop} records is {found}, from scratch it is {self._folded(stop)}")

    def _folded(self, stop: int) -> dict[bytes, bytes]:
        store = MemoryTableStore()
        projection = Projection(P0, store.open(P0), 100)
        projection.fold_all(self.log.topics[Topic.EVENTS].records[:stop])
        if projection.alarms:
            raise Wrong(f"P4: folding raised {projection.alarms} alarms")
        return _of_the_fold(store._rows[P0].values)

    def end(self) -> None:
        """Nothing goes wrong any more: let everything come to its end, and judge. Raises Wrong."""
        self.ending = True
        for _ in range(1_000):
            steps = [step for step in self.steps() if step[0] != "sunk"]
            if not steps:
                break
            self.take(steps[0])
        else:
            raise Wrong("P8: it does not come to an end")
        unfinished = self.oracle.unfinished()
        if unfinished is not None:
            raise Wrong(f"P8: {unfinished}")
        self.oracle.judge()
        self.check({})


def _of_the_fold(found: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Without what is a node's own."""
    return {key: value for key, value in found.items() if not key.startswith(rows.LOCAL)}


class _Rows:
    """Enough of a table to read its meta row."""

    def __init__(self, found: dict[bytes, bytes]) -> None:
        self._found = found

    def get(self, key: bytes) -> bytes | None:
        return self._found.get(key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        raise NotImplementedError

    scan_back = scan


def _would_mark(seat: ExploredSeat) -> bool:
    appends = seat.writer._appends
    return seat.writer.inputs.position > appends._position or seat.published() > appends._published
