"""Pages of conversations as they were sent last: who asks again before anything has happened is answered from memory."""

from typing import Final

import msgspec
from aiohttp import web

from chatstream.core.ids import Seq, SessionId
from chatstream.engine.kept import Kept
from chatstream.table.port import Table

PAGE_OVERHEAD_BYTES: Final = 500
"""What keeping one takes beside its body, roughly."""


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What page was asked for: as the query says it."""

    session: SessionId
    limit: int
    before: int | None
    after: int | None


class _Page(msgspec.Struct, frozen=True):
    table: Table
    last_seq: Seq
    body: bytes


class ReadPages:
    """Bodies by what was asked for. most_bytes: of all together; beyond it those go that were asked for longest ago.

    A page holds as long as its session's last seq does, in the same table: whatever changes a message is an event.
    """

    def __init__(self, most_bytes: int) -> None:
        self._pages: Kept[Asked, _Page] = Kept(most_bytes)

    def __len__(self) -> int:
        return len(self._pages)

    def find(self, asked: Asked, table: Table, last_seq: Seq) -> bytes | None:
        """The body, None when it is not here or something has happened since."""
        page = self._pages.take(asked)
        if page is None or page.table is not table or page.last_seq != last_seq:
            return None
        self._add(asked, page)  # behind all others
        return page.body

    def keep(self, asked: Asked, table: Table, last_seq: Seq, body: bytes) -> None:
        """Keep a body that was just made."""
        self._add(asked, _Page(table, last_seq, body))

    def _add(self, asked: Asked, page: _Page) -> None:
        self._pages.add(asked, page, len(page.body) + PAGE_OVERHEAD_BYTES)


READ_PAGES: Final = web.AppKey("read_pages", ReadPages)
