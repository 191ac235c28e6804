"""Server-sent events, read from the bytes as they come."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import NamedTuple

from chatstream.core.errors import BadAnswer


class Frame(NamedTuple):
    """One event. name: of the event, empty where it has none."""

    name: str
    data: bytes
    id: str


async def frames(parts: AsyncIterator[bytes], most_bytes: int) -> AsyncGenerator[Frame, None]:
    """The frames of a stream; comments are skipped. Raises BadAnswer for one that is larger than most_bytes."""
    lines: list[bytes] = []
    size_bytes = 0
    async for line in _lines(parts, most_bytes):
        size_bytes += len(line)
        if size_bytes > most_bytes:
            raise BadAnswer(f"a frame of the stream is larger than {most_bytes} bytes")
        if line:
            lines.append(line)
            continue
        frame = _frame(lines)
        lines, size_bytes = [], 0
        if frame is not None:
            yield frame


async def _lines(parts: AsyncIterator[bytes], most_bytes: int) -> AsyncGenerator[bytes, None]:
    """Without their ends; what follows the last end is no line."""
    rest: list[bytes] = []
    rest_bytes = 0
    async for part in parts:
        first, *others = part.replace(b"\r", b"").split(b"\n")
        rest.append(first)
        rest_bytes += len(first)
        if rest_bytes > most_bytes:
            raise BadAnswer(f"a line of the stream is longer than {most_bytes} bytes")
        for other in others:
            yield b"".join(rest)
            rest, rest_bytes = [other], len(other)


def _frame(lines: list[bytes]) -> Frame | None:
    name, data, event_id = "", [], ""
    for line in lines:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode(errors="replace")
        elif field == b"id":
            event_id = value.decode(errors="replace")
    return Frame(name, b"\n".join(data), event_id) if data else None
