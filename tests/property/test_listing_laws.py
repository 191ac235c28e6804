"""The list of sessions against the plain way to make one: read every head, filter, sort."""

from hypothesis import given
from hypothesis import strategies as st

from chatstream.core import codec
from chatstream.core.events import AnyEvent, MessageAccepted, ReplyCompleted, ReplyFailed, SessionErased, SessionUpdated
from chatstream.core.ids import MessageId, Offset, PartitionNo, Seq, SessionId
from chatstream.core.session import Session, evolve, status
from chatstream.table import rows
from chatstream.table.listing import ListedStatus, Place, Wanted, look, place_of, walk, words_of
from chatstream.table.memory import MemoryTableStore
from chatstream.table.port import Table
from tests.rows_of import changes

TABLES = 2
SESSIONS = [SessionId(name) for name in ("a", "a.1", "a.2", "b", "b-1", "c")]
USERS = ["", "ann", "ann/b", "bob"]
TEXTS = ["the Weather today", "straße", "weather-wise", "they said", "WEATHER"]

Life = list[tuple[SessionId, str, int, str, str]]
"""Which session, what happens, in which millisecond, by which user, with which text."""

kinds = st.sampled_from(["say", "answer", "fail", "rename", "erase"])
steps = st.tuples(st.sampled_from(SESSIONS), kinds, st.integers(0, 5), st.sampled_from(USERS), st.sampled_from(TEXTS))
statuses: st.SearchStrategy[list[ListedStatus]] = st.lists(
    st.sampled_from(["idle", "running", "waiting", "parked", "failed"]), max_size=3
)
wanteds = st.builds(
    lambda found, user, prefix, text: Wanted(frozenset(found), user, prefix, words_of(text)),
    statuses,
    st.sampled_from(USERS),
    st.sampled_from(["", "a", "a.", "b", "x"]),
    st.sampled_from(["", "w", "weather", "THE", "strass", "the w", "wise today", "?"]),
)


def _event(head: Session, kind: str, millis: int, user: str, text: str) -> AnyEvent | None:
    seq, time = Seq(head.last_seq + 1), max(f"2026-01-02T03:04:05.{millis:03}Z", head.updated)
    if head.erased:
        return None
    if kind == "say":
        name = MessageId(f"m{seq}")
        return MessageAccepted(session=head.session, seq=seq, time=time, turn=seq, message_id=name, user=user, text=text)
    if kind == "rename":
        return SessionUpdated(session=head.session, seq=seq, time=time, title=text or None)
    if kind == "erase":
        return SessionErased(session=head.session, seq=seq, time=time)
    if head.running is None:
        return None
    turn, version = head.running.turn, head.running.version
    if kind == "answer":
        return ReplyCompleted(session=head.session, seq=seq, time=time, turn=turn, version=version, text="yes")
    return ReplyFailed(session=head.session, seq=seq, time=time, turn=turn, version=version, code="no")


def _lived(life: Life) -> tuple[list[Table], list[Session]]:
    store = MemoryTableStore()
    tables: list[Table] = [store.open(PartitionNo(number)) for number in range(TABLES)]
    heads = {name: Session(name) for name in SESSIONS}
    for offset, (name, kind, millis, user, text) in enumerate(life):
        event = _event(heads[name], kind, millis, user, text)
        if event is not None:
            after = evolve(heads[name], event)
            found = changes(heads[name], event, codec.write_event(event), Offset(offset), after)
            tables[SESSIONS.index(name) % TABLES].write([*found, rows.write_head(after)])
            heads[name] = after
    return tables, list(heads.values())


def _status(now: Session) -> ListedStatus:
    """Sessions with an even number of events are called for, others wait."""
    found = status(now)
    return "waiting" if found == "running" and now.last_seq % 2 else found


def _plain(heads: list[Session], wanted: Wanted) -> list[str]:
    def fits(now: Session) -> bool:
        words = words_of(now.title)
        return (
            now.last_seq > 0
            and not now.erased
            and (not wanted.statuses or _status(now) in wanted.statuses)
            and (not wanted.user or now.user == wanted.user)
            and now.session.startswith(wanted.prefix)
            and all(any(word.startswith(each) for word in words) for each in wanted.words)
        )

    return [now.session for now in sorted(filter(fits, heads), key=lambda now: (rows.inverted(now.updated), now.session))]


lives = st.lists(steps, max_size=40)


@given(lives, wanteds, st.integers(1, 4), st.integers(1, 30))
def test_pages_walked_along_are_the_plain_list(life: Life, wanted: Wanted, limit: int, budget: int) -> None:
    tables, heads = _lived(life)
    seen: list[str] = []
    after: Place | None = None
    while True:
        page = walk(tables, wanted, after, limit, budget, _status)
        assert len(page.found) <= limit
        seen += [now.session for now in page.found]
        assert all(page.reached is None or place_of(now) <= page.reached for now in page.found)
        if page.reached is None:
            break
        assert after is None or after < page.reached
        after = page.reached
    assert seen == _plain(heads, wanted)


@given(lives, wanteds, st.integers(1, 4))
def test_pages_found_by_name_are_the_plain_list(life: Life, wanted: Wanted, limit: int) -> None:
    tables, heads = _lived(life)
    seen: list[str] = []
    after: Place | None = None
    while (page := look(tables, wanted, after, limit, 1000, _status)) is not None:
        seen += [now.session for now in page.found]
        if page.reached is None:
            assert seen == _plain(heads, wanted)
            return
        after = page.reached
    assert not wanted.user
    assert not wanted.prefix


@given(lives)
def test_an_erased_session_leaves_no_row_of_the_list(life: Life) -> None:
    tables, heads = _lived([*life, *((name, "erase", 0, "", "") for name in SESSIONS)])
    assert all(now.erased for now in heads)
    for table in tables:
        assert [
            key
            for prefix in (rows.RECENT, rows.USER, rows.FAILED, rows.OWED)
            for key, _ in table.scan(prefix, rows.after_prefix(prefix))
        ] == []
