"""A fork of any life, at any event: what its copies fold to is the source's session as it was there."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from chatstream.core import codec
from chatstream.core.copying import SHIFT, copied
from chatstream.core.events import AnyEvent, SessionCreated, SessionErased, brought_id, is_public
from chatstream.core.head import Owed, Running
from chatstream.core.ids import InputPosition, MessageId, Seq, SessionId
from chatstream.core.session import Copy, Session, evolve, fits, react
from tests.given import ALICE, NOW
from tests.property.test_contexts_laws import live, lives

BOB = SessionId("bob")
few = settings(max_examples=40)
"""Making a life costs more than anything here."""


def fork(source: list[AnyEvent], through: int) -> list[AnyEvent]:
    """The events of a fork through that event of its source."""
    made = SessionCreated(
        session=BOB, seq=Seq(1), time=NOW, command_id=MessageId("f"), source=ALICE, through_seq=Seq(through), count=through
    )
    return [made, *(copied(event, BOB) for event in source[:through])]


def moved(owed: Owed | Running | None) -> Owed | Running | None:
    return None if owed is None else replace(owed, turn=Seq(owed.turn + SHIFT))


@few
@given(lives, st.data())
def test_a_fork_is_where_its_source_was(life: list[tuple[object, bool]], data: st.DataObject) -> None:
    source = live(life)[0].events
    if not source:
        return
    through = data.draw(st.integers(1, len(source)))
    before, after = Session(ALICE), Session(BOB)
    for event in source[:through]:
        before = evolve(before, event)
    for event in fork(source, through):
        assert fits(after, event)
        assert codec.read_event(codec.write_event(event)) == event
        assert not is_public(event)
        after = evolve(after, event)
    assert after.last_seq == before.last_seq + SHIFT
    assert after.running == moved(before.running)
    assert after.queue == tuple(map(moved, before.queue))
    assert (after.first, after.messages, after.replies, after.failed) == (
        before.first,
        before.messages,
        before.replies,
        before.failed,
    )
    assert (after.rewinds, after.state_bytes, after.title, after.user) == (
        before.rewinds,
        before.state_bytes,
        before.title,
        before.user,
    )
    # What waits for its time is sent by the source alone, and tokens are charged to it alone.
    assert (after.scheduled, after.copying, after.input_tokens, after.output_tokens) == ((), None, 0, 0)


@few
@given(lives, st.integers(1, 30))
def test_a_fork_that_is_not_whole_owes_itself_exactly_what_is_missing(life: list[tuple[object, bool]], cut: int) -> None:
    source = live(life)[0].events
    if not source:
        return
    session = Session(BOB)
    for event in fork(source, len(source))[:cut]:
        session = evolve(session, event)
    if cut <= len(source):
        assert react(session) == (Copy(ALICE, Seq(cut), Seq(len(source))),)
    else:
        assert session.copying is None


@few
@given(lives)
def test_a_copy_brings_the_messages_ids_and_no_commands(life: list[tuple[object, bool]]) -> None:
    source = live(life)[0].events
    for event, copy in zip(source, fork(source, len(source))[1:], strict=True):
        assert copy.command_id == ""
        assert brought_id(copy) in ("", event.message_id)


@few
@given(lives)
def test_nothing_of_an_erased_session_is_left_whatever_it_was(life: list[tuple[object, bool]]) -> None:
    head = live(life)[0].head
    seq = Seq(head.last_seq + 1)
    erased = evolve(head, SessionErased(session=ALICE, seq=seq, time=NOW), InputPosition(0, 99))
    assert react(erased) == ()
    # A fold of what compaction leaves gives the same.
    assert evolve(Session(ALICE), SessionErased(session=ALICE, seq=seq, time=NOW), InputPosition(0, 99)) == erased
