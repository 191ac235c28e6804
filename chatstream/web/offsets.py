"""Where a reader of events wants to begin: `offset` in the query, or what a browser brings when it connects again."""

from typing import Final

from aiohttp import web

from chatstream.web.problems import bad_field
from chatstream.web.tokens import seq_of

LAST_EVENT_ID: Final = "Last-Event-ID"


def one(request: web.Request, name: str) -> str | None:
    """A parameter that may stand once; None when it does not. Raises Problem (400)."""
    given = request.query.getall(name, [])
    if len(given) > 1:
        raise bad_field(name, "bad-parameter", f"give {name} once")
    return given[0] if given else None


def after_seq_asked(offset: str | None) -> int | None:
    """The seq to read behind; 0 for the start, also when nothing was asked, None for `now`. Raises Problem (400)."""
    if offset is None or offset == "-1":
        return 0
    if offset == "now":
        return None
    seq = seq_of(offset)
    if seq is None:
        raise bad_field("offset", "bad-offset", "offset is -1, now, or a token from an answer, unchanged")
    return seq


def reconnecting(request: web.Request, after_seq: int | None) -> int | None:
    """Where a stream goes on: a browser repeats its first URL, and says in a header how far it has come since."""
    came_to = seq_of(request.headers.get(LAST_EVENT_ID, ""))
    return after_seq if came_to is None else came_to
