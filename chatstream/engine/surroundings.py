"""What a partition's writer stands in: how it is told of, and what it asks of, its node."""

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from chatstream.core.claims import Headers
from chatstream.core.errors import LogError, QueueFull, TableBroken
from chatstream.core.events import AnyEvent, MessageAccepted
from chatstream.core.ids import ClaimName, InputPosition, Offset, PartitionNo, SessionId
from chatstream.core.session import Partial, Running, Session
from chatstream.engine.desk import Answer
from chatstream.log.port import Topic

WAITER_HEADER: Final = "waiter"
"""On inbound records that came in over HTTP: `node/number` of the request that waits for the decision."""
FORWARDED_HEADER: Final = "forwarded"
"""On inbound records a foreign partitioner had put elsewhere: `partition/offset` of where they stood first."""


class Fenced(msgspec.Struct, frozen=True):
    """Another claim is the current one now."""

    claim: ClaimName

    def __str__(self) -> str:
        return f"the partition was claimed by others ({self.claim})"


class Doubt(msgspec.Struct, frozen=True):
    """What happened to an append is unknown, or what is in the log cannot be explained.

    producer, table: is it to be replaced?
    """

    why: str
    producer: bool = True
    table: bool = False

    def __str__(self) -> str:
        return self.why


def broken_table(error: TableBroken) -> Doubt:
    """The doubt about a table that cannot be read or written: the next writer folds it again."""
    return Doubt(f"the table is broken: {error}", producer=False, table=True)


def unsent(what: str, error: LogError) -> Doubt:
    """The doubt about what was not even sent. A queue that is full is no fault of the producer: others' appends go on."""
    return Doubt(f"{what} could not be sent: {error}", producer=not isinstance(error, QueueFull))


class Moved(msgspec.Struct, frozen=True):
    """The partition was revoked, or the node stops."""

    def __str__(self) -> str:
        return "the partition was given up"


End = Fenced | Doubt | Moved


class Writer(Protocol):
    """Who takes acks."""

    def on_ack(self, pending: "Pending", offset: Offset | None, error: Exception | None) -> None: ...

    def settle(self) -> None: ...


class Pending(msgspec.Struct):
    """An append that is not confirmed yet. writer: who takes the ack. event: None for a mark and for a tombstone, whose value
    is None too. at_s: on the loop's clock."""

    writer: Writer
    event: AnyEvent | None
    value: bytes | None
    input_at: InputPosition | None
    after: Session | None
    position: InputPosition | None
    published: Offset | None
    at_s: float


class Surroundings(Protocol):
    """What the writer needs of its node. None of these may call back into the writer before they return."""

    def now(self) -> str:
        """RFC 3339 in UTC with milliseconds."""

    def clock_s(self) -> float:
        """A clock for durations."""

    def append(self, pending: Pending, key: bytes, headers: Headers) -> None:
        """Append to chat.events; the ack comes to Partition.on_ack. Raises LogError when nothing was sent."""

    def set_aside(
        self,
        topic: Topic,
        partition: PartitionNo,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        done: Callable[[bool], None],
    ) -> None:
        """Produce a dead letter, a forward or a command of ours; done(landed) later. Raises LogError when nothing was sent."""

    def publish(self, offset: Offset, event: AnyEvent, value: bytes) -> None:
        """A confirmed public event, in log order."""

    def published(self) -> Offset:
        """Up to where everything public is on chat.replies."""

    def wake(self, session: SessionId) -> None:
        """Readers of the session have something to read."""

    def answer(self, waiter: bytes, answer: Answer) -> None:
        """The request that brought a command gets its answer, if it is one of this node's and still waits."""

    def run(self, session: SessionId, running: Running, event: MessageAccepted | None) -> None:
        """Answer this turn, unless that is under way. event: its message where at hand, to save a read."""

    def stop(self, session: SessionId) -> None:
        """End the session's running call; its outcome is not wanted."""

    def said(self, session: SessionId) -> Partial:
        """What the session's running call has said so far."""

    def alarm(self, due: str) -> None:
        """Call Partition.on_alarm at that time (RFC 3339), soon when it has passed. The latest call holds."""

    def read_gap(self, start: Offset, stop: Offset) -> None:
        """Read chat.events in start <= offset < stop and hand it to Partition.on_gap."""

    def ask_end(self) -> None:
        """Ask where chat.events ends, and tell Partition.on_end. An answer that does not come is not missed."""

    def set_paused(self, paused: bool) -> None:
        """Stop or go on with the inbound records of this partition."""

    def ended(self, end: End) -> None:
        """The writer has ended; nothing of it is to be used again. Called once."""
