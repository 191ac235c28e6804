"""A session's events, one after the other: each once and in order, whatever happens to the nodes in between.

The place is the seq of the last event that was handed out, so what breaks off in the middle is asked for again from there.
"""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, Literal, NamedTuple

import msgspec

from chatstream.client import sse
from chatstream.client.absence import Absence, Told
from chatstream.client.transport import Asked, Transport, decoded, session_path
from chatstream.core.codec import read_event
from chatstream.core.errors import BadAnswer, BadInput, ChatstreamError
from chatstream.core.events import AnyEvent

Mode = Literal["sse", "long-poll"]
START: Final = "-1"
NOW: Final = "now"
NEXT_OFFSET: Final = "Stream-Next-Offset"
_TOKEN: Final = re.compile(r"\d{16}_\d{16}", re.ASCII)

_events: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def offset_behind(event: AnyEvent) -> str:
    """The offset from which the event's followers come: for whoever wants to go on there another day."""
    return f"{0:016d}_{event.seq:016d}"


def checked_offset(offset: str) -> str:
    """Raises BadInput for what is no offset."""
    if offset not in (START, NOW) and _TOKEN.fullmatch(offset) is None:
        raise BadInput(f"offset is -1, now, or one that was given, not {offset!r}")
    return offset


class Place:
    """How far a reader has come. offset: where it goes on. seq: of the last event, None before anything is known."""

    def __init__(self, offset: str) -> None:
        self.offset = checked_offset(offset)
        self.seq: int | None = {START: 0, NOW: None}.get(offset, _seq(offset))

    def take(self, event: AnyEvent) -> bool:
        """Is it the next one? False for one that was handed out before. Raises BadAnswer where some are left out."""
        if self.seq is not None and event.seq <= self.seq:
            return False
        if self.seq is not None and event.seq != self.seq + 1:
            raise BadAnswer(f"event {event.seq} of session {event.session} came behind event {self.seq}")
        self.seq = event.seq
        self.offset = offset_behind(event)
        return True

    def reach(self, offset: str) -> None:
        """The node says where to go on; never back."""
        if _TOKEN.fullmatch(offset) is None:
            raise BadAnswer(f"{NEXT_OFFSET} is {offset!r}: that is not chatstream")
        seq = _seq(offset)
        assert seq is not None
        if self.seq is None:
            self.seq, self.offset = seq, offset


def _seq(offset: str) -> int | None:
    return int(offset[-16:]) if _TOKEN.fullmatch(offset) else None


class Batch(NamedTuple):
    """Events as they stand in one answer, and where to go on behind them."""

    values: list[msgspec.Raw]
    offset: str


class Control(msgspec.Struct, frozen=True, rename="camel"):
    """What counts of a control frame."""

    stream_next_offset: str


async def follow(
    transport: Transport, session: str, offset: str, mode: Mode, told: Told | None
) -> AsyncGenerator[AnyEvent, None]:
    """Events behind an offset, without end. Raises Erased when the session is, ChatstreamError when no node comes back."""
    place, absence = Place(offset), Absence(transport.patience, told)
    read = _streamed if mode == "sse" else _polled
    while True:
        brought = False
        try:
            async with aclosing(read(transport, session, place)) as batches:
                async for batch in batches:
                    absence.over()
                    for event in (read_event(bytes(value)) for value in batch.values):
                        if place.take(event):
                            brought = True
                            yield event
                    place.reach(batch.offset)
            if not brought:
                await absence.rest()
        except ChatstreamError as error:
            await absence.wait(error)


async def _polled(transport: Transport, session: str, place: Place) -> AsyncGenerator[Batch, None]:
    """One long poll."""
    path = session_path(session, "/events", offset=place.offset, live="long-poll")
    async with transport.open(Asked("GET", path, wait_s=transport.patience.poll_s)) as answer:
        body = await answer.read()
        yield Batch(_values(body) if answer.status == 200 else [], answer.headers.get(NEXT_OFFSET, ""))


async def _streamed(transport: Transport, session: str, place: Place) -> AsyncGenerator[Batch, None]:
    """One stream, until it ends itself."""
    path = session_path(session, "/events", offset=place.offset, live="sse")
    patience = transport.patience
    values: list[msgspec.Raw] = []
    async with (
        transport.open(Asked("GET", path), patience.silence_s) as answer,
        aclosing(sse.frames(answer.content.iter_any(), patience.bytes_most)) as frames,
    ):
        async for frame in frames:
            if frame.name == "data":
                values = _values(frame.data)
            elif frame.name == "control":
                yield Batch(values, decoded(frame.data, Control, "a control frame").stream_next_offset)
                values = []


def _values(body: bytes) -> list[msgspec.Raw]:
    try:
        return _events(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadAnswer(f"the events are not a JSON array: {error}") from error
