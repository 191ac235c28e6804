"""What HTTP asks of the engine: a Protocol, so that web/ can be tested against a small fake as well as a real node."""

from typing import Literal, Protocol

import msgspec

from chatstream.core.commands import AnyCommand
from chatstream.core.events import AnyEvent, MessageRefused, MessageScheduled
from chatstream.core.ids import MessageId, Offset, PartitionNo, Seq, SessionId
from chatstream.core.session import Session
from chatstream.engine.feed import Feed
from chatstream.table.port import Table


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The command led to an event, confirmed in the log. position: turns before it in the queue, 0 when it runs.

    due: when a message will be sent that is not in the queue yet, RFC 3339.
    """

    seq: Seq
    position: int = 0
    due: str = ""


class Repeated(msgspec.Struct, frozen=True, gc=False):
    """The id was known: seq is the event it led to the first time."""

    seq: Seq


class Refused(msgspec.Struct, frozen=True, gc=False):
    """Decided against, confirmed. reason: `queue-full`, `turn-in-progress`, `not-running`, or a dead letter's reason."""

    reason: str


class Unnumbered(msgspec.Struct, frozen=True, gc=False):
    """Stored on chat.messages, and not decided here: the partition has no owner yet or changed hands meanwhile."""


Answer = Accepted | Repeated | Refused | Unnumbered


def answer_to(event: AnyEvent, after: Session) -> Accepted | Refused:
    """What the request behind an event is told. after: the session with the event."""
    if isinstance(event, MessageRefused):
        return Refused(event.code)
    if isinstance(event, MessageScheduled):
        return Accepted(event.seq, due=event.due)
    position = next((place for place, owed in enumerate(after.queue, 1) if owed.turn == event.seq), 0)
    return Accepted(event.seq, position)


PartitionState = Literal["restoring", "active", "refused"]


class PartitionStatus(msgspec.Struct, frozen=True):
    """One partition that is assigned to this node. detail: why it is refused; lag: inbound records not yet decided.

    position: of the last inbound record whose decision is safe, -1 for none. folded, end: how far chat.events has been read,
    and how far it went when that began.
    """

    partition: PartitionNo
    state: PartitionState
    epoch: int = 0
    lag: int = 0
    detail: str = ""
    position: Offset = Offset(-1)
    folded: Offset = Offset(0)
    end: Offset = Offset(0)


class Desk(Protocol):
    """The engine as HTTP sees it."""

    @property
    def partitions(self) -> int:
        """How many partitions there are."""

    @property
    def node_id(self) -> str: ...

    @property
    def feed(self) -> Feed:
        """Wakes readers of confirmed events."""

    def partition_of(self, session: SessionId) -> PartitionNo:
        """Where the session lives."""

    def table(self, session: SessionId) -> Table:
        """The confirmed rows of the session's partition.

        Raises NotOwner, with the owner's url where known, Restoring, or PartitionRefused.
        """

    def tables(self) -> dict[PartitionNo, Table]:
        """The confirmed rows of every partition that is served here now. Not to be kept across an await."""

    def owner_url(self, partition: PartitionNo) -> str | None:
        """Where another node serves the partition, None when that is not known."""

    async def wait_for_table(self, session: SessionId, wait_s: float) -> Table:
        """As `table`, but waits up to wait_s while the partition is being restored here."""

    async def submit(self, session: SessionId, command: AnyCommand) -> Answer:
        """Put a command on chat.messages and wait until it is decided and confirmed here.

        The command carries an id. Raises NotOwner or PartitionRefused (nothing was sent), OutcomeUnknown (repeat it
        under the same id), RecordTooLarge, QueueFull.
        """

    def running(self, session: SessionId) -> tuple[MessageId, int] | None:
        """(message id, attempt) of the call of the model that runs here now for the session."""

    def status(self) -> list[PartitionStatus]:
        """Every partition that is assigned here."""

    @property
    def stopping(self) -> bool:
        """The node is shutting down: refuse new waits."""
