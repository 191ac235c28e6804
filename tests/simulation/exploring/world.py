"""All nodes of an exploration, the steps that can be taken, and whether what can be seen is right.

A step is (what, whose). Two worlds that took the same steps are the same; two with the same `fingerprint` go on alike.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from chatstream.core.errors import LogError, OutcomeUnknown, TableBroken
from chatstream.core.ids import NodeId, Offset, Seq, SessionId
from chatstream.core.limits import Limits
from chatstream.engine.claiming import Candidate, taken_over
from chatstream.engine.partition import Partition
from chatstream.engine.projection import Projection
from chatstream.engine.publishing import last_source
from chatstream.engine.surroundings import WAITER_HEADER, Doubt, End, Pending
from chatstream.log.port import Ack, Lease, Topic
from chatstream.table import rows
from chatstream.table.memory import MemoryTableStore
from tests.simulation.exploring.log import P0, Lane, NodeLog, Pause, Sent, SharedLog, Task
from tests.simulation.exploring.seat import ExploredSeat
from tests.simulation.oracle import Oracle, Wrong

Step = tuple[str, int]
Fault = Literal["crash", "zombie", "lost"]
FAULTS: Final = ("crash", "away", "zombie", "lost")
"""Steps that cost a fault. crash: a node dies and comes back; away: it dies, and the partition is given to the next node;
zombie: the partition is given to the next node, and the one that has it does not hear of it yet; lost: a producer fails,
and what it had on its way may land late or not at all."""


class Message(msgspec.Struct, frozen=True):
    """A command on chat.messages. id: of the message; two with the same are one message sent twice."""

    session: str
    id: str


class Scope(msgspec.Struct, frozen=True):
    """How much happens. faults: how many, of which kinds. moves: how often the partition is given away in good order.

    claims: how many are started in all. ticks: do owners write marks before the end? replies: is it a step of its own that a
    reply is read back, lands, and is acknowledged? Else it happens as soon as it can.
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


class ExploredNode:
    """One node. table: what it keeps when it dies."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.number = number
        self.log = NodeLog(world.log)
        self.tables = MemoryTableStore()
        self.events, self.side = Lane(), Lane()
        self.own: Task | None = None
        self.seat: ExploredSeat | None = None

    def claim(self) -> None:
        """The group has given it the partition."""
        self.world.claims += 1
        self.own = Task(self._own(f"{self.number}.{self.world.claims}"))
        self.own.step()

    async def _own(self, fresh_id: str) -> None:
        """As Node._own does it."""
        candidate = Candidate(node=NodeId(f"n{self.number}"), url="", fresh_id=fresh_id)
        taking = taken_over(self.log, self.tables, P0, candidate, self.world.limits, self._append_claim)
        async with taking as (projection, claim):
            published = Offset(max(projection.ownership.published, await last_source(self.log, P0)))
            seat = ExploredSeat(self, projection, claim, published)
            self.seat = seat
            seat.writer.start()
            seat.writer.settle()
            if seat.end is None:
                seat.fetch = projection.ownership.position.offset + 1
                await Pause("end")
            if isinstance(seat.end, Doubt) and seat.end.table:
                raise TableBroken(seat.end.why)

    async def _append_claim(self, _partition: int, key: bytes, value: bytes) -> Offset:
        self.events.sent.append(Sent(Topic.EVENTS, key, value, (), None))
        try:
            offset: Offset = await Pause("claim")
        except LogError:
            self.replace_events()
            raise
        return offset

    def replace_events(self) -> None:
        """Throw the producer away: what it had on its way may still land."""
        self.world.set_adrift(self.events)
        self.events = Lane()

    def on_end(self, seat: ExploredSeat, end: End) -> None:
        """The writer is over."""
        if self.seat is seat:
            self.seat = None
        if isinstance(end, Doubt) and end.producer:
            self.replace_events()

    def tidy(self) -> None:
        """A writer that has ended leaves its place."""
        if self.own is not None and self.own.waiting == "end" and self.seat is None:
            self.own.step()
        if self.own is not None and not self.own.waiting:
            self.own = None

    def die(self) -> None:
        """kill -9, and a new process."""
        seat, self.seat = self.seat, None
        for task in ([] if self.own is None else [self.own]) + ([] if seat is None else seat.catching):
            task.cancel()
        if seat is not None:
            seat.forget()
        self.own = None
        self.tables = self.tables.after_crash()
        self.world.set_adrift(self.events)
        self.world.set_adrift(self.side)
        self.events, self.side = Lane(), Lane()

    def revoked(self) -> None:
        """The group has taken the partition away."""
        if self.seat is not None:
            self.seat.writer.move()
        if self.own is not None and self.own.waiting not in ("", "end"):
            self.own.cancel()
            self.own = None

    def ack(self) -> None:
        """The oldest record that landed is acknowledged."""
        tag, offset = self.events.landed.popleft()
        if isinstance(tag, Pending):
            assert isinstance(tag.writer, Partition)
            tag.writer.on_ack(tag, offset, None)
            tag.writer.settle()
        elif self.own is not None and self.own.waiting == "claim":
            self.own.step(offset)

    def lose(self) -> None:
        """The producer fails: nobody knows what became of what it had sent."""
        tags = [tag for tag, _ in self.events.landed] + [sent.tag for sent in self.events.sent]
        self.events.landed.clear()
        error = OutcomeUnknown("nobody knows")
        if isinstance(tags[0], Pending):
            assert isinstance(tags[0].writer, Partition)
            tags[0].writer.on_ack(tags[0], None, error)
        elif self.own is not None and self.own.waiting == "claim":
            self.own.step(error=error)

    def text_of(self, session: SessionId, turn: Seq) -> str:
        """What the turn is to answer."""
        told = self.world.told(session, turn)
        return "" if told is None else str(told["text"])

    def content(self) -> tuple[Any, ...]:
        """What makes this state another one."""
        # What a look has folded follows from where the log ended then: earlier looks leave nothing behind.
        own = None if self.own is None else (self.own.waiting, *((self.own.looks, self.own.seen) if self.seat is None else ()))
        table = hash(frozenset(self.rows().items()))
        seat = None if self.seat is None else self.seat.content()
        return own, table, self.events.content(), self.side.content(), seat

    def rows(self) -> dict[bytes, bytes]:
        """What stands in its table."""
        found = self.tables._rows.get(P0)
        return {} if found is None else found.values


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
            value = b'{"type":"message","message_id":"%b","text":"%b"}' % (message.id.encode(), message.id.encode())
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
            if not self.scope.replies:
                self._reply(node)
        self._read()

    def _read(self) -> None:
        if self.oracle.readings[0].next_offset < len(self.log.topics[Topic.EVENTS].records):
            self.oracle.read()

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
            found = {key: value for key, value in node.rows().items() if not key.startswith(rows.LOCAL)}
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
        return dict(store._rows[P0].values)

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


__all__ = ["FAULTS", "Fault", "Lease", "Message", "Scope", "Step", "World"]
