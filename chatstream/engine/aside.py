"""Inbound records that are not decided where they stand: what is no command, and what a foreign partitioner misplaced.

All are pure functions of the record and its place, so that reading it again produces identical bytes.
"""

import re
from typing import Final

from chatstream.core.claims import Headers
from chatstream.core.errors import BadCommand
from chatstream.core.ids import InputPosition, MessageId, PartitionNo, place_id
from chatstream.core.limits import KIB
from chatstream.engine.surroundings import FORWARDED_HEADER
from chatstream.log.port import Record, Topic

KEY_BYTES_MAX: Final = 32 * KIB
"""Of a dead letter's original key: with the longest value it still fits chat.dead-letters, whatever a client compressed."""

_PLACE: Final = re.compile(rb"([0-9]{1,18})/(?:([0-9]{1,18})\.)?([0-9]{1,18})")


def place_of(partition: PartitionNo, at: InputPosition, forwarded: bytes | None) -> MessageId:
    """The id of a command that brought none: where it stood first, on whatever partition."""
    found = None if forwarded is None else _PLACE.fullmatch(forwarded)
    if found is not None:
        return place_id(int(found[1]), int(found[3]), int(found[2] or 0))
    return place_id(partition, at.offset, at.generation)


def forward_headers(record: Record, partition: PartitionNo, at: InputPosition) -> Headers:
    """A misplaced record's headers, and where it stood: `partition/offset`, or `partition/generation.offset` above 0."""
    place = b"%d.%d" % at if at.generation else b"%d" % at.offset
    return (*record.headers, (FORWARDED_HEADER, b"%d/%b" % (partition, place)))


def dead_letter(
    record: Record, partition: PartitionNo, why: BadCommand, value_bytes_most: int
) -> tuple[bytes, bytes | None, Headers]:
    """Key, value and headers on chat.dead-letters. The value is the original, unless its session was erased.

    Headers: reason, topic, partition, offset; key where there was one; cut and key-cut, the original sizes, where value or
    key were cut.
    """
    value = None if why.reason == "session-erased" else record.value
    headers: list[tuple[str, bytes]] = [
        ("reason", why.reason.encode()),
        ("topic", Topic.MESSAGES.encode()),
        ("partition", b"%d" % partition),
        ("offset", b"%d" % record.offset),
    ]
    if record.key is not None:
        headers.append(("key", record.key[:KEY_BYTES_MAX]))
        if len(record.key) > KEY_BYTES_MAX:
            headers.append(("key-cut", b"%d" % len(record.key)))
    if value is not None and len(value) > value_bytes_most:
        headers.append(("cut", b"%d" % len(value)))
        value = value[:value_bytes_most]
    return b"%d/%d" % (partition, record.offset), value, tuple(headers)
