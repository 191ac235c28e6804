"""A fork takes over its source's events, a batch at a time; until it is whole, what it is asked waits and others go on."""

import json

import pytest

from chatstream.core.codec import read_event
from chatstream.core.events import AnyEvent
from chatstream.core.ids import MessageId, Seq, SessionId
from chatstream.core.limits import Limits
from chatstream.core.partitioner import partition_of
from chatstream.core.session import Completed
from chatstream.table import rows
from tests.given import (
    ALICE,
    accepted,
    changed,
    completed,
    place,
    updated,
)
from tests.surroundings import Bench

BOB = SessionId("bob")
ONE_BATCH = Limits(unconfirmed_records=8)
"""Copies go out one by one, four on their way at most."""


def fork(to: str = "bob", seq: int = 0, id: str = "f") -> str:
    return json.dumps({"type": "fork", "id": to, "seq": seq, "command_id": id})


def answered(turns: int) -> list[AnyEvent]:
    """Turns that have ended, and state and profile, so that every kind of row is there."""
    events: list[AnyEvent] = [changed(1, {"color": "red"}, 7), updated(2, title="Named", system="Be brief.")]
    for turn in range(3, 3 + 2 * turns, 2):
        events += [accepted(turn), completed(turn + 1, turn, usage={"input_tokens": 5, "output_tokens": 7})]
    return events


def events_of(bench: Bench, session: SessionId) -> list[AnyEvent]:
    prefix = rows.ENTRY + session.encode() + b"/"
    return [read_event(rows.entry_of(raw).value) for _, raw in bench.table.scan(prefix, rows.after_prefix(prefix))]


def test_a_fork_has_the_sources_events_rows_and_state_and_owes_what_the_source_owed() -> None:
    bench = Bench([*answered(2), accepted(7)])
    bench.told()
    bench.take(fork(), waiter="w")
    assert bench.told() == ["append bob/1 session.created"]
    bench.ack()
    assert bench.told()[:2] == ["answer w accepted 1 at 0", "wake bob"]
    bench.ack_all()
    told = bench.told()
    assert told[-1] == "run bob/8"
    assert not any(line.startswith("publish") for line in told)
    head = rows.read_head(bench.table, BOB)
    assert (head.last_seq, head.copying, head.messages, head.replies, head.title) == (8, None, 3, 2, "Named")
    assert (head.state_bytes, head.input_tokens, head.output_tokens) == (7, 0, 0)
    assert [event.seq for event in events_of(bench, BOB)] == list(range(1, 9))
    assert all(event.copy for event in events_of(bench, BOB)[1:])
    assert bench.table.get(rows.state_key(BOB, "color")) == b'"red"'
    assert rows.read_profile(bench.table, BOB).system == "Be brief."
    assert rows.read_message_seq(bench.table, BOB, MessageId("m3")) == 4
    assert rows.fork_key(ALICE, BOB) not in bench.rows


def test_a_fork_up_to_an_event_knows_nothing_of_what_came_later() -> None:
    bench = Bench(answered(3))
    bench.take(fork(seq=3))
    bench.ack_all()
    assert "run bob/4" in bench.told()
    assert rows.read_head(bench.table, BOB).last_seq == 4


def test_copies_go_out_in_batches_and_the_next_when_one_is_confirmed() -> None:
    bench = Bench(answered(10), limits=ONE_BATCH)
    bench.take(fork())
    bench.ack()
    assert len(bench.around.sent) == 4
    bench.ack()
    assert len(bench.around.sent) == 4
    bench.ack_all()
    assert rows.read_head(bench.table, BOB).copying is None


def test_a_batch_ends_with_the_event_that_fills_it() -> None:
    text = "x" * 1000
    big = [accepted(1, text), *(accepted(seq, text) for seq in range(2, 30))]
    bench = Bench(big, limits=Limits(unconfirmed_bytes=20_000))
    bench.take(fork())
    bench.ack()
    # 20,000 bytes may be unconfirmed: a batch is an eighth of it, three records of a good 1,000 bytes.
    assert len(bench.around.sent) == 12


def test_what_a_fork_is_asked_waits_until_it_is_whole_and_is_decided_in_order() -> None:
    bench = Bench(answered(10), limits=ONE_BATCH)
    bench.take(fork())
    bench.ack()
    bench.told()
    bench.take("first", key=b"bob", waiter="w1")
    bench.take("second", key=b"bob", waiter="w2")
    bench.take("hello", key=b"carol", waiter="w3")
    assert bench.told() == ["append carol/1 message.accepted"]
    bench.ack_all()
    told = [line for line in bench.told() if not line.startswith("wake")]
    last_copy = told.index("append bob/23 reply.completed")
    assert told[last_copy + 1 : last_copy + 3] == ["append bob/24 message.accepted", "append bob/25 message.accepted"]
    assert told.index("run carol/1") < last_copy
    assert [line for line in told if line.startswith("answer")] == [
        "answer w3 accepted 1 at 0",
        "answer w1 accepted 24 at 0",
        "answer w2 accepted 25 at 1",
    ]
    assert told[-1] == "run bob/24"


def test_the_position_waits_for_what_was_put_off() -> None:
    bench = Bench(answered(10), limits=ONE_BATCH)
    bench.take(fork())
    bench.ack()
    bench.take("for bob", key=b"bob")
    bench.take("for carol", key=b"carol")
    assert bench.writer.inputs.position == place(0)
    while rows.read_head(bench.table, BOB).last_seq < 23:
        bench.ack()
        assert bench.writer.inputs.position <= place(0)
    bench.ack_all()
    assert bench.writer.inputs.position == place(2)


def test_a_command_that_was_put_off_and_leads_to_nothing_waits_for_the_copies_before_it() -> None:
    bench = Bench(answered(1), limits=ONE_BATCH)
    bench.take(fork())
    bench.ack()
    bench.take('{"type": "cancel"}', key=b"bob", waiter="w")
    while rows.read_head(bench.table, BOB).copying is not None:
        assert bench.writer.inputs.position == place(0)
        bench.ack()
    assert bench.told()[-2:] == ["append mark", "wake bob"]
    assert bench.writer.inputs.position == place(1)
    bench.ack()
    assert bench.told() == ["answer w refused not-running"]


def test_a_death_in_the_middle_of_a_copy_is_made_good_by_the_next_owner() -> None:
    bench = Bench(answered(10), limits=ONE_BATCH)
    bench.take(fork())
    bench.ack()
    bench.take("for bob", key=b"bob")
    bench.ack(3)
    bench.restart()
    bench.writer.start()
    bench.writer.settle()
    head = rows.read_head(bench.table, BOB)
    assert head.copying is not None
    assert (
        bench.told()[0]
        == f"append bob/{head.last_seq + 1} {'reply.completed' if head.last_seq % 2 == 0 else 'message.accepted'}"
    )
    bench.take("for bob", key=b"bob", offset=1)
    bench.ack_all()
    assert [event.seq for event in events_of(bench, BOB)] == list(range(1, 25))
    assert [line for line in bench.told() if line.startswith("run")] == ["run bob/24"]


def test_a_death_after_the_last_copy_leaves_a_whole_fork() -> None:
    bench = Bench(answered(1))
    bench.take(fork())
    bench.ack_all()
    bench.restart()
    bench.writer.start()
    bench.writer.settle()
    assert bench.told() == []


def test_the_same_fork_again_is_the_same_fork_while_it_is_made_and_after() -> None:
    bench = Bench(answered(1))
    bench.take(fork())
    bench.take(fork(), waiter="w1")
    bench.ack_all()
    bench.take(fork(), waiter="w2")
    told = bench.told()
    assert "answer w1 repeated 1" in told
    assert told[-1] == "answer w2 repeated 1"
    assert sum("session.created" in line for line in told) == 1


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (fork(id="other"), "session-exists"),
        (fork(to="alice"), "session-exists"),
        (fork(to="carol", seq=9), "no-such-message"),
    ],
)
def test_what_cannot_be_forked_leads_to_nothing(command: str, reason: str) -> None:
    bench = Bench([*answered(1)])
    bench.take(fork())
    bench.ack_all()
    bench.told()
    bench.take(command, waiter="w")
    bench.ack()
    assert bench.told() == ["append mark", f"answer w refused {reason}"]


def test_a_fork_of_a_session_that_nobody_knows_or_of_another_partition_is_refused() -> None:
    bench = Bench([*answered(1)])
    bench.take(fork(to="carol"), key=b"nobody", waiter="w")
    bench.ack()
    assert bench.told() == ["append mark", "answer w refused no-such-session"]
    bench = Bench([*answered(1)], partitions=2, number=_home(b"alice"))
    elsewhere = next(name for name in ("a", "b", "c", "d", "e") if _home(name.encode()) != _home(b"alice"))
    bench.take(fork(to=elsewhere), waiter="w")
    bench.ack()
    assert bench.told() == ["append mark", "answer w refused other-partition"]


def _home(key: bytes) -> int:
    return partition_of(key, 2)


def test_a_fork_without_a_name_gets_one_of_the_same_partition() -> None:
    bench = Bench([*answered(1)], partitions=2, number=_home(b"alice"))
    bench.take('{"type": "fork", "command_id": "f"}', waiter="w")
    name = bench.told()[0].split()[1].split("/")[0]
    assert name.startswith("fork-")
    assert _home(name.encode()) == _home(b"alice")


def test_a_fork_of_a_fork_waits_for_the_first() -> None:
    bench = Bench(answered(3), limits=ONE_BATCH)
    bench.take(fork())
    bench.take(fork("carol", id="g"), key=b"bob")
    bench.ack_all()
    source, of_it = events_of(bench, BOB), events_of(bench, SessionId("carol"))
    assert [event.seq for event in of_it] == list(range(1, len(source) + 2))
    assert rows.read_head(bench.table, SessionId("carol")).copying is None


def test_two_forks_are_copied_side_by_side() -> None:
    bench = Bench(answered(20), limits=ONE_BATCH)
    bench.take(fork())
    bench.take(fork("carol", id="g", seq=2))
    bench.ack_all()
    told = bench.told()
    assert told.index("append carol/3 session.updated") < told.index("append bob/43 reply.completed")


def test_the_source_may_go_on_meanwhile() -> None:
    bench = Bench(answered(5), limits=ONE_BATCH)
    bench.take(fork())
    bench.take("more")
    bench.ack(2)
    bench.finish(13, Completed(text="hi"))
    bench.ack_all()
    assert rows.read_head(bench.table, BOB).last_seq == 13
    assert rows.read_head(bench.table, ALICE).last_seq == 14


def test_an_erased_source_leaves_the_fork_whole() -> None:
    bench = Bench([*answered(5)], limits=ONE_BATCH)
    bench.take(fork())
    bench.take('{"type": "erase"}')
    bench.ack_all()
    assert rows.read_head(bench.table, ALICE).erased
    assert len(events_of(bench, BOB)) == 13


def test_a_fork_erased_while_it_is_made_is_erased_when_it_is_whole() -> None:
    bench = Bench(answered(5), limits=ONE_BATCH)
    bench.take(fork())
    bench.ack()
    bench.take('{"type": "erase"}', key=b"bob")
    bench.take("too late", key=b"bob", waiter="w")
    bench.ack_all()
    assert "answer w refused session-erased" in bench.told()
    assert rows.read_head(bench.table, BOB).erased
    assert bench.writer.inputs.position == place(1)
    bench.around.aside_done[0](True)
    assert bench.writer.inputs.position == place(2)


def test_a_command_decided_before_the_erasure_is_no_dead_letter_when_it_is_read_again() -> None:
    bench = Bench([accepted(1)])
    bench.take("hello")
    bench.take('{"type": "erase"}')
    bench.ack_all()
    bench.restart()
    bench.take("hello", offset=0)
    assert bench.around.aside == []
    bench.take("hello", offset=2)
    assert [letter[3] for letter in bench.around.aside] == [None]


def pauses(bench: Bench) -> list[str]:
    return [line for line in bench.told() if line in ("pause", "go on")]


def test_one_command_below_the_limit_does_not_pause_and_the_limit_does() -> None:
    bench = Bench(answered(10), limits=Limits(unconfirmed_records=8, deferred_records=3))
    bench.take(fork())
    bench.ack()
    for _ in range(2):
        bench.take("x", key=b"bob")
    assert pauses(bench) == []
    bench.take("x", key=b"bob")
    assert pauses(bench) == ["pause"]
    bench.ack_all()
    assert pauses(bench) == ["go on"]


def test_one_byte_below_the_limit_of_commands_does_not_pause_and_the_limit_does() -> None:
    bench = Bench(answered(10), limits=Limits(unconfirmed_records=8, deferred_bytes=10))
    bench.take(fork())
    bench.ack()
    bench.take("123456789", key=b"bob")
    assert pauses(bench) == []
    bench.take("0", key=b"bob")
    assert pauses(bench) == ["pause"]
    bench.ack_all()
    assert pauses(bench) == ["go on"]


def test_entries_that_are_missing_end_the_writer_and_the_table() -> None:
    bench = Bench(answered(3))
    bench.take(fork())
    bench.table.write([(rows.entry_key(ALICE, Seq(4)), None)])
    bench.ack()
    assert bench.told()[-1] == "end doubt"
