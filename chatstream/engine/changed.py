"""Whether the topics are still those that a partition was last served from: what its latest claim and position say."""

import msgspec

from chatstream.core.claims import Ownership
from chatstream.core.ids import PartitionNo
from chatstream.log.port import Log, Topic, TopicIdentity


class Changed(msgspec.Struct, frozen=True):
    """Something that only an operator may decide about. adoptable: `chatstream adopt` can go on from here."""

    sentence: str
    adoptable: bool = False


async def what_changed(
    log_: Log, partition: PartitionNo, owner: Ownership, identity: dict[Topic, TopicIdentity]
) -> Changed | None:
    """What stops a partition; None when nothing does. owner: folded to the end. Raises LogUnavailable."""
    if not owner.claim:
        return None
    messages = identity[Topic.MESSAGES]
    if owner.partitions != messages.partitions:
        return Changed(
            f"chat.messages has {messages.partitions} partitions, it had {owner.partitions} when partition {partition} "
            "was last served: sessions would move. Put the old count back"
        )
    for topic in (Topic.EVENTS, Topic.MESSAGES):
        if owner.topics.get(topic) not in (None, identity[topic].id):
            way = "; `chatstream adopt` goes on with the new one" if topic is Topic.MESSAGES else ""
            return Changed(
                f"{topic} is not the topic that partition {partition} was served from: it was deleted and made again{way}",
                adoptable=topic is Topic.MESSAGES,
            )
    first, end = await log_.bounds(Topic.MESSAGES, partition)
    if owner.position.offset >= end:
        return Changed(
            f"chat.messages/{partition} ends at offset {end}, but {owner.position.offset} was decided already: it was cut. "
            "Delete chat.messages, have it made again, and run `chatstream adopt`"
        )
    if first > owner.position.offset + 1:
        return Changed(
            f"chat.messages/{partition} starts at offset {first}, but only {owner.position.offset} and what is before it "
            "was decided: commands were lost to retention; `chatstream adopt` goes on with what is left",
            adoptable=True,
        )
    return None
