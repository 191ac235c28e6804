"""A session as it happens: its events, and answers word by word while they are given.

A stream ends now and then, and the next one begins with the text so far. Where that is the text that was handed out already,
as far as it goes, nobody hears of the seam: only what is new is handed out. Where it is another text, the answer begins anew.
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Final

import msgspec

from chatstream.client import sse
from chatstream.client.absence import Absence, Told
from chatstream.client.following import Place
from chatstream.client.transport import Asked, Transport, session_path
from chatstream.core.codec import read_event
from chatstream.core.errors import BadAnswer, ChatstreamError
from chatstream.core.events import AnyEvent
from chatstream.core.unlogged import AttemptStarted, StreamReady, TextDelta, TurnRetrying

Frame = AnyEvent | AttemptStarted | TextDelta | TurnRetrying | StreamReady
Unlogged = AttemptStarted | TextDelta | TurnRetrying | StreamReady

_unlogged: Final = msgspec.json.Decoder(Unlogged).decode
_UNLOGGED: Final = frozenset(kind.__struct_config__.tag for kind in (AttemptStarted, TextDelta, TurnRetrying, StreamReady))


class Kind(msgspec.Struct, frozen=True):
    """What tells a frame from another. seq: 0 for what is never logged."""

    type: str
    seq: int = 0


_kind: Final = msgspec.json.Decoder(Kind).decode


class Seam:
    """Joins what several streams tell of one attempt."""

    def __init__(self) -> None:
        self._now: AttemptStarted | None = None
        self._said: list[str] = []
        self._index = 0
        self._again: str | None = None

    def next_stream(self) -> None:
        """Another stream begins."""
        self._again = None

    def start(self, started: AttemptStarted) -> Iterator[Unlogged]:
        """The attempt begins, or is told again."""
        if started == self._now:
            self._again = ""
            return
        self._now, self._said, self._index, self._again = started, [], 0, None
        yield started

    def say(self, delta: TextDelta) -> Iterator[Unlogged]:
        """A piece of text: what of it is new."""
        if self._again is None:
            yield self._new(delta, delta.text)
            return
        said = "".join(self._said)
        self._again += delta.text
        if said.startswith(self._again):
            return
        now, told = self._now, self._again
        self._again = None
        if told.startswith(said):
            yield self._new(delta, told[len(said) :])
        elif now is not None:
            self._said, self._index = [], 0
            yield now
            yield self._new(delta, told)

    def _new(self, delta: TextDelta, text: str) -> TextDelta:
        self._said.append(text)
        self._index += 1
        return msgspec.structs.replace(delta, index=self._index - 1, text=text)


async def live(transport: Transport, session: str, offset: str, told: Told | None) -> AsyncGenerator[Frame, None]:
    """Frames behind an offset, without end. Raises as follow does."""
    place, absence, seam = Place(offset), Absence(transport.patience, told), Seam()
    ready = False
    while True:
        seam.next_stream()
        brought = False
        try:
            async with aclosing(_frames(transport, session, place)) as frames:
                async for frame in frames:
                    absence.over()
                    for one in _joined(frame, place, seam):
                        brought = True
                        if not isinstance(one, StreamReady):
                            yield one
                        elif not ready:
                            ready = True
                            yield one
            if not brought:
                await absence.rest()
        except ChatstreamError as error:
            await absence.wait(error)


def _joined(frame: Frame, place: Place, seam: Seam) -> Iterator[Frame]:
    match frame:
        case AttemptStarted():
            yield from seam.start(frame)
        case TextDelta():
            yield from seam.say(frame)
        case StreamReady(offset=offset):
            place.reach(offset)
            yield frame
        case TurnRetrying():
            yield frame
        case _:
            if place.take(frame):
                yield frame


async def _frames(transport: Transport, session: str, place: Place) -> AsyncGenerator[Frame, None]:
    """One stream, until it ends itself."""
    path = session_path(session, "/live", offset=place.offset)
    patience = transport.patience
    async with (
        transport.open(Asked("GET", path), patience.silence_s) as answer,
        aclosing(sse.frames(answer.content.iter_any(), patience.bytes_most)) as frames,
    ):
        async for frame in frames:
            found = _read(frame.data)
            if found is not None:
                yield found


def _read(data: bytes) -> Frame | None:
    """None for what a newer node tells beside events, and for a stream's last words."""
    try:
        kind = _kind(data)
        if kind.seq:
            return read_event(data)
        return _unlogged(data) if kind.type in _UNLOGGED else None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadAnswer(f"a frame of the stream cannot be read: {error}") from error
