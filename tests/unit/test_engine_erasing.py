"""Erasure: every record of the session gets its tombstone, every row goes, and what dies in between is finished by the next."""

import json

import pytest

from chatstream.core import claims
from chatstream.core.errors import LogUnavailable
from chatstream.core.events import AnyEvent
from chatstream.core.ids import MessageId, SessionId
from chatstream.core.limits import Limits
from chatstream.core.session import Completed
from chatstream.engine.projection import Projection
from chatstream.log.port import Record
from chatstream.log.simulated_world import PartitionLog
from chatstream.table import rows
from chatstream.table.memory import MemoryTableStore
from tests.given import (
    ALICE,
    accepted,
    asked,
    cancelled,
    changed,
    compacted,
    completed,
    decided,
    failed,
    place,
    refused,
    restarted,
    resumed,
    scheduled,
    stepped,
    updated,
)
from tests.surroundings import P0, Bench, event_record

BOB = SessionId("bob")
ERASE = '{"type": "erase", "command_id": "e"}'
ONE_BY_ONE = Limits(unconfirmed_records=8)
"""Tombstones go out one by one, four on their way at most."""

EVERYTHING: list[AnyEvent] = [
    accepted(1, user="u"),
    resumed(2, 1),
    stepped(3, 1, "look#1", {"a": 1}),
    asked(4, 1, "buy#1"),
    decided(5, 1, "buy#1", command_id=MessageId("d")),
    completed(6, 1, state={"color": "red"}, state_bytes=9),
    accepted(7),
    failed(8, 7),
    restarted(9, 7),
    cancelled(10, 7, "half", version=2),
    changed(11, {"size": 7}, 14),
    updated(12, title="T", metadata={"a": 1}, system="S", model="M"),
    scheduled(13, "2027-01-01T00:00:00.000Z"),
    accepted(14, replaces=7),
    refused(15),
    compacted(16, 6),
]
"""A turn runs, a message waits for its time, and there is a row of every kind."""


def of_alice(bench: Bench) -> list[bytes]:
    return sorted(key for key in bench.rows if b"alice" in key)


def one_by_one(bench: Bench, count: int) -> None:
    """So many appends are confirmed, each with what follows from it."""
    for _ in range(count):
        bench.ack()


def tombstones(bench: Bench) -> list[bytes]:
    return [record.key or b"" for record in bench.log if record.value is None]


def left_over(bench: Bench) -> list[Record]:
    """The log as compaction leaves it."""
    log = PartitionLog()
    for record in bench.log:
        log.append(record.key, record.value, record.headers, 0)
    log.compact()
    return [record for record in log.records if record.value is not None]


def folded(records: list[Record]) -> dict[bytes, bytes]:
    table = MemoryTableStore().open(P0)
    projection = Projection(P0, table, 100)
    projection.fold_all(records)
    assert projection.alarms == 0
    return {key: row for key, row in table.scan(b"", b"\xff") if not key.startswith((*rows.LOCAL, rows.META))}


def the_same_from_scratch(bench: Bench) -> bool:
    found = {key: row for key, row in bench.rows.items() if not key.startswith((*rows.LOCAL, rows.META))}
    return found == folded(bench.log)


def test_only_the_head_is_left_and_says_only_that_there_was_a_session() -> None:
    bench = Bench(EVERYTHING, local=[(rows.running_key(ALICE), b"14/1")])
    prefixes = {key.split(b"/")[0] + b"/" for key in bench.rows}
    assert prefixes >= {rows.ENTRY, rows.MESSAGE, rows.ANSWER, rows.STATE, rows.PROFILE, rows.REWIND, rows.STEP, rows.DUE,
                        rows.OWED, rows.RECENT, rows.RUNNING}  # fmt: skip
    bench.take(ERASE, waiter="w")
    assert bench.told() == ["append alice/17 session.erased", "stop alice"]
    bench.ack_all()
    assert bench.told()[0] == "answer w accepted 17 at 0"
    assert of_alice(bench) == [rows.head_key(ALICE)]
    head = rows.read_head(bench.table, ALICE)
    assert (head.erased, head.last_seq, head.title, head.user, head.messages) == (True, 17, "", "", 0)


def test_every_record_has_its_tombstone_but_not_the_erasure_itself() -> None:
    bench = Bench(EVERYTHING)
    bench.take(ERASE)
    bench.ack_all()
    assert tombstones(bench) == [f"alice/{seq}/1-past".encode() for seq in range(1, 17)]
    kept = [record.key for record in left_over(bench)]
    assert kept == [b"#claim/1-past", b"#claim/2-me", b"alice/17/2-me"]


def test_rows_go_only_when_their_tombstone_is_confirmed() -> None:
    bench = Bench([accepted(1), completed(2, 1)], limits=ONE_BY_ONE)
    bench.take(ERASE)
    bench.ack()
    assert rows.entry_key(ALICE, 1) in bench.rows
    bench.ack()
    assert rows.entry_key(ALICE, 1) not in bench.rows
    assert rows.entry_key(ALICE, 2) in bench.rows


def test_tombstones_say_whose_they_are_and_carry_nothing_along() -> None:
    bench = Bench([accepted(1)])
    bench.take(ERASE)
    bench.ack()
    bench.around.published_now = bench.projection.next_offset
    pending, key, headers = bench.around.sent[0]
    assert (key, pending.value, dict(headers)) == (b"alice/1/1-past", None, {"claim": b"2-me", "erases": b"alice"})
    bench.ack_all()
    bench.writer.tick()
    assert bench.around.headers[-1]["pos"] == b"0:0"


def test_ghosts_go_too_and_those_of_others_stay() -> None:
    bench = Bench([accepted(1)])
    bench.write(b"alice/2/0-dead", b"{}", ((claims.CLAIM_HEADER, b"0-dead"),))
    bench.write(b"alice/1/1-past", b"{}", ((claims.CLAIM_HEADER, b"0-dead"),))
    bench.write(b"bob/2/0-dead", b"{}", ((claims.CLAIM_HEADER, b"0-dead"),))
    bench.take(ERASE)
    bench.ack()
    bench.read_gap()
    bench.ack_all()
    assert sorted(set(tombstones(bench))) == [b"alice/1/1-past", b"alice/2/0-dead"]
    assert of_alice(bench) == [rows.head_key(ALICE)]
    assert rows.ghost_key(BOB, b"bob/2/0-dead") in bench.rows


def test_a_ghost_that_lands_after_the_erasure_is_removed_as_well() -> None:
    bench = Bench([accepted(1)])
    bench.take(ERASE)
    bench.ack_all()
    bench.write(b"alice/2/0-dead", b"{}", ((claims.CLAIM_HEADER, b"0-dead"),))
    bench.take("hello", key=b"bob")
    bench.ack()
    bench.read_gap()
    bench.ack_all()
    assert tombstones(bench)[-1] == b"alice/2/0-dead"
    assert of_alice(bench) == [rows.head_key(ALICE)]


@pytest.mark.parametrize("key", [b"alice", b"#odd", b"bob/7/1-past"])
def test_a_record_under_a_key_that_is_not_its_own_is_found(key: bytes) -> None:
    bench = Bench([accepted(1)])
    _, value, headers = event_record("2-me", accepted(2))
    bench.write(key, value, headers)
    bench.restart()
    bench.take(ERASE)
    bench.ack_all()
    assert key in tombstones(bench)
    assert of_alice(bench) == [rows.head_key(ALICE)]


def test_another_sessions_own_record_is_never_removed_whatever_a_stranger_put_under_its_key() -> None:
    bench = Bench([accepted(1)])
    bench.take("hello", key=b"bob")
    bench.ack_all()
    _, value, headers = event_record("2-me", accepted(2))
    bench.write(b"bob/1/2-me", value, headers)
    bench.restart()
    bench.take(ERASE, offset=1)
    bench.ack_all()
    assert b"bob/1/2-me" not in tombstones(bench)
    assert rows.read_head(bench.table, BOB).last_seq == 1
    assert rows.erasing_key(ALICE) not in bench.rows


def test_a_strangers_tombstone_removes_no_row_of_a_living_session() -> None:
    bench = Bench([accepted(1)])
    before = bench.rows
    bench.write(b"alice/1/1-past", None)
    bench.restart()
    assert {key: row for key, row in bench.rows.items() if b"alice" in key} == {
        key: row for key, row in before.items() if b"alice" in key
    }


def test_nothing_brings_the_session_back() -> None:
    bench = Bench([accepted(1, id="m")])
    bench.take(ERASE)
    bench.ack_all()
    bench.told()
    for command in ("hello", '{"text": "hi", "message_id": "m"}', ERASE, '{"type": "fork"}', '{"type": "cancel"}'):
        bench.take(command, waiter="w")
        assert bench.told() == ["aside chat.dead-letters/0", "answer w refused session-erased"]
    letters = [(dict(headers)["reason"], value) for _, _, _, value, headers in bench.around.aside]
    assert letters == [(b"session-erased", None)] * 5
    assert rows.read_head(bench.table, ALICE).last_seq == 2


def test_the_running_turns_answer_is_dropped() -> None:
    bench = Bench([accepted(1)])
    bench.take(ERASE)
    bench.finish(1, Completed(text="too late"))
    assert len(bench.around.sent) == 1


@pytest.mark.parametrize("acked", range(12))
def test_a_death_at_any_moment_is_made_good_by_the_next_owner(acked: int) -> None:
    bench = Bench([accepted(1), completed(2, 1), accepted(3), completed(4, 3)], limits=ONE_BY_ONE)
    bench.take(ERASE)
    for _ in range(min(acked, 5)):
        if bench.around.sent:
            bench.ack()
    bench.around.sent = bench.around.sent[: acked % 3]  # what is lost on the way was never there
    bench.restart()
    bench.writer.start()
    bench.take(ERASE, offset=0)
    bench.writer.settle()
    bench.ack_all()
    assert of_alice(bench) == [rows.head_key(ALICE)]
    assert [record.key for record in left_over(bench) if b"alice" in (record.key or b"")] == [_erasure(bench)]
    assert the_same_from_scratch(bench)


def _erasure(bench: Bench) -> bytes:
    (found,) = [record.key for record in bench.log if b"session.erased" in (record.value or b"")]
    assert found is not None
    return found


@pytest.mark.parametrize("lost", [False, True])
def test_a_new_owner_without_a_table_ends_with_nothing_left(lost: bool) -> None:
    bench = Bench(EVERYTHING, limits=ONE_BY_ONE)
    bench.take(ERASE)
    one_by_one(bench, 5)
    if lost:
        bench.store = MemoryTableStore()
        bench._take_over()
    else:
        bench.restart()
    bench.writer.start()
    bench.writer.settle()
    bench.ack_all()
    assert of_alice(bench) == [rows.head_key(ALICE)]
    assert the_same_from_scratch(bench)


def test_the_table_is_the_fold_of_the_log_at_every_moment_of_an_erasure() -> None:
    bench = Bench(EVERYTHING, limits=ONE_BY_ONE)
    bench.take(ERASE)
    while bench.around.sent:
        bench.ack()
        assert the_same_from_scratch(bench)


def test_a_fold_of_what_compaction_leaves_gives_the_same_table() -> None:
    bench = Bench([accepted(1), completed(2, 1)])
    bench.take("hello", key=b"bob")
    bench.take(ERASE)
    bench.take("hello again", key=b"bob")
    bench.ack_all()
    assert folded(left_over(bench)) == folded(bench.log)


def test_a_fold_of_what_compaction_leaves_half_way_knows_what_still_has_to_go() -> None:
    bench = Bench(EVERYTHING, limits=ONE_BY_ONE)
    bench.take(ERASE)
    one_by_one(bench, 8)
    half = [record for record in bench.log if record.value is not None and record.key not in tombstones(bench)]
    table = MemoryTableStore().open(P0)
    Projection(P0, table, 100).fold_all(half)
    assert rows.read_head(table, ALICE).erased
    assert table.get(rows.erasing_key(ALICE)) is not None
    ghosts = [key for key, _ in table.scan(rows.GHOST, rows.after_prefix(rows.GHOST))]
    assert ghosts == sorted(rows.ghost_key(ALICE, f"alice/{seq}/1-past".encode()) for seq in range(8, 17))


def test_many_sessions_are_erased_one_after_the_other() -> None:
    bench = Bench(limits=ONE_BY_ONE)
    names = [f"s{number}" for number in range(5)]
    for name in names:
        bench.take("hello", key=name.encode())
    bench.ack_all()
    for name in names:
        bench.take(ERASE, key=name.encode())
    bench.ack_all()
    assert [key for key in bench.rows if not key.startswith((rows.HEAD, rows.CLAIM, rows.META))] == []


def test_what_a_fork_is_made_of_waits_for_it() -> None:
    # More than what is copied at once: the erasure is confirmed in the middle of it.
    told = [event for seq in range(1, 16, 2) for event in (accepted(seq), completed(seq + 1, seq))]
    bench = Bench(told, limits=ONE_BY_ONE)
    bench.take(json.dumps({"type": "fork", "id": "bob", "command_id": "f"}))
    bench.take(ERASE)
    while rows.fork_key(ALICE, BOB) in bench.rows or rows.head_key(BOB) not in bench.rows:
        assert tombstones(bench) == []
        bench.ack()
    bench.ack_all()
    assert rows.read_head(bench.table, BOB).last_seq == 17
    assert of_alice(bench) == [rows.head_key(ALICE)]
    assert len(tombstones(bench)) == 16
    assert the_same_from_scratch(bench)


def test_an_erased_fork_leaves_its_source_alone() -> None:
    bench = Bench([accepted(1), completed(2, 1)])
    bench.take(json.dumps({"type": "fork", "id": "bob", "command_id": "f"}))
    bench.take(ERASE, key=b"bob")
    bench.ack_all()
    assert [key for key in bench.rows if b"bob" in key] == [rows.head_key(BOB)]
    assert rows.read_head(bench.table, ALICE).last_seq == 2


def test_an_erased_sessions_name_is_not_free_for_a_fork() -> None:
    bench = Bench([accepted(1), completed(2, 1)])
    bench.take("hello", key=b"bob")
    bench.take(ERASE, key=b"bob")
    bench.ack_all()
    bench.told()
    bench.take(json.dumps({"type": "fork", "id": "bob", "command_id": "f"}), waiter="w")
    bench.ack()
    assert bench.told() == ["append mark", "answer w refused session-exists"]


def test_tombstones_go_out_in_batches_and_messages_get_through_between_them() -> None:
    bench = Bench([accepted(1), *(changed(seq, {"a": seq}) for seq in range(2, 30))], limits=ONE_BY_ONE)
    bench.take(ERASE)
    bench.ack()
    assert len(bench.around.sent) == 4
    bench.take("hello", key=b"bob")
    bench.ack(5)
    assert bench.around.jobs[-1][0] == BOB
    assert len(tombstones(bench)) == 4
    bench.ack_all()
    assert len(tombstones(bench)) == 29


def test_the_position_goes_on_meanwhile() -> None:
    bench = Bench([accepted(1), *(changed(seq, {"a": seq}) for seq in range(2, 30))], limits=ONE_BY_ONE)
    bench.take(ERASE)
    bench.ack()
    assert bench.writer.inputs.position == place(0)


def test_a_tombstone_that_cannot_be_sent_ends_the_writer() -> None:
    bench = Bench([accepted(1), accepted(2)])
    bench.take(ERASE)
    bench.around.append_fails = LogUnavailable("no")
    bench.ack()
    assert bench.told()[-1] == "end doubt, producer too"
