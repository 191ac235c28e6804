"""How large a record is and how large it may be: one count for all adapters, so that they refuse the same records."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from chatstream.core.claims import Headers
from chatstream.core.errors import RecordTooLarge
from chatstream.core.limits import MIB
from chatstream.log.port import Topic

RECORD_BYTES_MAX: Final[Mapping[Topic, int]] = MappingProxyType(
    {
        Topic.MESSAGES: 1 * MIB,
        Topic.EVENTS: 8 * MIB,
        Topic.REPLIES: 8 * MIB,
        Topic.DEAD_LETTERS: 2 * MIB,
        Topic.OWNERS: 1 * MIB,
    }
)
"""`max.message.bytes` of each topic, as in topics.yaml."""

_BATCH_BYTES: Final = 61
"""The header of one of Kafka's record batches (message format v2)."""
_RECORD_BYTES: Final = 39
"""The most that a record takes in it beside its key, value and headers: a byte of attributes,
six varints of up to 5 bytes and one of up to 10, rounded up to a hundred together with the batch header."""
_HEADER_BYTES: Final = 10
"""The most that a header takes beside its name and value: two varints of up to 5 bytes."""


def record_bytes(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """The most that the record can take when it is sent alone, which is what the broker compares with its limit."""
    size = _BATCH_BYTES + _RECORD_BYTES + len(key or b"") + len(value or b"")
    for name, content in headers:
        size += _HEADER_BYTES + len(name.encode()) + len(content)
    return size


def checked_bytes(topic: Topic, key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """The record's size. Raises RecordTooLarge when it is larger than its topic's limit."""
    size = record_bytes(key, value, headers)
    most = RECORD_BYTES_MAX[topic]
    if size > most:
        raise RecordTooLarge(f"a record of {size} bytes is larger than {topic} allows ({most} bytes)")
    return size
