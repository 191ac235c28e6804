"""GET /v1/sessions/{id}/live: for screens. Confirmed events one by one, and what is being said before it is recorded.

Rows and the text so far are read in one step, without waiting in between: they always fit each other.
"""

import asyncio
from typing import Final

import msgspec
from aiohttp import web

from chatstream.core.events import AnyEvent
from chatstream.core.ids import SessionId, session_id
from chatstream.core.unlogged import AttemptStarted, StreamReady, TextDelta, TurnRetrying, Unlogged
from chatstream.engine.desk import Desk
from chatstream.engine.live import LiveAttempt
from chatstream.table.reads import Events
from chatstream.web import offsets
from chatstream.web.paging import read_page
from chatstream.web.settings import DESK, LIMITS
from chatstream.web.sse import frame, retry
from chatstream.web.streaming import End, Told, stream
from chatstream.web.tokens import token

TEXT_CHARS_MOST: Final = 32 * 1024
"""Of one `text.delta`: a long text comes in several, so that it is never in memory a second time as a whole."""
RETRY_MS: Final = 250
"""When a browser may connect again after a stream that just ended; its own default is some seconds of nothing to see."""
RETRY_TROUBLE_MS: Final = 2000
"""The same when this node is the reason."""

_encode: Final = msgspec.json.Encoder().encode


class StreamEnded(Unlogged, frozen=True, tag="stream.ended"):
    """The last frame. reason: as web.streaming.End says it; connect again to go on."""

    reason: End


Frame = AnyEvent | AttemptStarted | TextDelta | TurnRetrying | StreamReady | StreamEnded
"""What one frame of the stream may be."""


async def get_live(request: web.Request) -> web.StreamResponse:
    """The stream of one window."""
    session = session_id(request.match_info["session"])
    after_seq = offsets.reconnecting(request, offsets.after_seq_asked(offsets.one(request, "offset")))
    teller = LiveTeller(request.app[DESK], session, request.app[LIMITS].page, after_seq)
    return await stream(request, session, teller, live=True)


class LiveTeller:
    """What one window is told: web.streaming.Teller."""

    def __init__(self, desk: Desk, session: SessionId, page_most: int, after_seq: int | None) -> None:
        self._desk = desk
        self._session = session
        self._page_most = page_most
        self._after_seq = after_seq
        self._ready = False
        self._begun = False
        self._attempt: LiveAttempt | None = None
        self._parts = 0
        self._index = 0
        self._retried = False

    def tell(self) -> Told:
        page = read_page(self._desk, self._session, self._after_seq, self._page_most)
        if page is None:
            return Told(b"", more=False)
        frames = [] if self._begun else [retry(RETRY_MS)]
        self._begun = True
        frames += self._events(page)
        more = page.through < page.last_seq
        if not more:
            # Only behind the events that led to it: an attempt began after its message was confirmed.
            more = self._tell_attempt(frames)
        if not more and not self._ready:
            self._ready = True
            offset = token(page.through)
            frames.append(frame(_encode(StreamReady(offset)), event_id=offset))
        return Told(b"".join(frames), more)

    def last_words(self, end: End) -> bytes:
        first = b"" if end in ("time", "moved") else retry(RETRY_TROUBLE_MS)
        return first + frame(_encode(StreamEnded(end)))

    def _events(self, page: Events) -> list[bytes]:
        first_seq = page.through - len(page.values) + 1
        self._after_seq = page.through
        return [frame(value, event_id=token(seq)) for seq, value in enumerate(page.values, first_seq)]

    def _tell_attempt(self, frames: list[bytes]) -> bool:
        """What is new of the attempt under way; is there still more text of it than fits one frame?"""
        attempt = self._desk.feed.live.of(self._session)
        if attempt is None:
            self._attempt = None
            return False
        if attempt is not self._attempt:
            self._attempt, self._parts, self._index, self._retried = attempt, 0, 0, False
            frames.append(frame(_encode(AttemptStarted(attempt.turn, attempt.version, attempt.number))))
        text = self._next_text(attempt)
        if text:
            delta = TextDelta(attempt.turn, attempt.version, attempt.number, self._index, text)
            frames.append(frame(_encode(delta)))
            self._index += 1
        if self._parts < len(attempt.parts):
            return True
        if attempt.retry_at_s is not None and not self._retried:
            self._retried = True
            frames.append(frame(_encode(_retrying(attempt, attempt.retry_at_s))))
        return False

    def _next_text(self, attempt: LiveAttempt) -> str:
        """Parts not told yet, as many as fit; a part is never cut, and one that is larger comes alone."""
        parts, first, size = attempt.parts, self._parts, 0
        while self._parts < len(parts) and (not size or size + len(parts[self._parts]) <= TEXT_CHARS_MOST):
            size += len(parts[self._parts])
            self._parts += 1
        return "".join(parts[first : self._parts])


def _retrying(attempt: LiveAttempt, retry_at_s: float) -> TurnRetrying:
    return TurnRetrying(
        turn=attempt.turn,
        version=attempt.version,
        attempt=attempt.number,
        after_s=round(max(0.0, retry_at_s - asyncio.get_running_loop().time()), 3),
        reason=attempt.reason,
        detail=attempt.detail,
    )
