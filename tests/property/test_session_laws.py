"""What holds in every life of a session."""

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from chatstream.core.claims import counts
from chatstream.core.codec import read_event, write_event
from chatstream.core.events import Terminal, brought_id
from chatstream.core.session import Session, evolve, fits, react
from chatstream.table.rows import recent_key, write_head
from tests.given import ALICE
from tests.property.values import WAITING_TURNS, Happened, answers, live, lives


def fold(session: Session, happened: list[Happened]) -> Session:
    for one in happened:
        session = evolve(session, one.event, one.input_at)
    return session


@given(lives, st.integers(0, 40))
def test_folding_from_the_start_equals_folding_on_from_anywhere(life: list[tuple[object, int]], cut: int) -> None:
    happened = live(life)
    whole = fold(Session(ALICE), happened)
    _, row = write_head(fold(Session(ALICE), happened[:cut]))
    assert row is not None
    stored = msgspec.msgpack.decode(row, type=Session)
    assert fold(stored, happened[cut:]) == whole


@given(lives)
def test_what_was_decided_always_counts_and_fits(life: list[tuple[object, int]]) -> None:
    known = set()
    for before, event, input_at, _ in live(life):
        assert counts(before, event, input_at, brought_id(event) in known)
        assert fits(before, event)
        known.add(brought_id(event))
        known.discard("")


@given(lives)
def test_the_head_stays_in_its_bounds(life: list[tuple[object, int]]) -> None:
    for before, event, input_at, after in live(life):
        assert after.last_seq == before.last_seq + 1 == event.seq
        assert len(after.queue) <= WAITING_TURNS
        assert 0 <= after.first <= len(after.queue)
        assert after.updated >= before.updated
        assert after.created == (before.created or event.time)
        assert after.last_input == (input_at or before.last_input)
        assert after.running is not None or (after.queue == () and react(after) == ())
        assert len({owed.turn for owed in after.queue} | ({after.running.turn} if after.running else set())) == len(
            after.queue
        ) + (after.running is not None)


@given(lives)
def test_a_turn_ends_once_in_each_version(life: list[tuple[object, int]]) -> None:
    ends = [(one.event.turn, one.event.version) for one in live(life) if isinstance(one.event, Terminal)]
    assert max(Counter(ends).values(), default=0) <= 1


@given(lives)
def test_every_turn_has_ended_or_is_owed(life: list[tuple[object, int]]) -> None:
    happened = live(life)
    if not happened:
        return
    session = happened[-1].after
    owed = {one.turn for one in session.queue} | ({session.running.turn} if session.running else set())
    ended = {one.event.turn for one in happened if isinstance(one.event, Terminal)}
    turns = {one.event.turn for one in happened} - {0}
    assert turns == owed | ended
    assert session.replies == len(answers(happened))


@given(lives)
def test_an_event_reads_back_and_evolves_the_same(life: list[tuple[object, int]]) -> None:
    for before, event, input_at, after in live(life):
        again = read_event(write_event(event))
        assert again == event
        assert evolve(before, again, input_at) == after


@given(lives)
def test_turns_that_only_enqueue_run_in_the_order_of_acceptance(life: list[tuple[object, int]]) -> None:
    for one in live(life):
        late = [owed.turn for owed in one.after.queue[one.after.first :]]
        assert late == sorted(late)


times = st.builds(
    "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z".format,
    st.integers(1, 9999),
    st.integers(1, 12),
    st.integers(1, 28),
    st.integers(0, 23),
    st.integers(0, 59),
    st.integers(0, 59),
    st.integers(0, 999),
)


@given(times, times)
def test_the_listing_has_the_newest_first(one: str, other: str) -> None:
    assert (one < other) == (recent_key(one, ALICE) > recent_key(other, ALICE))
