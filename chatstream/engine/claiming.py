"""How a partition is taken over: restore, claim, prove.

`taken_over` is the one way into ownership, after a start, a rebalance, a fencing or a doubt.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from chatstream.core.claims import CLAIM_KEY, EPOCH_MAX, Claim, Ownership, claim_record, fold_record
from chatstream.core.codec import FORMAT
from chatstream.core.errors import LogReplaced, LogUnavailable, NotOwner, TableBroken
from chatstream.core.ids import Epoch, NodeId, Offset, PartitionNo
from chatstream.core.limits import Limits
from chatstream.engine.changed import what_changed
from chatstream.engine.projection import Projection
from chatstream.log.port import Log, Topic, TopicIdentity
from chatstream.table.port import TableStore

log = logging.getLogger(__name__)

READ_MOST: Final = 2_000
"""Records folded between two turns of the event loop: some 30 ms of work."""

SAME_COUNT: Final = (Topic.MESSAGES, Topic.EVENTS, Topic.REPLIES)
"""A command, what it leads to and the reply stand on partitions of the same number."""

KEY_WAIT_S: Final = 10.0

AppendClaim = Callable[[PartitionNo, bytes, bytes], Awaitable[Offset]]
"""Append a claim's key and value; returns the acked offset, raises LogError."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """Who claims. fresh_id: new for every claim."""

    node: NodeId
    url: str
    fresh_id: str


@asynccontextmanager
async def taken_over(
    log_: Log,
    tables: TableStore,
    partition: PartitionNo,
    candidate: Candidate,
    limits: Limits,
    append_claim: AppendClaim,
    opened: Callable[[Projection], None] = lambda _: None,
) -> AsyncIterator[tuple[Projection, Claim]]:
    """Restore the partition, claim it, and prove the claim; its table is open as long as the block runs.

    1. Open the table; a broken one, one of another log, or one ahead of the log is thrown away and folded from 0. Not so
       when the log that is there now was made again under us: then the table is all that is left, and it stays.
    2. Fold to the end. Only then is the highest epoch known, and with it which epoch can win.
    3. Refuse what only an operator may decide: topics made again, partitions added, commands lost to retention. It
       comes after the fold, because what the topics were is told by the last claim.
    4. Append the claim and wait for its ack: where it landed decides, not that it was sent.
    5. Fold until the claim itself was read, then on to the current end: a rival may stand before it or behind it.
    6. Our claim is the current one: we own the partition. Anything else: NotOwner.

    opened: told of the projection when its fold begins. A TableBroken in the block, or before it, has the table removed.
    Raises NotOwner, LogUnavailable, OutcomeUnknown, TableBroken (claim again), LogReplaced or UnknownFormat (an operator's
    case).
    """
    identity = await _identified(log_)
    projection = _opened(tables, partition, limits)
    try:
        projection = await _trusted(log_, projection, identity, limits)
        opened(projection)
        await fold_to(log_, projection, (await log_.bounds(Topic.EVENTS, partition))[1], limits)
        await _refuse_what_changed(log_, projection, identity)
        claim = _next_claim(projection, candidate, identity)
        landed = await append_claim(partition, *claim_record(claim))
        end = (await log_.bounds(Topic.EVENTS, partition))[1]
        await fold_to(log_, projection, Offset(max(end, landed + 1)), limits)
        if projection.ownership.claim != claim.name:
            raise NotOwner(partition, None)
        yield projection, claim
    except TableBroken:
        # It could be opened but not used: the next attempt finds it gone and folds a new one.
        projection.table.close()
        tables.destroy(partition)
        raise
    finally:
        projection.table.close()


async def _identified(log_: Log) -> dict[Topic, TopicIdentity]:
    """Which topics there are. Raises LogUnavailable when one is missing, LogReplaced when partitions were added to one."""
    identity = await log_.identify()
    for topic in SAME_COUNT:
        if topic not in identity:
            raise LogUnavailable(f"{topic} does not exist")
    if len({identity[topic].partitions for topic in SAME_COUNT}) > 1:
        counts = ", ".join(f"{topic} {identity[topic].partitions}" for topic in SAME_COUNT)
        raise LogReplaced(f"these topics need the same number of partitions and have: {counts}. Put the old count back")
    return identity


def _opened(tables: TableStore, partition: PartitionNo, limits: Limits) -> Projection:
    try:
        return Projection(partition, tables.open(partition), limits.cached_sessions)
    except TableBroken as error:
        log.error("partition %d: the table cannot be read, it is folded again from the log: %s", partition, error)
        tables.destroy(partition)
        return Projection(partition, tables.open(partition), limits.cached_sessions)


async def _trusted(log_: Log, projection: Projection, identity: dict[Topic, TopicIdentity], limits: Limits) -> Projection:
    why = await _mistrust(log_, projection, identity)
    if why is None:
        return projection
    if projection.next_offset:
        await _refuse_made_again(log_, projection.partition, identity[Topic.EVENTS], why, limits)
    log.error("partition %d: %s: the table is folded again from the log", projection.partition, why)
    projection.table.clear()
    return Projection(projection.partition, projection.table, limits.cached_sessions)


async def _mistrust(log_: Log, projection: Projection, identity: dict[Topic, TopicIdentity]) -> str | None:
    """Why the table does not belong to this log as it is now; None when it does."""
    if projection.next_offset == 0:
        used = next(projection.table.scan(b"", b"\xff"), None) is not None
        return "the table was written by another version" if used else None
    first, end = await log_.bounds(Topic.EVENTS, projection.partition)
    if projection.next_offset > end:
        return f"the table has folded to offset {projection.next_offset}, the log ends at {end}"
    if first > projection.next_offset:
        return f"the log starts at offset {first}, the table ends at {projection.next_offset}"
    owner = projection.ownership
    if owner.anchor < 0:
        return None
    if owner.topics.get(Topic.EVENTS) not in (None, identity[Topic.EVENTS].id):
        return "the table is of another chat.events"
    key = await _key_at(log_, projection.partition, owner.anchor)
    if key != CLAIM_KEY + owner.claim.encode():
        return f"the claim {owner.claim} is not at offset {owner.anchor} any more"
    return None


async def _key_at(log_: Log, partition: PartitionNo, offset: Offset) -> bytes | None:
    reader = log_.open_reader(Topic.EVENTS, partition, offset)
    try:
        found = await reader.read(1, wait_s=KEY_WAIT_S)
    finally:
        await reader.close()
    if not found:
        # Something stands there or behind it; a log that is slow is no reason to fold everything again.
        raise LogUnavailable(f"chat.events/{partition} gives nothing at offset {offset}")
    return found[0].key if found[0].offset == offset else None


async def _refuse_made_again(log_: Log, partition: PartitionNo, now: TopicIdentity, why: str, limits: Limits) -> None:
    """A table is given up only for a log that is whole and knows itself: its latest claim names the topic it stands in.

    Raises LogReplaced otherwise: chat.events was deleted and made again, and the table has what it had.
    """
    first, end = await log_.bounds(Topic.EVENTS, partition)
    if first == 0:
        owner = await fold_ownership(log_, partition, Ownership(), Offset(0), end, limits.append_s)
        if owner.topics.get(Topic.EVENTS) == now.id:
            return
    raise LogReplaced(
        f"chat.events/{partition} is not the log that partition {partition} was served from ({why}), and it is not a whole "
        "one either: it was deleted and made again, or its beginning was. This node's table is kept as it is"
    )


async def fold_ownership(
    log_: Log, partition: PartitionNo, owner: Ownership, start: Offset, end: Offset, wait_s: float
) -> Ownership:
    """The ownership, further by the records between two offsets: claims and what their records carry, no conversation.

    Raises LogUnavailable when nothing comes for wait_s.
    """
    if start >= end:
        return owner
    reader = log_.open_reader(Topic.EVENTS, partition, start)
    try:
        while reader.position < end:
            before = reader.position
            for record in await reader.read(READ_MOST, wait_s):
                owner, _ = fold_record(owner, record.offset, record.key, record.value, record.headers)
            if reader.position == before:
                raise LogUnavailable(f"chat.events/{partition} gives nothing at offset {before}, it ends at {end}")
    finally:
        await reader.close()
    return owner


async def fold_to(log_: Log, projection: Projection, end: Offset, limits: Limits) -> None:
    """Fold chat.events up to `end`, flushing as it goes. Waits for the position, not for a record: there are holes.

    Raises LogUnavailable when nothing comes for Limits.append_s.
    """
    if projection.next_offset >= end:
        return
    projection.restored_to = end
    reader = log_.open_reader(Topic.EVENTS, projection.partition, projection.next_offset)
    try:
        while reader.position < end:
            before = reader.position
            records = await reader.read(READ_MOST, wait_s=limits.append_s)
            projection.fold_all(records)
            if reader.position == before:
                raise LogUnavailable(f"chat.events/{projection.partition} gives nothing at offset {before}, it ends at {end}")
        projection.next_offset = max(projection.next_offset, reader.position)
        projection.flush()
    finally:
        await reader.close()


async def _refuse_what_changed(log_: Log, projection: Projection, identity: dict[Topic, TopicIdentity]) -> None:
    if projection.ownership.epoch >= EPOCH_MAX:
        raise LogReplaced(
            f"chat.events/{projection.partition} has a claim with epoch {EPOCH_MAX}, above which there is none: no node wrote "
            "that. The sessions of the partition can be read and not be continued: move them to new topics"
        )
    changed = await what_changed(log_, projection.partition, projection.ownership, identity)
    if changed is not None:
        raise LogReplaced(changed.sentence)


def _next_claim(projection: Projection, candidate: Candidate, identity: dict[Topic, TopicIdentity]) -> Claim:
    return Claim(
        epoch=Epoch(projection.ownership.epoch + 1),
        id=candidate.fresh_id,
        node=candidate.node,
        url=candidate.url,
        format=FORMAT,
        topics={str(topic): found.id for topic, found in sorted(identity.items())},
        partitions=identity[Topic.MESSAGES].partitions,
        generation=projection.ownership.generation,
    )
