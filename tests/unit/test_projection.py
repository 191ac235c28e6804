"""The fold of one partition into rows, at its edges: what counts, what is an alarm, and what is written when."""

import logging
from typing import Any

import pytest

from chatstream.core import claims
from chatstream.core.claims import Headers
from chatstream.core.errors import UnknownFormat
from chatstream.core.events import AnyEvent
from chatstream.core.ids import InputPosition, Offset, SessionId
from chatstream.core.session import evolve
from chatstream.engine.projection import Counted, Projection
from chatstream.log.port import Record
from chatstream.table import rows
from chatstream.table.memory import MemoryTableStore
from tests.given import ALICE, accepted, completed, place
from tests.surroundings import P0, WatchedTable, claim, event_record

BOB = SessionId("bob")


class Folding:
    """A projection under the claim 1-past, and records for it, one offset after the other."""

    def __init__(self, cached: int = 100) -> None:
        self.table = WatchedTable.of(MemoryTableStore().open(P0))
        self.projection = Projection(P0, self.table, cached)
        self.end = 0
        self.put(*claims.claim_record(claim(1, "past")))

    def put(self, key: bytes | None, value: bytes | None, headers: Headers = ()) -> Counted | None:
        """The next record is folded; what counted."""
        record = Record(Offset(self.end), key, value, headers)
        self.end += 1
        return self.projection.fold(record)[1]

    def event(self, event: AnyEvent, *, key: bytes | None = None, claim_name: str = "1-past", **fields: Any) -> Counted | None:
        its_key, value, headers = event_record(claim_name, event, **fields)
        return self.put(key or its_key, value, headers)

    @property
    def ghosts(self) -> list[bytes]:
        self.projection.flush()
        return [key for key, _ in self.table.scan(rows.GHOST, rows.after_prefix(rows.GHOST))]


@pytest.mark.parametrize("key", [b"bob/1/1-past", b"alice/2/1-past", b"alice/1/0-past", b"alice", b"#odd"])
def test_an_event_under_a_key_that_is_not_its_own_counts_and_is_an_alarm(key: bytes, caplog: pytest.LogCaptureFixture) -> None:
    folding = Folding()
    with caplog.at_level(logging.ERROR):
        assert folding.event(accepted(1), key=key) is not None
    assert folding.projection.alarms == 1
    assert f"event 1 of alice stands under the key {key!r}" in caplog.text
    assert folding.projection.session(ALICE).last_seq == 1
    assert folding.ghosts == [rows.ghost_key(ALICE, key)]  # so that the session's erasure finds it


def test_an_event_under_its_own_key_is_no_alarm() -> None:
    folding = Folding()
    assert folding.event(accepted(1)) is not None
    assert (folding.projection.alarms, folding.ghosts) == (0, [])


def test_a_ghosts_key_is_kept_for_its_session() -> None:
    folding = Folding()
    assert folding.event(accepted(1), claim_name="0-dead") is None
    assert (folding.projection.alarms, folding.ghosts) == (0, [rows.ghost_key(ALICE, b"alice/1/0-dead")])


@pytest.mark.parametrize("value", [b"", b"{", b"\xff", b"[]", b"{}", b'{"type":"message.accepted"}'])
def test_what_is_no_event_is_an_alarm_and_does_not_count(value: bytes) -> None:
    folding = Folding()
    assert folding.put(b"alice/1/1-past", value, ((claims.CLAIM_HEADER, b"1-past"),)) is None
    assert folding.projection.alarms == 1
    assert folding.projection.session(ALICE).last_seq == 0
    assert folding.ghosts == [rows.ghost_key(ALICE, b"alice/1/1-past")]


def test_an_event_that_does_not_fit_the_state_counts_and_is_an_alarm() -> None:
    folding = Folding()
    assert folding.event(completed(1, 7)) is not None
    assert folding.projection.alarms == 1
    assert folding.projection.session(ALICE).last_seq == 1


@pytest.mark.parametrize(
    "again",
    [
        {"event": accepted(1, id="other"), "input_at": place(8)},
        {"event": accepted(3), "input_at": place(8)},
        {"event": accepted(2, id="m1"), "input_at": place(8)},
        {"event": accepted(2), "input_at": place(7)},
    ],
    ids=["seq", "gap", "id", "input"],
)
def test_what_the_rule_leaves_out_is_no_alarm(again: dict[str, Any]) -> None:
    folding = Folding()
    assert folding.event(accepted(1), input_at=place(7)) is not None
    assert folding.event(**again) is None
    assert folding.projection.alarms == 0
    assert folding.event(accepted(2), input_at=place(8)) is not None


def test_an_id_is_known_before_it_is_written() -> None:
    folding = Folding()
    folding.event(accepted(1))
    assert folding.projection.seq_of(ALICE, accepted(1).message_id) == 1
    assert folding.table.writes == []
    folding.projection.flush()
    assert folding.projection.seq_of(ALICE, accepted(1).message_id) == 1


def test_rows_and_position_are_written_in_one_batch_and_only_when_there_is_something() -> None:
    folding = Folding()
    folding.event(accepted(1))
    folding.event(completed(2, 1))
    folding.projection.flush()
    folding.projection.flush()
    (batch,) = folding.table.writes
    assert {rows.META, rows.head_key(ALICE), rows.entry_key(ALICE, 1), rows.entry_key(ALICE, 2)} <= set(batch)
    assert batch.count(rows.head_key(ALICE)) == 1
    meta = rows.read_meta(folding.table)
    assert meta is not None
    assert meta.next_offset == 3


def test_a_record_of_a_newer_version_stops_the_fold_where_it_stands() -> None:
    folding = Folding()
    folding.event(accepted(1))
    key, value = claims.claim_record(claim(2, "new"))
    from_the_future = b'{"type":"from.the.future","session":"alice","seq":2,"time":""}'
    with pytest.raises(UnknownFormat):
        folding.put(key, value.replace(b'"format":1', b'"format":999'))
    with pytest.raises(UnknownFormat):
        folding.put(b"alice/2/1-past", from_the_future, ((claims.CLAIM_HEADER, b"1-past"),))
    assert folding.projection.next_offset == 2


def test_heads_are_kept_up_to_the_limit_and_all_let_go_one_past_it() -> None:
    folding = Folding(cached=2)
    for session in (ALICE, BOB):
        folding.projection.session(session)
    folding.projection.flush()
    assert len(folding.projection._heads) == 2
    folding.event(accepted(1))
    folding.projection.session(SessionId("carol"))
    folding.projection.flush()
    assert folding.projection._heads == {}
    assert folding.projection.session(ALICE).last_seq == 1


def test_what_a_record_carries_never_goes_back() -> None:
    projection = Folding().projection
    projection.carry(InputPosition(0, 9), Offset(7), Offset(1))
    projection.carry(InputPosition(0, 8), Offset(6), Offset(2))
    projection.carry(None, None, Offset(3))
    assert (projection.ownership.position, projection.ownership.published) == (InputPosition(0, 9), 7)
    projection.carry(InputPosition(1, -1), None, Offset(4))
    assert projection.ownership.position == InputPosition(1, -1)
    assert projection.next_offset == 5


def test_a_writers_own_event_that_would_not_count_is_told_so_and_leaves_nothing() -> None:
    folding = Folding()
    projection, event = folding.projection, accepted(2)
    after = evolve(projection.session(ALICE), event)
    assert not projection.confirm(event, b"{}", Offset(1), place(0), after)
    assert projection.next_offset == 1
    assert projection.session(ALICE).last_seq == 0


def test_a_session_is_listed_once_for_all_its_events_of_one_flush_and_where_it_stood_before_no_more() -> None:
    folding = Folding()
    folding.event(accepted(1, time="2026-01-01T00:00:00.000Z"))
    folding.projection.flush()
    folding.table.writes.clear()
    folding.event(completed(2, 1, time="2026-01-01T00:00:01.000Z"))
    folding.event(accepted(3, time="2026-01-01T00:00:02.000Z"))
    folding.event(completed(4, 3, time="2026-01-01T00:00:03.000Z"))
    folding.projection.flush()
    (written,) = folding.table.writes
    assert [key for key in written if key.startswith(rows.RECENT)] == [
        rows.recent_key("2026-01-01T00:00:00.000Z", ALICE),
        rows.recent_key("2026-01-01T00:00:03.000Z", ALICE),
    ]
    listed = [key for key, _ in folding.table.scan(rows.RECENT, rows.after_prefix(rows.RECENT))]
    assert listed == [rows.recent_key("2026-01-01T00:00:03.000Z", ALICE)]
