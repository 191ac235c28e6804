"""Inbound records that are not decided where they stand: what is no command, and what a foreign partitioner misplaced.

What is produced for them is a pure function of the record and its place, so that reading it again produces identical bytes.
"""

import re
from collections.abc import Callable
from typing import Final

from chatstream.core.claims import Headers
from chatstream.core.errors import BadCommand, LogError, RecordTooLarge
from chatstream.core.ids import InputPosition, MessageId, PartitionNo, place_id
from chatstream.core.limits import KIB, Limits
from chatstream.engine.inputs import Inputs
from chatstream.engine.surroundings import FORWARDED_HEADER, Doubt, Surroundings
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
    record: Record, partition: PartitionNo, why: BadCommand, value_bytes_most: int, generation: int = 0
) -> tuple[bytes, bytes | None, Headers]:
    """Key, value and headers on chat.dead-letters. The value is the original, unless its session was erased.

    Headers: reason, topic, partition, offset; generation, of the input, where it is above 0; key where there was one; cut and
    key-cut, the original sizes, where value or key were cut.
    """
    value = None if why.reason == "session-erased" else record.value
    headers: list[tuple[str, bytes]] = [
        ("reason", why.reason.encode()),
        ("topic", Topic.MESSAGES.encode()),
        ("partition", b"%d" % partition),
        ("offset", b"%d" % record.offset),
    ]
    if generation:
        headers.append(("generation", b"%d" % generation))
    if record.key is not None:
        headers.append(("key", record.key[:KEY_BYTES_MAX]))
        if len(record.key) > KEY_BYTES_MAX:
            headers.append(("key-cut", b"%d" % len(record.key)))
    if value is not None and len(value) > value_bytes_most:
        headers.append(("cut", b"%d" % len(value)))
        value = value[:value_bytes_most]
    return b"%d/%d" % (partition, record.offset), value, tuple(headers)


class Aside:
    """Where one writer sets records aside. on_settled: told of each what became of it, with the doubt if there is any."""

    def __init__(
        self,
        number: PartitionNo,
        inputs: Inputs,
        limits: Limits,
        around: Surroundings,
        on_settled: Callable[[InputPosition, Doubt | None], None],
    ) -> None:
        self._number = number
        self._inputs = inputs
        self._limits = limits
        self._around = around
        self._on_settled = on_settled

    def forward(self, record: Record, at: InputPosition, home: PartitionNo, forwarded: bytes | None) -> None:
        """Produce a misplaced record where it belongs. forwarded: its header of that name.

        Raises BadCommand when that is no help, or it has no room for the header.
        """
        if forwarded is not None:
            raise BadCommand("misrouted", "the record was forwarded once and is still not at home")
        headers = forward_headers(record, self._number, at)
        try:
            self._produce(at, Topic.MESSAGES, home, record.key, record.value, headers)
        except RecordTooLarge as error:
            raise BadCommand("too-large", f"the record cannot be forwarded: {error}") from error

    def bury(self, record: Record, at: InputPosition, why: BadCommand) -> None:
        """Produce a record's dead letter."""
        letter = dead_letter(record, self._number, why, self._limits.dead_letter_bytes, at.generation)
        self._produce(at, Topic.DEAD_LETTERS, PartitionNo(0), *letter)

    def _produce(
        self, at: InputPosition, topic: Topic, partition: PartitionNo, key: bytes | None, value: bytes | None, headers: Headers
    ) -> None:
        def done(landed: bool) -> None:
            lost = Doubt(f"a record for {topic} was not acknowledged", producer=False)
            self._on_settled(at, None if landed else lost)

        self._inputs.set_aside(at)
        try:
            self._around.set_aside(topic, partition, key, value, headers, done)
        except LogError as error:
            if topic is Topic.MESSAGES and isinstance(error, RecordTooLarge):
                raise
            self._on_settled(at, Doubt(f"a record for {topic} could not be sent: {error}", producer=False))
