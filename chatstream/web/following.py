"""`live=sse`: events as a stream, each batch with the control frame that says where to go on."""

import time
from typing import Final

import msgspec

from chatstream.core.ids import SessionId
from chatstream.engine.desk import Desk
from chatstream.table.reads import Events
from chatstream.web.paging import read_page
from chatstream.web.sse import comment, frame
from chatstream.web.streaming import End, Told
from chatstream.web.tokens import later_cursor, stream_cursor, token

_encode: Final = msgspec.json.Encoder().encode


class Control(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Where a reader stands after a batch; the names are the protocol's."""

    stream_next_offset: str
    stream_cursor: str
    up_to_date: bool = False


class Follower:
    """What one stream of events says: web.streaming.Teller.

    after_seq: None for only what is new. cursor: as the client brought it; the first frame's `streamCursor` is above it.
    """

    def __init__(self, desk: Desk, session: SessionId, page_most: int, after_seq: int | None, cursor: str | None) -> None:
        self._desk = desk
        self._session = session
        self._page_most = page_most
        self._after_seq = after_seq
        self._cursor = stream_cursor(cursor, time.time())
        self._told = False

    def tell(self) -> Told:
        page = read_page(self._desk, self._session, self._after_seq, self._page_most)
        if page is None or (self._told and not page.values):
            return Told(b"", more=False)
        self._after_seq, self._told = page.through, True
        return Told(self._batch(page), more=page.through < page.last_seq)

    def last_words(self, end: End) -> bytes:
        return comment(f"ended: {end}")

    def _batch(self, page: Events) -> bytes:
        """Data and control in one write: a reader that has the one has the other."""
        offset = token(page.through)
        control = Control(
            stream_next_offset=offset,
            stream_cursor=later_cursor(self._cursor, time.time()),
            up_to_date=page.through >= page.last_seq,
        )
        data = frame(b"[" + b",".join(page.values) + b"]", event="data") if page.values else b""
        # The id stands on the control frame, so that a browser's EventSource goes on behind whole batches.
        return data + frame(_encode(control), event="control", event_id=offset)
