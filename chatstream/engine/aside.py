"""Inbound records that are not decided where they stand: what is no command, and what a foreign partitioner misplaced.

Both are pure functions of the record, so that reading it again produces identical bytes.
"""

from chatstream.core.claims import Headers
from chatstream.core.errors import BadCommand
from chatstream.core.ids import MessageId, PartitionNo, place_id
from chatstream.engine.surroundings import FORWARDED_HEADER
from chatstream.log.port import Record, Topic


def place_of(record: Record, partition: PartitionNo, forwarded: bytes | None) -> MessageId:
    """The id of a command that brought none: where it stood first, on whatever partition."""
    if forwarded is not None:
        first, _, offset = forwarded.partition(b"/")
        if first.isdigit() and offset.isdigit():
            return place_id(int(first), int(offset))
    return place_id(partition, record.offset)


def forward_headers(record: Record, partition: PartitionNo) -> Headers:
    """A misplaced record's headers, and where it stood."""
    return (*record.headers, (FORWARDED_HEADER, b"%d/%d" % (partition, record.offset)))


def dead_letter(
    record: Record, partition: PartitionNo, why: BadCommand, value_bytes_most: int
) -> tuple[bytes, bytes | None, Headers]:
    """Key, value and headers on chat.dead-letters. The value is the original, unless its session was erased.

    Headers: reason, topic, partition, offset; key where there was one; cut, the original size, where the value was cut.
    """
    value = None if why.reason == "session-erased" else record.value
    headers: list[tuple[str, bytes]] = [
        ("reason", why.reason.encode()),
        ("topic", Topic.MESSAGES.encode()),
        ("partition", b"%d" % partition),
        ("offset", b"%d" % record.offset),
    ]
    if record.key is not None:
        headers.append(("key", record.key))
    if value is not None and len(value) > value_bytes_most:
        headers.append(("cut", b"%d" % len(value)))
        value = value[:value_bytes_most]
    return b"%d/%d" % (partition, record.offset), value, tuple(headers)
