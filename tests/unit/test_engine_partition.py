"""The writer of a partition, from appending to confirming: nothing is shown before it is confirmed."""

import msgspec
import pytest

from chatstream.core.errors import LogError, LogUnavailable, OutcomeUnknown, QueueFull
from chatstream.core.ids import MessageId, Offset
from chatstream.core.limits import Limits
from chatstream.core.session import Completed, Partial
from chatstream.engine.surroundings import Doubt
from chatstream.table import rows
from tests.given import ALICE, accepted, completed, place
from tests.surroundings import Bench


def test_a_message_is_shown_answered_and_run_only_when_it_is_confirmed() -> None:
    bench = Bench()
    bench.take("hello", waiter="w1")
    assert bench.told() == ["append alice/1 message.accepted"]
    assert rows.read_head(bench.table, ALICE).last_seq == 0
    bench.ack(settle=False)
    assert bench.told() == []
    bench.writer.settle()
    assert bench.told() == ["answer w1 accepted 1 at 0", "wake alice", "run alice/1"]
    assert bench.around.events == [accepted(1, "hello", id="k-0-0", input="0:0")]
    assert bench.around.jobs == [(ALICE, 1, bench.around.events[0])]
    assert rows.read_head(bench.table, ALICE).last_seq == 1


def test_a_reply_is_published_and_shown_only_when_it_is_confirmed() -> None:
    bench = Bench()
    bench.say("hello")
    bench.finish(1, Completed(text="hi"))
    assert bench.told() == ["append alice/2 reply.completed"]
    bench.ack()
    assert bench.told() == ["publish 2 reply.completed", "wake alice"]
    assert bench.around.events[-1] == msgspec.structs.replace(completed(2, 1, "hi"), message_id=MessageId("k-0-0"))


def test_appends_are_pipelined_and_confirmed_in_order() -> None:
    bench = Bench()
    bench.writer.on_records([bench.record(text, waiter=f"w{n}") for n, text in enumerate((b"one", b"two", b"three"))])
    assert bench.told() == [f"append alice/{seq} message.accepted" for seq in (1, 2, 3)]
    bench.ack()
    assert bench.told() == ["answer w0 accepted 1 at 0", "wake alice", "run alice/1"]
    bench.ack(2)
    assert bench.told() == ["answer w1 accepted 2 at 1", "answer w2 accepted 3 at 2", "wake alice", "run alice/1"]
    assert rows.read_head(bench.table, ALICE).last_seq == 3


def test_rows_and_position_of_a_batch_of_acks_are_one_write() -> None:
    bench = Bench()
    bench.writer.on_records([bench.record(b"one"), bench.record(b"two", key=b"bob")])
    bench.ack(2)
    assert len(bench.table.writes) == 1
    written = bench.table.writes[0]
    assert written.count(rows.META) == 1
    assert {b"head/alice", b"head/bob", rows.entry_key(ALICE, 1), b"owed/alice"} <= set(written)


def test_two_messages_of_different_sessions_run_side_by_side() -> None:
    bench = Bench()
    bench.writer.on_records([bench.record(b"one"), bench.record(b"two", key=b"bob")])
    bench.ack(2)
    assert bench.told()[2:] == ["wake alice", "wake bob", "run alice/1", "run bob/1"]


def test_the_next_turn_runs_when_the_reply_before_it_is_confirmed() -> None:
    bench = Bench()
    bench.say("one", "two")
    bench.finish(1, Completed(text="hi"))
    assert bench.told() == ["append alice/3 reply.completed"]
    bench.ack()
    assert bench.told() == ["publish 3 reply.completed", "wake alice", "run alice/2"]


def test_an_outcome_for_a_turn_that_is_not_the_running_one_is_dropped() -> None:
    bench = Bench()
    bench.say("one", "two")
    for turn, version in ((2, 1), (1, 2), (7, 1)):
        bench.finish(turn, Completed(text="hi"), version=version)
    assert bench.told() == []


# -- duplicates ---------------------------------------------------------------------------------------------------


MESSAGE = '{"text":"hello","message_id":"m1"}'


def test_a_repeated_id_is_answered_with_the_first_events_seq() -> None:
    bench = Bench()
    bench.say(MESSAGE)
    bench.take(MESSAGE, waiter="w2")
    assert bench.told() == ["answer w2 repeated 1"]


def test_a_repeated_id_is_answered_only_when_the_first_is_confirmed() -> None:
    bench = Bench()
    bench.take(MESSAGE, waiter="w1")
    bench.take(MESSAGE, waiter="w2")
    assert bench.told() == ["append alice/1 message.accepted"]
    bench.ack()
    assert bench.told() == ["answer w1 accepted 1 at 0", "answer w2 repeated 1", "wake alice", "run alice/1"]


def test_a_repeat_waits_for_everything_that_was_appended_before_it() -> None:
    bench = Bench()
    bench.say(MESSAGE)
    bench.take("of bob", key=b"bob", waiter="w1")
    bench.take(MESSAGE, waiter="w2")
    bench.take('{"type":"cancel","turn":9}', waiter="w3")
    assert bench.told() == ["append bob/1 message.accepted"]
    bench.ack()
    assert bench.told()[:3] == ["append mark", "answer w1 accepted 1 at 0", "answer w2 repeated 1"]
    bench.ack()
    assert bench.told() == ["answer w3 refused not-running"]


def test_an_id_of_one_session_is_free_in_another() -> None:
    bench = Bench()
    bench.say(MESSAGE)
    bench.take(MESSAGE, key=b"bob")
    assert bench.told() == ["append bob/1 message.accepted"]


# -- what comes again after a restart -----------------------------------------------------------------------------


def test_commands_that_led_to_events_are_skipped_when_they_are_read_again() -> None:
    bench = Bench()
    bench.writer.on_records([bench.record(b"one"), bench.record(b"two", key=b"bob"), bench.record(b"three")])
    bench.ack(2)
    bench.restart()
    assert bench.writer.inputs.position == place(-1)
    for offset, key in ((0, b"alice"), (1, b"bob"), (2, b"alice"), (3, b"bob")):
        bench.take(b"again", key=key, offset=offset)
    assert bench.told() == ["append bob/2 message.accepted"]


def test_a_record_that_is_delivered_twice_is_taken_once() -> None:
    bench = Bench()
    bench.take("one")
    bench.take("one", offset=0)
    assert bench.told() == ["append alice/1 message.accepted"]


# -- doubt --------------------------------------------------------------------------------------------------------


def test_a_failed_ack_ends_the_writer_and_its_producer() -> None:
    bench = Bench()
    bench.take("one", waiter="w1")
    pending = bench.around.sent[0][0]
    bench.told()
    bench.writer.on_ack(pending, None, OutcomeUnknown("who knows"))
    bench.writer.settle()
    assert bench.told() == ["end doubt, producer too"]
    assert bench.table.writes == []


@pytest.mark.parametrize("offset", [0, -1])
def test_an_ack_below_what_is_expected_ends_the_writer(offset: int) -> None:
    bench = Bench()
    bench.take("one")
    bench.told()
    bench.writer.on_ack(bench.around.sent[0][0], Offset(offset), None)
    bench.writer.settle()
    assert bench.told() == ["end doubt, producer too"]
    assert bench.table.writes == []


def test_acks_out_of_order_end_the_writer() -> None:
    bench = Bench()
    bench.writer.on_records([bench.record(b"one"), bench.record(b"two")])
    bench.told()
    bench.writer.on_ack(bench.around.sent[1][0], Offset(1), None)
    assert bench.told() == ["end doubt, producer too"]


def test_an_ack_that_comes_twice_ends_the_writer() -> None:
    bench = Bench()
    bench.take("one")
    pending = bench.around.sent[0][0]
    bench.ack()
    bench.told()
    bench.writer.on_ack(pending, Offset(2), None)
    assert bench.told() == ["end doubt, producer too"]


@pytest.mark.parametrize(
    ("error", "end"), [(LogUnavailable("gone"), "end doubt, producer too"), (QueueFull("full"), "end doubt")]
)
def test_an_append_that_cannot_be_sent_ends_the_writer_and_a_full_queue_not_the_producer(error: LogError, end: str) -> None:
    bench = Bench()
    bench.around.append_fails = error
    bench.writer.on_records([bench.record(b"one", waiter="w1"), bench.record(b"two")])
    assert bench.told() == [end]


def test_an_append_may_wait_append_s_for_its_ack_and_no_longer() -> None:
    bench = Bench(limits=Limits(append_s=30.0))
    bench.around.clock = 100.0
    bench.take("one")
    bench.around.clock = 130.0
    bench.writer.tick()
    assert bench.told() == ["append alice/1 message.accepted"]
    bench.around.clock = 130.1
    bench.writer.tick()
    assert bench.told() == ["end doubt, producer too"]


@pytest.mark.parametrize("step", ["on_records", "on_ack", "settle", "finish", "start"])
def test_a_broken_table_ends_the_writer(step: str) -> None:
    bench = Bench()
    bench.say("hello")
    if step in ("on_ack", "settle"):
        bench.take("more")
    if step == "settle":
        bench.ack(settle=False)
    bench.told()
    bench.writer._slots._slots.clear()
    bench.projection._heads.clear()
    bench.table.close()
    match step:
        case "on_records":
            bench.take("more")
        case "on_ack":
            bench.ack(settle=False)
        case "settle":
            bench.writer.settle()
        case "finish":
            bench.finish(1, Completed(text="hi"))
        case _:
            bench.writer.start()
    assert bench.told() == ["end doubt"]


def test_a_writer_that_is_over_does_nothing_whatever_it_is_told() -> None:
    bench = Bench(limits=Limits(unconfirmed_records=2))
    bench.say("one")
    bench.writer.on_records([bench.record(b"two", waiter="w1"), bench.record(b"three"), bench.record(b"\xff")])
    pending = bench.around.sent[0][0]
    bench.around.published_now = Offset(5)
    bench.around.said_now = Partial("so far")
    bench.told()
    bench.writer.distrust(Doubt("test", producer=False))
    assert bench.told() == ["end doubt"]
    bench.table.writes.clear()
    bench.take("four", waiter="w2")
    bench.writer.on_ack(pending, Offset(2), None)
    bench.writer.on_ack(pending, None, LogUnavailable("gone"))
    bench.writer.settle()
    bench.writer.on_gap(bench.log, Offset(9))
    bench.writer.start()
    bench.writer.tick()
    bench.finish(1, Completed(text="hi"))
    for done in bench.around.aside_done:
        done(True)
        done(False)
    bench.writer.distrust(Doubt("again"))
    bench.writer.move()
    assert bench.told() == []
    assert bench.table.writes == []
    assert bench.writer.unconfirmed == 0


def test_a_writer_that_ends_in_the_middle_of_a_batch_does_not_go_on_with_it() -> None:
    bench = Bench(limits=Limits(unconfirmed_records=1))
    bench.take("one")
    assert bench.told() == ["append alice/1 message.accepted", "pause"]
    bench.around.append_fails = LogUnavailable("gone")
    bench.take("two", waiter="w1")
    assert bench.told() == ["end doubt, producer too"]


@pytest.mark.parametrize(
    "command",
    [
        b'{"type":"edit","seq":1,"text":"x"}',
        b'{"type":"retry","turn":1}',
        b'{"type":"fork","id":"copy"}',
    ],
)
def test_a_row_that_cannot_be_read_ends_the_writer_and_not_the_node(command: bytes) -> None:
    bench = Bench([accepted(1), completed(2, 1)])
    for seq in (1, 2):
        bench.table.write([(rows.entry_key(ALICE, seq), bytes(8) + b"{")])
    bench.take(command)
    bench.ack_all()
    assert bench.told()[-1] == "end doubt"
    (end,) = bench.around.ends
    assert isinstance(end, Doubt)
    assert end.table


def test_a_write_goes_over_what_a_reply_brings_that_is_not_confirmed() -> None:
    bench = Bench()
    bench.say("hello")
    bench.finish(1, Completed(text="hi", state={"mood": "good"}))
    bench.take('{"type":"state.clear","key":"mood","if_match":"*"}')
    assert bench.told() == ["append alice/2 reply.completed", "append alice/3 state.changed"]


def test_that_nothing_came_of_a_command_is_told_when_nobody_will_decide_it_again() -> None:
    bench = Bench()
    bench.take('{"type":"cancel"}', waiter="w1")
    assert bench.told() == ["append mark"]
    assert bench.headers_of("pos") == [b"0:0"]
    bench.ack()
    assert bench.told() == ["answer w1 refused not-running"]
    assert bench.projection.ownership.position == place(0)


def test_commands_that_come_to_nothing_together_are_recorded_at_once() -> None:
    bench = Bench()
    cancel = b'{"type":"cancel"}'
    bench.writer.on_records([bench.record(cancel, waiter="w1"), bench.record(cancel, key=b"bob", waiter="w2")])
    assert bench.told() == ["append mark"]
    bench.ack()
    assert bench.told() == ["answer w1 refused not-running", "answer w2 refused not-running"]


@pytest.mark.parametrize("waits", [False, True])
def test_that_nothing_came_of_a_command_is_not_told_when_it_cannot_be_recorded(waits: bool) -> None:
    bench = Bench()
    if waits:
        bench.take("hello", key=b"bob")
    bench.around.append_fails = None if waits else LogUnavailable("gone")
    bench.take('{"type":"cancel"}', waiter="w1")
    bench.around.append_fails = LogUnavailable("gone")
    if waits:
        bench.ack()
    assert bench.told()[-1] == "end doubt, producer too"


def test_a_replys_state_counts_as_it_is_when_the_reply_is_recorded() -> None:
    bench = Bench()
    bench.say("hello")
    bench.take('{"type":"state.set","key":"place","value":"here"}')
    bench.finish(1, Completed(text="hi", state={"mood": "good"}, state_bytes=len('mood"good"')))
    bench.ack_all()
    assert rows.read_head(bench.table, ALICE).state_bytes == len('place"here"') + len('mood"good"')
