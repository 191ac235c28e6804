"""The library's messages as our records."""

from typing import Any, Final

from confluent_kafka import Message

from chatstream.log.port import Record

_NO_HEADERS: Final = ()


def record_of(message: Message) -> Record:
    """A message without an error as a record."""
    return Record(
        message.offset(),  # type: ignore[arg-type]  # a message without an error has an offset
        message.key(),
        message.value(),
        _headers_of(message),
        message.timestamp()[1],
    )


def _headers_of(message: Message) -> tuple[tuple[str, bytes], ...]:
    try:
        headers: Any = message.headers()
    except UnicodeDecodeError:
        # Foreign producers may name headers as they like; a record must not be able to stop the partition.
        return _NO_HEADERS
    if not headers:
        return _NO_HEADERS
    for header in headers:
        if header[1] is None:
            return tuple([(name, value or b"") for name, value in headers])
    # The library's own pairs are kept, not made again: there are three on each of our records.
    return tuple(headers)
