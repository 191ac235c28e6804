"""The query of GET /v1/sessions: which sessions are asked for, from where on, and of which nodes."""

from typing import Final, NamedTuple

import msgspec
from aiohttp import web

from chatstream.core import ids
from chatstream.core.errors import BadId
from chatstream.core.limits import USER_BYTES_MAX
from chatstream.table.listing import ListedStatus, Place, Wanted, words_of
from chatstream.web.problems import bad_field
from chatstream.web.tokens import place_of

PAGE_DEFAULT: Final = 50
SEARCH_CHARS_MOST: Final = 200
NAMES: Final = ("status", "user", "prefix", "q", "limit", "cursor", "scope")

_DIGITS_MOST: Final = 9


class Asked(NamedTuple):
    """What is asked for. own: only of partitions that this node serves."""

    wanted: Wanted
    limit: int
    after: Place | None
    own: bool


def asked_of(request: web.Request, most: int) -> Asked:
    """most: sessions on a page. Raises Problem (400)."""
    query = {name: _once(request, name) for name in NAMES}
    wanted = Wanted(_statuses(query["status"]), _user(query["user"]), _prefix(query["prefix"]), _words(query["q"]))
    return Asked(wanted, _limit(query["limit"], most), _after(query["cursor"]), _own(query["scope"]))


def _once(request: web.Request, name: str) -> str:
    given = request.query.getall(name, [])
    if len(given) > 1:
        raise bad_field(name, "bad-parameter", f"give {name} once")
    return given[0] if given else ""


def _statuses(given: str) -> frozenset[ListedStatus]:
    try:
        return msgspec.convert(given.split(",") if given else (), frozenset[ListedStatus])
    except msgspec.ValidationError:
        detail = "status is one or more of idle, running, waiting, parked, failed, with commas between"
        raise bad_field("status", "bad-parameter", detail) from None


def _user(given: str) -> str:
    if len(given.encode(errors="surrogatepass")) > USER_BYTES_MAX:
        raise bad_field("user", "bad-parameter", f"user has at most {USER_BYTES_MAX} bytes")
    return given


def _prefix(given: str) -> str:
    try:
        # The beginning of an id may be what is no id: `.`
        return given if given in ("", ".", "..") else ids.session_id(given)
    except BadId as error:
        raise bad_field("prefix", "bad-parameter", f"no session's id begins so: {error}") from error


def _words(given: str) -> tuple[str, ...]:
    if len(given) > SEARCH_CHARS_MOST:
        raise bad_field("q", "bad-parameter", f"q has at most {SEARCH_CHARS_MOST} characters")
    return words_of(given)


def _limit(given: str, most: int) -> int:
    if not given:
        return min(PAGE_DEFAULT, most)
    if not (given.isascii() and given.isdecimal() and len(given) <= _DIGITS_MOST and 1 <= int(given) <= most):
        raise bad_field("limit", "bad-parameter", f"limit is 1 to {most}")
    return int(given)


def _after(given: str) -> Place | None:
    place = place_of(given) if given else None
    if given and place is None:
        raise bad_field("cursor", "bad-cursor", "cursor is what an answer gave as next, unchanged")
    return place


def _own(given: str) -> bool:
    if given not in ("", "all", "node"):
        raise bad_field("scope", "bad-parameter", "scope is all or node")
    return given == "node"
