"""What readers ask of the rows: what it costs, where pages end, what an odd state looks like."""

from collections.abc import Iterator

import pytest

from chatstream.core import codec
from chatstream.core.events import AnyEvent, MessageAccepted, MessageRefused, ReplyCompleted, TurnRestarted, TurnResumed
from chatstream.core.ids import MessageId, Offset, PartitionNo, Seq, SessionId, Version
from chatstream.core.session import Session, evolve
from chatstream.table import reads, rows
from chatstream.table.memory import MemoryTableStore
from chatstream.table.port import Table, View
from tests.rows_of import changes

ALICE = SessionId("alice")
NOW = "2026-11-23T12:00:00.000Z"


class Counting:
    """A view that counts the rows it gives."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.given = 0

    def get(self, key: bytes) -> bytes | None:
        self.given += 1
        return self._view.get(key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        for row in self._view.scan(start, stop):
            self.given += 1
            yield row

    def scan_back(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        for row in self._view.scan_back(start, stop):
            self.given += 1
            yield row


def _table(events: list[AnyEvent]) -> Table:
    table = MemoryTableStore().open(PartitionNo(0))
    head = Session(ALICE)
    for event in events:
        after = evolve(head, event)
        table.write([*changes(head, event, codec.write_event(event), Offset(0), after), rows.write_head(after)])
        head = after
    return table


def _accepted(seq: int, text: str = "hi") -> MessageAccepted:
    return MessageAccepted(session=ALICE, seq=Seq(seq), time=NOW, turn=Seq(seq), message_id=MessageId(f"m-{seq}"), text=text)


def _reply(seq: int, turn: int, version: int = 1) -> ReplyCompleted:
    return ReplyCompleted(session=ALICE, seq=Seq(seq), time=NOW, turn=Seq(turn), version=Version(version), text=f"v{version}")


def _turns(count: int) -> list[AnyEvent]:
    return [event for n in range(count) for event in (_accepted(2 * n + 1), _reply(2 * n + 2, 2 * n + 1))]


@pytest.mark.parametrize("before", [None, 15])
def test_a_page_costs_the_same_however_long_the_conversation_is(before: int | None) -> None:
    costs = []
    for count in (20, 2000):
        view = Counting(_table(_turns(count)))
        page = reads.conversation(view, ALICE, 10, before=before)
        assert len(page.items) == 10
        costs.append(view.given)
    # The head, the entries, and for each message or reply how its turn ended.
    assert costs[0] == costs[1] <= 1 + 10 + 10


def test_a_page_of_events_costs_its_events_and_the_head() -> None:
    for count in (20, 2000):
        view = Counting(_table(_turns(count)))
        assert len(reads.events(view, ALICE, 4, 10).values) == 10
        assert view.given == 11


def test_a_page_without_messages_costs_what_is_looked_at_for_one_and_no_more() -> None:
    refusals = [MessageRefused(session=ALICE, seq=Seq(seq), time=NOW, code="turn-in-progress") for seq in range(2, 502)]
    view = Counting(_table([_accepted(1), *refusals]))
    page = reads.conversation(view, ALICE, 10)
    assert (page.items, page.has_more, page.previous) == ([], True, 501 - 10 * reads.SCAN_FACTOR + 1)
    assert view.given <= 1 + 10 * reads.SCAN_FACTOR


def test_a_page_of_events_ends_behind_the_event_that_fills_it() -> None:
    events: list[AnyEvent] = [_accepted(1, "a" * 1000), _reply(2, 1), _accepted(3, "b" * 1000), _reply(4, 3)]
    table = _table(events)
    first_bytes = 8 + len(codec.write_event(events[0]))
    assert reads.events(table, ALICE, 0, 10, first_bytes).through == 1
    assert reads.events(table, ALICE, 0, 10, first_bytes + 1).through == 2
    assert reads.events(table, ALICE, 0, 10, 1).through == 1
    assert reads.events(table, ALICE, 1, 10, 1).through == 2


def test_a_restarted_turn_runs_again_and_both_its_answers_stay_readable() -> None:
    restarted = TurnRestarted(session=ALICE, seq=Seq(3), time=NOW, turn=Seq(1), version=Version(2))
    resumed = TurnResumed(session=ALICE, seq=Seq(4), time=NOW, turn=Seq(1), version=Version(2), n=1)
    begun: list[AnyEvent] = [_accepted(1), _reply(2, 1), restarted, resumed]
    page = reads.conversation(_table(begun), ALICE, 10)
    assert [(item.role, item.status, item.version) for item in page.items] == [
        ("user", "running", 1),
        ("assistant", "completed", 1),
    ]
    page = reads.conversation(_table([*begun, _reply(5, 1, version=2)]), ALICE, 10)
    assert [(item.text, item.status) for item in page.items] == [("hi", "answered"), ("v1", "completed"), ("v2", "completed")]


def test_a_turns_end_is_found_whatever_happened_since() -> None:
    table = _table([_accepted(1), _accepted(2), _reply(3, 1), *[_accepted(seq) for seq in range(4, 300)]])
    view = Counting(table)
    assert rows.read_ending(view, ALICE, 1) == rows.Ending(Seq(3), "reply.completed")
    assert rows.read_ending(view, ALICE, 2) is None
    assert view.given == 2


def test_one_session_never_shows_anothers_messages() -> None:
    store = MemoryTableStore()
    table = store.open(PartitionNo(0))
    for name in ("alice", "alice-2", "alic", "alice.", "b"):
        session = SessionId(name)
        event = MessageAccepted(session=session, seq=Seq(1), time=NOW, turn=Seq(1), text=name)
        after = evolve(Session(session), event)
        found = changes(Session(session), event, codec.write_event(event), Offset(0), after)
        table.write([*found, rows.write_head(after)])
    assert [item.text for item in reads.conversation(table, ALICE, 10).items] == ["alice"]
    assert len(reads.events(table, ALICE, 0, 10).values) == 1
