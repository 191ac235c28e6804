"""GET /v1/console/sessions/{id}: what the table has of a session, beside its events: its head, and where they stand."""

from typing import Any, Final

import msgspec
from aiohttp import web

from chatstream.core.ids import SessionId, session_id
from chatstream.table import reads
from chatstream.table.places import Place, places
from chatstream.web.conditional import NO_CACHE
from chatstream.web.sessions import known, number_asked
from chatstream.web.settings import DESK, LIMITS, SETTINGS
from chatstream.web.waiting import table_of

_encode: Final = msgspec.json.Encoder().encode


class Inside(msgspec.Struct, frozen=True):
    """The body. head: the session's row with its fields named; places: of a page of events."""

    session: SessionId
    head: dict[str, Any]
    places: list[Place]


async def get_places(request: web.Request) -> web.Response:
    """The head, and places of the events behind `after`, a page of them at most."""
    app = request.app
    session = session_id(request.match_info["session"])
    after_seq = number_asked(request, "after") or 0
    table = await table_of(app[DESK], session, app[SETTINGS].restore_hold_s)
    view = table.snapshot()
    head = known(reads.head(view, session))
    body = Inside(session, named(head), places(view, session, after_seq, app[LIMITS].page))
    return web.Response(body=_encode(body), content_type="application/json", headers={"Cache-Control": NO_CACHE})


def named(value: Any) -> Any:
    """A row as JSON may have it, with the names of fields that its encoding leaves out."""
    if isinstance(value, msgspec.Struct):
        return {name: named(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple):
        fields = getattr(value, "_fields", None)
        return [named(one) for one in value] if fields is None else dict(zip(fields, value, strict=True))
    return value
