"""What a writer does when somebody wrote between two of its records: the fold of the gap decides."""

import gc
import weakref

from chatstream.core.claims import CLAIM_HEADER, mark_key
from chatstream.core.codec import FORMAT
from chatstream.core.ids import ClaimName, Offset
from chatstream.table import rows
from tests.given import ALICE, accepted
from tests.surroundings import Bench, event_record


def bench_with_a_message_on_its_way() -> Bench:
    bench = Bench()
    bench.take("one", waiter="w1")
    bench.told()
    return bench


def test_a_ghost_in_the_gap_is_ignored_its_key_is_kept_and_the_writer_goes_on() -> None:
    bench = bench_with_a_message_on_its_way()
    ghost = bench.stranger()
    bench.ack()
    assert bench.told() == ["gap 1..2"]
    bench.read_gap()
    assert bench.told() == ["answer w1 accepted 1 at 0", "wake alice", "run alice/1"]
    assert rows.ghost_key(ALICE, ghost) in bench.rows
    entry = rows.read_entry(bench.table, ALICE, 1)
    assert entry is not None
    assert entry.offset == 2
    bench.say("two")
    assert not bench.writer.over


def test_nothing_is_shown_while_the_gap_is_read() -> None:
    bench = bench_with_a_message_on_its_way()
    bench.take("two", waiter="w2")
    bench.told()
    bench.stranger()
    bench.ack(2)
    bench.writer.tick()
    assert bench.told() == ["gap 1..2"]
    bench.read_gap()
    assert bench.told() == ["answer w1 accepted 1 at 0", "answer w2 accepted 2 at 1", "wake alice", "run alice/1"]


def test_what_was_confirmed_before_the_gap_is_shown_at_once() -> None:
    bench = bench_with_a_message_on_its_way()
    bench.take("two", waiter="w2")
    bench.told()
    bench.ack(settle=False)
    bench.stranger()
    bench.ack()
    assert bench.told() == ["gap 2..3", "answer w1 accepted 1 at 0", "wake alice", "run alice/1"]
    assert rows.read_head(bench.table, ALICE).last_seq == 1
    bench.read_gap()
    assert bench.told() == ["answer w2 accepted 2 at 1", "wake alice", "run alice/1"]


def test_a_higher_claim_in_the_gap_ends_the_writer_and_writes_nothing() -> None:
    bench = bench_with_a_message_on_its_way()
    bench.stranger()
    bench.rival(2)
    bench.ack()
    before = bench.rows
    bench.told()
    bench.table.writes.clear()
    bench.read_gap()
    bench.writer.settle()
    assert bench.told() == ["end fenced by 2-rival"]
    assert bench.table.writes == []
    assert bench.rows == before
    assert bench.writer.unconfirmed == 0


def test_acks_that_were_held_while_the_gap_was_read_are_forgotten_when_it_fences() -> None:
    bench = bench_with_a_message_on_its_way()
    bench.take("two", waiter="w2")
    bench.rival(2)
    bench.ack(2)
    bench.told()
    bench.read_gap()
    assert bench.told() == ["end fenced by 2-rival"]


def test_a_mark_and_a_lost_claim_in_the_gap_change_nothing() -> None:
    bench = bench_with_a_message_on_its_way()
    dead = ((CLAIM_HEADER, b"0-dead"), ("pos", b"0:99"), ("pub", b"99"))
    bench.write(mark_key(ClaimName("0-dead"), 1), b"{}", dead)
    bench.rival(1)
    bench.ack()
    bench.read_gap()
    assert bench.told() == ["gap 1..3", "answer w1 accepted 1 at 0", "wake alice", "run alice/1"]
    assert bench.projection.ownership.claim == "1-me"
    assert bench.projection.ownership.published == -1
    assert bench.projection.ownership.position.offset == -1


def test_a_hole_in_the_gap_is_no_gap() -> None:
    bench = bench_with_a_message_on_its_way()
    pending = bench.around.sent[0][0]
    bench.writer.on_ack(pending, Offset(7), None)
    assert bench.told() == ["gap 1..7"]
    bench.writer.on_gap([], Offset(7))
    assert bench.told() == ["answer w1 accepted 1 at 0", "wake alice", "run alice/1"]
    assert bench.projection.next_offset == 8


def test_two_gaps_in_a_row_are_read_one_after_the_other() -> None:
    bench = Bench()
    bench.writer.on_records([bench.record(text, waiter=f"w{n}") for n, text in enumerate((b"one", b"two", b"three"))])
    bench.told()
    bench.stranger(seq=8)
    bench.ack(settle=False)
    bench.stranger(seq=9)
    bench.ack(2)
    assert bench.told() == ["gap 1..2"]
    bench.read_gap()
    assert bench.told() == ["gap 3..4", "answer w0 accepted 1 at 0", "wake alice", "run alice/1"]
    bench.read_gap()
    assert bench.told() == ["answer w1 accepted 2 at 1", "answer w2 accepted 3 at 2", "wake alice", "run alice/1"]
    assert {key for key in bench.rows if key.startswith(rows.GHOST)} == {
        rows.ghost_key(ALICE, b"alice/8/0-dead"),
        rows.ghost_key(ALICE, b"alice/9/0-dead"),
    }


def test_the_claim_that_fences_may_stand_in_the_second_gap() -> None:
    bench = bench_with_a_message_on_its_way()
    bench.take("two", waiter="w2")
    bench.told()
    bench.stranger()
    bench.ack(settle=False)
    bench.rival(2)
    bench.ack()
    bench.read_gap()
    assert bench.told() == ["gap 1..2", "gap 3..4", "answer w1 accepted 1 at 0", "wake alice", "run alice/1"]
    bench.read_gap()
    assert bench.told() == ["end fenced by 2-rival"]
    assert rows.read_head(bench.table, ALICE).last_seq == 1


def test_an_own_record_that_nobody_here_sent_ends_the_writer() -> None:
    bench = bench_with_a_message_on_its_way()
    bench.write(*event_record("1-me", accepted(1)))
    bench.ack()
    before = bench.rows
    bench.told()
    bench.read_gap()
    assert bench.told() == ["end doubt, producer too"]
    assert bench.rows == before


def test_a_claim_of_a_newer_version_in_the_gap_ends_the_writer_and_not_the_node() -> None:
    bench = bench_with_a_message_on_its_way()
    value = b'{"type":"claim","epoch":2,"id":"new","format":%d,"whatever":1}' % (FORMAT + 1)
    bench.write(b"#claim/2-new", value)
    bench.ack()
    bench.told()
    bench.read_gap()
    assert bench.told() == ["end doubt"]


def test_a_gap_that_nobody_asked_for_is_ignored() -> None:
    bench = bench_with_a_message_on_its_way()
    bench.rival(2)
    bench.writer.on_gap(bench.log[1:], Offset(2))
    assert bench.told() == []


def test_a_writer_that_was_fenced_in_a_gap_leaves_nothing_in_memory() -> None:
    bench = Bench()
    bench.take("hi")
    bench.rival(9)
    bench.ack()
    bench.read_gap()
    assert bench.writer.over
    writer = weakref.ref(bench.writer)
    del bench
    gc.collect()
    assert writer() is None
