"""The list of sessions: which fit what is asked for, and in which order they stand.

The rules of this file:
- Nobody walks over all sessions: a look costs at most what it was given to spend, and says how far it came.
- What rows of the list say serves to leave out; what a session is doing is read from its head.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from typing import Final, Literal, NamedTuple

import msgspec

from chatstream.core.errors import TableBroken
from chatstream.core.ids import SessionId
from chatstream.core.session import Session, status
from chatstream.table import rows
from chatstream.table.port import View

ListedStatus = Literal["idle", "running", "waiting", "parked", "failed"]
"""As readers see it: a session that is owed an answer is `running` while the model is called for it, else `waiting`."""
OWED: Final[frozenset[ListedStatus]] = frozenset({"running", "waiting", "parked"})
"""Sessions of these have a row `owed/`."""

_WORD: Final = re.compile(r"\w+")

HEAD_COST: Final = 8
"""Reading a head takes as long as walking over about so many rows."""

_decode: Final = msgspec.msgpack.Decoder(tuple[str, str, str]).decode
"""Of a `recent/` row: status, user, title."""


class Place(NamedTuple):
    """Where a session stands in the list: places sort as the list does. inverted: the time as `recent/` rows have it."""

    inverted: str
    session: SessionId

    @property
    def key(self) -> bytes:
        """Its row's."""
        return rows.RECENT + f"{self.inverted}/{self.session}".encode()

    @property
    def time(self) -> str:
        """Of the session's last activity, RFC 3339."""
        return rows.inverted(self.inverted)


def place_of(now: Session) -> Place:
    """Where a session stands."""
    return Place(rows.inverted(now.updated), now.session)


class Wanted(msgspec.Struct, frozen=True):
    """Which sessions are asked for; an empty field asks for nothing. words: beginnings of words of the title, casefolded."""

    statuses: frozenset[ListedStatus] = frozenset()
    user: str = ""
    prefix: str = ""
    words: tuple[str, ...] = ()

    def may_fit(self, session: str, kept_status: str, user: str, title: str) -> bool:
        """False where it is sure that the session does not fit; what it is doing right now only its owner knows."""
        if self.prefix and not session.startswith(self.prefix):
            return False
        if self.user and user != self.user:
            return False
        if self.statuses and kept_status not in self.statuses and not (kept_status == "running" and "waiting" in self.statuses):
            return False
        return not self.words or _has_words(title.casefold(), self.words)

    def fits(self, now: Session, status_now: ListedStatus) -> bool:
        """Does a session fit? status_now: as its owner tells it."""
        if now.erased or not now.last_seq or (self.statuses and status_now not in self.statuses):
            return False
        return self.may_fit(now.session, status(now), now.user, now.title)


def words_of(text: str) -> tuple[str, ...]:
    """The words of a search text, casefolded."""
    return tuple(_WORD.findall(text.casefold()))


def _has_words(title: str, beginnings: tuple[str, ...]) -> bool:
    # Nearly always the first look says no, and it is the quick one.
    return all(each in title for each in beginnings) and all(
        any(word.startswith(each) for word in _WORD.findall(title)) for each in beginnings
    )


class Look(NamedTuple):
    """What a look at the list found, in its order. reached: how far it came, None at the list's end. cost: what it spent."""

    found: list[Session]
    reached: Place | None
    cost: int


StatusOf = Callable[[Session], ListedStatus]


def look(
    views: Sequence[View], wanted: Wanted, after: Place | None, limit: int, budget: int, status_of: StatusOf
) -> Look | None:
    """Up to `limit` sessions behind a place, where rows name few that could fit: by user, by prefix, or by what they do.

    views: of several tables. budget: rows it may look at, of which a head is HEAD_COST. None when it would take more, or
    when no rows name what is asked for: then walk.
    """
    candidates = _named(views, wanted, budget // HEAD_COST)
    if candidates is None:
        return None
    heads = [rows.read_head(view, session) for view, session in candidates]
    fitting = [now for now in heads if wanted.fits(now, status_of(now)) and (after is None or place_of(now) > after)]
    fitting.sort(key=place_of)
    reached = place_of(fitting[limit - 1]) if len(fitting) > limit else None
    return Look(fitting[:limit], reached, HEAD_COST * len(candidates))


def _named(views: Iterable[View], wanted: Wanted, most: int) -> list[tuple[View, SessionId]] | None:
    """At most `most` sessions among which all that fit are, None when there are more or no rows name them."""
    span = _span(wanted)
    if span is None:
        return None
    found: list[tuple[View, SessionId]] = []
    for view in views:
        for key, _ in view.scan(span, rows.after_prefix(span)):
            if len(found) == most:
                return None
            found.append((view, SessionId(key.rpartition(b"/")[2].decode())))
    return found


def _span(wanted: Wanted) -> bytes | None:
    if wanted.user:
        return rows.USER + wanted.user.encode() + b"/"
    if wanted.statuses and wanted.statuses <= OWED:
        return rows.OWED
    if wanted.statuses == {"failed"}:
        return rows.FAILED
    if wanted.prefix:
        return rows.HEAD + wanted.prefix.encode()
    return None


def walk(views: Sequence[View], wanted: Wanted, after: Place | None, limit: int, budget: int, status_of: StatusOf) -> Look:
    """As look, for whatever is asked: row by row from the newest on. It ends where it has spent its budget, at least a row."""
    start = rows.RECENT if after is None else after.key + b"\x00"
    found: list[Session] = []
    cost, reached = 0, None
    for key, number, raw in merge(*(_numbered(view, number, start) for number, view in enumerate(views))):
        if len(found) == limit or (cost and cost >= budget):
            return Look(found, reached, cost)
        cost += 1
        reached = place = place_at(key)
        if wanted.may_fit(place.session, *_listed(raw)):
            cost += HEAD_COST
            now = rows.read_head(views[number], place.session)
            if wanted.fits(now, status_of(now)):
                found.append(now)
    return Look(found, None, cost)


def _numbered(view: View, number: int, start: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Rows of the list, ready to be merged: every session is in one table, so keys are never the same."""
    return ((key, number, raw) for key, raw in view.scan(start, rows.after_prefix(rows.RECENT)))


def place_at(key: bytes) -> Place:
    """The place that a row `recent/` is for."""
    inverted, _, session = key[len(rows.RECENT) :].decode().partition("/")
    return Place(inverted, SessionId(session))


def _listed(raw: bytes) -> tuple[str, str, str]:
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TableBroken(f"a row of the list cannot be read: {error}") from error
