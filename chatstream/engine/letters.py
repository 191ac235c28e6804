"""Reading chat.dead-letters, and producing one of them again, for a person who has mended what was wrong."""

import asyncio
import base64
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from chatstream.core.errors import BadCommand, OutcomeUnknown
from chatstream.core.ids import InputPosition, MessageId, Offset, PartitionNo
from chatstream.core.partitioner import partition_of
from chatstream.engine.aside import place_of
from chatstream.engine.surroundings import FORWARDED_HEADER
from chatstream.log.port import Ack, Log, Record, Topic

PARTITION: Final = PartitionNo(0)
"""All dead letters stand on one."""
READ_S: Final = 2.0
APPEND_S: Final = 10.0
SHOWN_BYTES: Final = 4096
"""Of a letter's value, where several are shown."""


class Letter(msgspec.Struct, frozen=True):
    """A dead letter. offset: of its own; place: `partition/offset` of the command. text: of its value, as far as it is shown
    and readable; base64: the same bytes where they are no UTF-8. size_bytes: of the value that is kept. whole: it can be
    produced again."""

    offset: Offset
    at_ms: int
    reason: str
    place: str
    key: str
    text: str
    base64: str
    size_bytes: int
    whole: bool


class DeadLetters:
    """The dead letters of a log. partitions: how many chat.messages has, known once the node has looked."""

    def __init__(self, log: Log, partitions: Callable[[], int]) -> None:
        self._log = log
        self._partitions = partitions

    async def newest(self, most: int) -> list[Letter]:
        """The newest, newest first. Raises LogUnavailable."""
        first, end = await self._log.bounds(Topic.DEAD_LETTERS, PARTITION)
        start = Offset(max(first, end - most))
        return [_letter(record) for record in reversed(await self._read(start, end, most))]

    async def redrive(self, offset: Offset) -> MessageId:
        """Produce a letter's command again, as one that is forwarded from where it stood: it keeps its id, and however often
        it is produced again it is taken once. Returns the id that it has from that place if it brought none.

        Raises BadCommand when there is no such letter or it is not whole, OutcomeUnknown when the log did not answer.
        """
        first, end = await self._log.bounds(Topic.DEAD_LETTERS, PARTITION)
        found = await self._read(offset, Offset(offset + 1), 1) if first <= offset < end else []
        if not found or found[0].offset != offset:
            raise BadCommand("no-such-letter", "there is no such dead letter, or none any more")
        if not _is_whole(found[0]):
            raise BadCommand("not-whole", "of this dead letter not all bytes were kept, so it cannot be produced again")
        told = dict(found[0].headers)
        place = _place(told)
        await self._produce(told["key"], found[0].value, place)
        return place_of(PartitionNo(0), InputPosition(0, offset), place)

    async def _read(self, start: Offset, end: Offset, most: int) -> list[Record]:
        found: list[Record] = []
        reader = self._log.open_reader(Topic.DEAD_LETTERS, PARTITION, start)
        try:
            ends_at_s = asyncio.get_running_loop().time() + READ_S
            while reader.position < end and len(found) < most and asyncio.get_running_loop().time() < ends_at_s:
                found += await reader.read(most - len(found), READ_S)
        finally:
            await reader.close()
        return [record for record in found if record.offset < end]

    async def _produce(self, key: bytes, value: bytes | None, place: bytes) -> None:
        acked: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()

        def on_acks(acks: Sequence[Ack]) -> None:
            if not acked.done():
                acked.set_result(acks[0])

        producer = self._log.open_producer(on_acks)
        try:
            home = partition_of(key, self._partitions())
            producer.append(Topic.MESSAGES, home, key, value, ((FORWARDED_HEADER, place),), None)
            async with asyncio.timeout(APPEND_S):
                ack = await acked
        except TimeoutError:
            raise OutcomeUnknown("the log did not answer; it may have landed") from None
        finally:
            producer.abandon()
        if ack.offset is None:
            raise OutcomeUnknown(f"the log did not answer: {ack.error}")


def _is_whole(record: Record) -> bool:
    told = dict(record.headers)
    return record.value is not None and "key" in told and not {"cut", "key-cut"} & told.keys()


def _place(told: dict[str, bytes]) -> bytes:
    """Where the command stood, as the header `forwarded` has it."""
    generation = told.get("generation")
    return b"%b/%b%b" % (told["partition"], b"" if generation is None else generation + b".", told["offset"])


def _letter(record: Record) -> Letter:
    told = {name: value.decode(errors="replace") for name, value in record.headers}
    value = record.value or b""
    shown = value[:SHOWN_BYTES]
    try:
        text, packed = shown.decode(), ""
    except UnicodeDecodeError:
        text, packed = "", base64.b64encode(shown).decode()
    return Letter(
        offset=record.offset,
        at_ms=record.at_ms,
        reason=told.get("reason", ""),
        place=f"{told.get('partition', '?')}/{told.get('offset', '?')}",
        key=told.get("key", ""),
        text=text,
        base64=packed,
        size_bytes=len(value),
        whole=_is_whole(record),
    )
