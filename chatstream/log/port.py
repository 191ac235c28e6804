"""What the engine needs of a log, and nothing more. Adapters pass one contract suite.

All methods are called, and all callbacks are made, on the event loop. Callbacks come in batches, and never from inside
the call that caused them. Errors are core.errors.LogError and below, whatever the library underneath raises.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NewType, Protocol

import msgspec

from chatstream.core.claims import Headers
from chatstream.core.ids import Offset, PartitionNo

Lease = NewType("Lease", int)
"""Names one `fetch_from`: records that were on their way for an earlier one can be told apart and dropped."""


class Topic(StrEnum):
    """The five topics. Their settings are in topics.yaml."""

    MESSAGES = "chat.messages"
    EVENTS = "chat.events"
    REPLIES = "chat.replies"
    DEAD_LETTERS = "chat.dead-letters"
    OWNERS = "chat.owners"


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record as read. at_ms: its timestamp, milliseconds since 1970.

    Unknown to the garbage collector: with it, turning 20,000 messages with headers into records took about 3 times as long.
    """

    offset: Offset
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    at_ms: int = 0


class Ack(msgspec.Struct, frozen=True, gc=False):
    """What became of one append. tag: as given with it; it must not hold the Ack, which the garbage collector ignores.

    offset: where it landed, None when it did not or nobody knows; then error says why (OutcomeUnknown, RecordTooLarge, …).
    """

    tag: Any
    offset: Offset | None
    error: Exception | None = None


class TopicIdentity(msgspec.Struct, frozen=True):
    """Which topic it is: the broker's id, new when a topic is made again under the same name; and its partition count."""

    id: str
    partitions: int


class AckListener(Protocol):
    """Takes acks, in the order in which the appends of one partition were made."""

    def __call__(self, acks: Sequence[Ack], /) -> None: ...


class Producer(Protocol):
    """Appends, pipelined. One that has failed stays failed: abandon it and open another."""

    def append(
        self,
        topic: Topic,
        partition: PartitionNo,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        tag: Any,
    ) -> None:
        """Send a record; its Ack comes later, exactly once, unless the producer is abandoned first.

        Idempotent, acks from all in-sync replicas, and in one partition never a gap: if one append fails, no later one
        lands (they fail too). Raises QueueFull when the producer's own buffer is full, RecordTooLarge when it is
        larger than the topic's limit; then nothing was sent.
        """

    def abandon(self) -> None:
        """Throw the producer away: purge what is queued and in flight (it may still land), give no more acks. Repeatable."""

    async def close(self, wait_s: float) -> None:
        """Let what is in flight be acked, at most wait_s, then abandon."""


class Reader(Protocol):
    """Reads one partition onward from an offset. Own topics are read uncommitted: there are no transactions in them."""

    @property
    def position(self) -> Offset:
        """Next offset to be read; moves over holes (compaction), so compare it with `end`, not with records seen."""

    async def read(self, most: int, wait_s: float) -> list[Record]:
        """Up to `most` records, in order; empty after wait_s without any.

        Raises LogUnavailable when the log does not answer, LogReplaced when the position is outside the log.
        """

    async def close(self) -> None:
        """Free what it holds. Repeatable."""


class GroupListener(Protocol):
    """Told of the membership and given the inbound records. None of it may raise."""

    def on_assigned(self, partitions: Sequence[PartitionNo]) -> None:
        """These were added to this member; they are paused until fetch_from."""

    def on_revoked(self, partitions: Sequence[PartitionNo]) -> None:
        """These are no longer this member's, given up or lost; nothing more of them is delivered."""

    def on_records(self, partition: PartitionNo, lease: Lease, records: Sequence[Record]) -> None:
        """Inbound records in order, never empty, all of one fetch_from."""

    def on_reached(self, partition: PartitionNo, lease: Lease, end: Offset) -> None:
        """Everything below `end` was delivered, or is a hole: a transaction's marker, or a record of an aborted one.

        Told where holes stand at the end, so that the position can move over them while nothing comes.
        """


class Group(Protocol):
    """Membership in the consumer group over chat.messages, and its records, read committed.

    A broken consumer is thrown away and rebuilt inside: the listener sees on_revoked for all it had, later on_assigned.
    """

    async def join(self, listener: GroupListener) -> None:
        """Become a member. Returns at once; assignments come to the listener."""

    def fetch_from(self, partition: PartitionNo, offset: Offset, lease: Lease) -> None:
        """Seek, drop what was prefetched, and deliver from `offset` under this lease. Unassigned meanwhile: no effect.

        An offset below the log's start or past its end is clamped to the start or the end; the caller checked them.
        """

    def pause(self, partition: PartitionNo) -> None:
        """Deliver no more of it until resume; records on their way may still come."""

    def resume(self, partition: PartitionNo) -> None:
        """Deliver again from where it paused."""

    async def proves_membership(self, partition: PartitionNo, offset: Offset) -> bool:
        """Does a synchronous offset commit in this generation succeed? False also when the log does not answer."""

    def commit(self, offsets: Mapping[PartitionNo, Offset]) -> None:
        """Publish next-to-read offsets for lag dashboards, some time. Nothing is read back from it."""

    async def leave(self) -> None:
        """Leave so that others take over at once: unsubscribe, wait until unassigned, close. Repeatable."""


class Log(Protocol):
    """A log: where records are appended and read, by topic and partition."""

    async def open(self) -> None:
        """Connect, or open the files. Raises LogUnavailable, or DirectoryInUse."""

    async def close(self) -> None:
        """Close everything that was opened through this log. Repeatable."""

    async def identify(self) -> dict[Topic, TopicIdentity]:
        """All topics that exist. Raises LogUnavailable."""

    async def bounds(self, topic: Topic, partition: PartitionNo) -> tuple[Offset, Offset]:
        """(first offset kept, end): end is the next offset to be written (the high watermark). Raises LogUnavailable."""

    def open_reader(self, topic: Topic, partition: PartitionNo, offset: Offset) -> Reader:
        """A reader that starts at `offset`."""

    def open_producer(self, on_acks: AckListener) -> Producer:
        """A fresh producer that shares nothing with earlier ones."""

    def group(self) -> Group:
        """This node's membership."""
