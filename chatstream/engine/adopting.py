"""An operator's way on when chat.messages was made again, or has lost commands: a claim with a higher input generation.

Offsets start again with a new topic, so positions are compared as (generation, offset): what was decided before stays
decided, and everything on the topic as it is now is still to be decided. Whoever claims next keeps the generation.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from chatstream.core.claims import (
    CLAIM_HEADER,
    POS_HEADER,
    Claim,
    Headers,
    Ownership,
    claim_record,
    mark_key,
    write_position,
)
from chatstream.core.codec import FORMAT
from chatstream.core.errors import ChatstreamError, LogReplaced, OutcomeUnknown
from chatstream.core.ids import Epoch, InputPosition, NodeId, Offset, PartitionNo
from chatstream.engine.changed import what_changed
from chatstream.engine.claiming import fold_ownership
from chatstream.log.port import Ack, Log, Producer, Topic, TopicIdentity

READ_WAIT_S: Final = 30.0
ACK_WAIT_S: Final = 30.0
NODE: Final = NodeId("adopt")
"""Who the claim says writes the partition; nobody of that name ever does."""


class CannotAdopt(ChatstreamError):
    """There is nothing to adopt, or something that adopting cannot mend: the message says what was found."""

    code = "cannot-adopt"


class _Found(msgspec.Struct):
    """A partition that stands still. owner: folded up to `end`. first: of its commands, the oldest that is left."""

    partition: PartitionNo
    owner: Ownership
    end: Offset
    sentence: str
    first: Offset


class _Acks:
    """Completes the future that was given with each append."""

    def __call__(self, acks: Sequence[Ack]) -> None:
        for ack in acks:
            if not ack.tag.done():
                ack.tag.set_result(ack)


async def adopt(log_: Log, fresh_id: Callable[[], str], say: Callable[[str], None]) -> None:
    """Let every partition that stands still because of its commands go on from what chat.messages holds now.

    1. Look at all of them, and change nothing if one of them cannot be mended so, or none has to.
    2. Claim each with the next input generation. Where older commands are gone, a mark puts the position behind them.
    3. See that the claim is the current one: a node may have claimed in the same moment.
    Interrupted, it can be run again. say: told a sentence for each partition. Raises CannotAdopt, LogReplaced,
    LogUnavailable, OutcomeUnknown, UnknownFormat.
    """
    identity = await log_.identify()
    missing = [topic for topic in Topic if topic not in identity]
    if missing:
        raise LogReplaced(f"topics are missing: {', '.join(missing)}")
    stopped = await _stopped(log_, identity)
    producer = log_.open_producer(_Acks())
    try:
        for found in stopped:
            say(found.sentence)
            claim = _claim_for(found, identity, fresh_id())
            await _take(log_, producer, found, claim)
            say(
                f"partition {found.partition} goes on from offset {found.first} of chat.messages, "
                f"as input generation {claim.generation}"
            )
    finally:
        await producer.close(wait_s=ACK_WAIT_S)


async def _stopped(log_: Log, identity: dict[Topic, TopicIdentity]) -> list[_Found]:
    """The partitions to adopt, at least one. Raises CannotAdopt."""
    stopped: list[_Found] = []
    hopeless: list[str] = []
    for number in map(PartitionNo, range(identity[Topic.EVENTS].partitions)):
        start, end = await log_.bounds(Topic.EVENTS, number)
        owner = await fold_ownership(log_, number, Ownership(), start, end, READ_WAIT_S)
        changed = await what_changed(log_, number, owner, identity)
        if changed is not None and not changed.adoptable:
            hopeless.append(changed.sentence)
        elif changed is not None:
            first, _ = await log_.bounds(Topic.MESSAGES, number)
            stopped.append(_Found(number, owner, end, changed.sentence, first))
    if hopeless:
        raise CannotAdopt(f"nothing was changed, because adopting cannot mend this: {'; '.join(hopeless)}")
    if not stopped:
        raise CannotAdopt("every partition can be served as its topics are: there is nothing to adopt")
    return stopped


def _claim_for(found: _Found, identity: dict[Topic, TopicIdentity], fresh_id: str) -> Claim:
    return Claim(
        epoch=Epoch(found.owner.epoch + 1),
        id=fresh_id,
        node=NODE,
        url="",
        format=FORMAT,
        topics={str(topic): each.id for topic, each in sorted(identity.items())},
        partitions=identity[Topic.MESSAGES].partitions,
        generation=found.owner.generation + 1,
    )


async def _take(log_: Log, producer: Producer, found: _Found, claim: Claim) -> None:
    number = found.partition
    landed = await _append(producer, number, *claim_record(claim))
    if found.first > 0:
        behind = write_position(InputPosition(claim.generation, Offset(found.first - 1)))
        headers = ((CLAIM_HEADER, claim.name.encode()), (POS_HEADER, behind))
        landed = await _append(producer, number, mark_key(claim.name, 1), b"{}", headers)
    _, end = await log_.bounds(Topic.EVENTS, number)
    owner = await fold_ownership(log_, number, found.owner, found.end, Offset(max(end, landed + 1)), READ_WAIT_S)
    if owner.generation != claim.generation:
        raise CannotAdopt(f"partition {number} was claimed by {owner.node} in the same moment: run it again")


async def _append(producer: Producer, partition: PartitionNo, key: bytes, value: bytes, headers: Headers = ()) -> Offset:
    acked: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
    producer.append(Topic.EVENTS, partition, key, value, headers, acked)
    try:
        async with asyncio.timeout(ACK_WAIT_S):
            ack = await acked
    except TimeoutError as error:
        raise OutcomeUnknown(f"partition {partition}: the claim was not acknowledged within {ACK_WAIT_S:g} s") from error
    if ack.offset is None:
        raise OutcomeUnknown(f"partition {partition}: whether the claim landed is unknown: {ack.error}") from ack.error
    return ack.offset
