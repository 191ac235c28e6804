"""A partition's writer without a node: what it asks of its surroundings is written down, and the log is a list.

`Bench` drives the writer one record and one ack at a time. Every line of `told()` is one thing the writer did, in order.
"""

from collections.abc import Callable, Iterable
from typing import Any

from chatstream.core import claims, codec
from chatstream.core.claims import Claim, Headers
from chatstream.core.errors import LogError
from chatstream.core.events import AnyEvent, MessageAccepted
from chatstream.core.ids import Epoch, InputPosition, NodeId, Offset, PartitionNo, Seq, SessionId
from chatstream.core.limits import Limits
from chatstream.core.session import Outcome, Partial, Running
from chatstream.engine.desk import Accepted, Answer, Refused, Repeated
from chatstream.engine.partition import Partition
from chatstream.engine.projection import Projection
from chatstream.engine.surroundings import WAITER_HEADER, Doubt, End, Fenced, Pending
from chatstream.log.port import Record, Topic
from chatstream.table.memory import MemoryTable, MemoryTableStore
from tests.given import ALICE, NOW

P0 = PartitionNo(0)


class FakeSurroundings:
    """engine.surroundings.Surroundings. sent: appends not acknowledged yet; said_now, published_now, clock: as set.

    ends_asked: how often the end of the log was asked for."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.sent: list[tuple[Pending, bytes, Headers]] = []
        self.events: list[AnyEvent] = []
        self.headers: list[dict[str, bytes]] = []
        self.aside: list[tuple[Topic, int, bytes | None, bytes | None, Headers]] = []
        self.aside_done: list[Callable[[bool], None]] = []
        self.jobs: list[tuple[SessionId, Seq, MessageAccepted | None]] = []
        self.ends: list[End] = []
        self.time = NOW
        self.clock = 0.0
        self.said_now = Partial()
        self.published_now = Offset(-1)
        self.gap = (Offset(-1), Offset(-1))
        self.ends_asked = 0
        self.append_fails: LogError | None = None
        self.aside_fails: LogError | None = None
        self.aside_fails_for: Topic | None = None

    def now(self) -> str:
        return self.time

    def clock_s(self) -> float:
        return self.clock

    def append(self, pending: Pending, key: bytes, headers: Headers) -> None:
        if self.append_fails is not None:
            raise self.append_fails
        self.sent.append((pending, key, headers))
        self.headers.append(dict(headers))
        if pending.event is None:
            self.lines.append("append mark")
        else:
            self.events.append(pending.event)
            self.lines.append(f"append {key.decode().rpartition('/')[0]} {codec.type_name(pending.event)}")

    def set_aside(
        self,
        topic: Topic,
        partition: PartitionNo,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        done: Callable[[bool], None],
    ) -> None:
        if self.aside_fails is not None and self.aside_fails_for in (None, topic):
            raise self.aside_fails
        self.aside.append((topic, partition, key, value, headers))
        self.aside_done.append(done)
        self.lines.append(f"aside {topic.value}/{partition}")

    def publish(self, offset: Offset, event: AnyEvent, value: bytes) -> None:
        assert codec.read_event(value) == event
        self.lines.append(f"publish {offset} {codec.type_name(event)}")

    def published(self) -> Offset:
        return self.published_now

    def wake(self, session: SessionId) -> None:
        self.lines.append(f"wake {session}")

    def answer(self, waiter: bytes, answer: Answer) -> None:
        self.lines.append(f"answer {waiter.decode()} {_words(answer)}")

    def run(self, session: SessionId, running: Running, event: MessageAccepted | None) -> None:
        self.jobs.append((session, running.turn, event))
        self.lines.append(f"run {session}/{running.turn}")

    def stop(self, session: SessionId) -> None:
        self.lines.append(f"stop {session}")

    def said(self, session: SessionId) -> Partial:  # noqa: ARG002 - one session speaks in a test
        return self.said_now

    def alarm(self, due: str) -> None:
        self.lines.append(f"alarm {due}")

    def read_gap(self, start: Offset, stop: Offset) -> None:
        self.gap = (start, stop)
        self.lines.append(f"gap {start}..{stop}")

    def ask_end(self) -> None:
        self.ends_asked += 1

    def set_paused(self, paused: bool) -> None:
        self.lines.append("pause" if paused else "go on")

    def ended(self, end: End) -> None:
        self.ends.append(end)
        self.lines.append(f"end {_end_words(end)}")


def _words(answer: Answer) -> str:
    match answer:
        case Accepted():
            return f"accepted {answer.seq} at {answer.position}"
        case Repeated():
            return f"repeated {answer.seq}"
        case Refused():
            return f"refused {answer.reason}"
        case _:
            return "unnumbered"


def _end_words(end: End) -> str:
    match end:
        case Fenced():
            return f"fenced by {end.claim}"
        case Doubt():
            return "doubt, producer too" if end.producer else "doubt"
        case _:
            return "moved"


class WatchedTable(MemoryTable):
    """Counts its writes. broken: reads and writes fail from now on."""

    writes: list[list[bytes]]

    @classmethod
    def of(cls, table: MemoryTable) -> "WatchedTable":
        watched = cls(table._rows, None)  # type: ignore[arg-type]  # open, so there are rows
        watched.writes = []
        return watched

    __slots__ = ("writes",)

    def write(self, changes: Any) -> None:
        super().write(changes)
        self.writes.append([key for key, _ in changes])


def claim(epoch: int, id: str = "me", partitions: int = 1, **fields: Any) -> Claim:
    """A claim of this version."""
    return Claim(
        epoch=Epoch(epoch),
        id=id,
        node=NodeId("n1"),
        url="",
        format=codec.FORMAT,
        topics={},
        partitions=partitions,
        **fields,
    )


def event_record(claim_name: str, event: AnyEvent, input_at: InputPosition | None = None) -> tuple[bytes, bytes, Headers]:
    """Key, value and headers of an event as its writer would append it."""
    headers: list[tuple[str, bytes]] = [(claims.CLAIM_HEADER, claim_name.encode())]
    if input_at is not None:
        headers.append((claims.INPUT_HEADER, claims.write_position(input_at)))
    return f"{event.session}/{event.seq}/{claim_name}".encode(), codec.write_event(event), tuple(headers)


class Bench:
    """A writer under test, its fake surroundings, and the partition's events topic as a list.

    given: events that were in the log before, under the claim of an earlier owner; the writer's own claim follows.
    """

    def __init__(
        self,
        given: Iterable[AnyEvent] = (),
        *,
        limits: Limits | None = None,
        partitions: int = 1,
        number: int = 0,
        generation: int = 0,
        local: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        self.limits = limits or Limits()
        self.partitions = partitions
        self.number = PartitionNo(number)
        self.generation = generation
        self.store = MemoryTableStore()
        self.log: list[Record] = []
        self._epoch = 0
        self.inbound = 0
        given = tuple(given)
        if given:
            self._claim("past")
            for event in given:
                self.write(*event_record("1-past", event))
        self._take_over(local)

    def _claim(self, id: str) -> Claim:
        self._epoch += 1
        made = claim(self._epoch, id, self.partitions, generation=self.generation)
        self.write(*claims.claim_record(made), ())
        return made

    def _take_over(self, local: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.claim = self._claim("me")
        self.table = WatchedTable.of(self.store.open(self.number))
        self.around = FakeSurroundings()
        self.projection = Projection(self.number, self.table, self.limits.cached_sessions)
        self.projection.fold_all(self.log[self.projection.next_offset :])
        self.table.write(list(local))
        self.table.writes.clear()
        self.writer = Partition(self.projection, self.claim, self.partitions, self.limits, self.around)

    def restart(self, local: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """The process dies and comes back: what was acknowledged or sent is in the log, the memory is not."""
        for pending, key, headers in self.around.sent:
            self.write(key, pending.value, headers)
        self.store = self.store.after_crash()
        self._take_over(local)

    # -- the log --------------------------------------------------------------------------------------------------

    def write(self, key: bytes | None, value: bytes | None, headers: Headers = ()) -> Offset:
        """Something lands in the log."""
        offset = Offset(len(self.log))
        self.log.append(Record(offset, key, value, headers))
        return offset

    def stranger(self, id: str = "0-dead", seq: int = 9) -> bytes:
        """A record of a writer that is not the owner lands; its key."""
        key = f"alice/{seq}/{id}".encode()
        self.write(key, b"{}", ((claims.CLAIM_HEADER, id.encode()),))
        return key

    def rival(self, epoch: int, id: str = "rival") -> None:
        """Another node's claim lands."""
        self.write(*claims.claim_record(claim(epoch, id, self.partitions)), ())

    def ack(self, count: int = 1, settle: bool = True) -> None:
        """The oldest appends land, and are acknowledged where they stand."""
        for _ in range(count):
            pending, key, headers = self.around.sent.pop(0)
            self.writer.on_ack(pending, self.write(key, pending.value, headers), None)
        if settle:
            self.writer.settle()

    def ack_all(self) -> None:
        """Acks until nothing is on its way."""
        while self.around.sent:
            self.ack(len(self.around.sent))

    def read_gap(self) -> None:
        """The gap that was asked for last is read."""
        start, stop = self.around.gap
        self.writer.on_gap(self.log[start:stop], stop)

    # -- inbound --------------------------------------------------------------------------------------------------

    def record(
        self,
        value: bytes | None,
        *,
        key: bytes | None = ALICE.encode(),
        waiter: str = "",
        offset: int | None = None,
        headers: Headers = (),
    ) -> Record:
        """The next inbound record, or one at a given offset."""
        if offset is None:
            offset, self.inbound = self.inbound, self.inbound + 1
        if waiter:
            headers = (*headers, (WAITER_HEADER, waiter.encode()))
        return Record(Offset(offset), key, value, headers)

    def take(self, value: bytes | str | None, **fields: Any) -> None:
        """One inbound record arrives."""
        raw = value.encode() if isinstance(value, str) else value
        self.writer.on_records([self.record(raw, **fields)])

    def say(self, *texts: str) -> None:
        """Alice's messages are accepted and confirmed, and what follows is done; nobody is asked what happened."""
        for text in texts:
            self.take(text)
            self.ack_all()
        self.told()

    def finish(self, turn: int, outcome: Outcome, session: SessionId = ALICE, version: int = 1) -> None:
        """The attempts at a turn are over."""
        self.writer.finish(session, Seq(turn), version, outcome)

    def told(self) -> list[str]:
        """What the writer did since the last time."""
        lines, self.around.lines = self.around.lines, []
        return lines

    def headers_of(self, name: str) -> list[bytes | None]:
        """One header of each append so far."""
        return [headers.get(name) for headers in self.around.headers]

    @property
    def rows(self) -> dict[bytes, bytes]:
        """All rows of the table."""
        return dict(self.table.scan(b"", b"\xff"))
