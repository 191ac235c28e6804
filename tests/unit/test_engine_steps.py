"""Steps and approvals as the writer records them: told when confirmed, never before; a parked turn holds nothing."""

import pytest

from chatstream.core.events import AnyEvent
from chatstream.core.ids import MessageId, Seq, Version
from chatstream.core.session import Completed, Parked, Stepped
from chatstream.table import rows
from tests.given import ALICE, accepted, asked, cancelled, completed, created, decided, erased, resumed, stepped
from tests.surroundings import Bench

APPROVE = '{"type":"approve","name":"pay","decision":"approved","comment":"fine","command_id":"a1"}'
STARTED = (rows.running_key(ALICE), rows.running_value(Seq(1), Version(1)))


class Told(list[bool]):
    """What whoever recorded a step was told."""


def record(bench: Bench, what: Stepped | Parked, turn: int = 1, version: int = 1) -> Told:
    """The running turn's call records a step."""
    told = Told()
    bench.writer.record(ALICE, Seq(turn), Version(version), what, told.append)
    return told


def parked(bench: Bench, name: str = "pay#1") -> None:
    """Alice's turn waits for somebody, and nobody is asked what happened on the way."""
    record(bench, Parked(name=name, detail={"eur": 5}))
    bench.ack_all()
    bench.told()


def running() -> Bench:
    bench = Bench()
    bench.say("hello")
    return bench


# -- steps --------------------------------------------------------------------------------------------------------


def test_a_step_is_told_when_it_is_confirmed_and_in_the_table_and_not_before() -> None:
    bench = running()
    told = record(bench, Stepped(name="find#1", result=[1]))
    assert bench.told() == ["append alice/2 step.completed"]
    assert bench.around.events[-1] == stepped(2, 1, "find#1", [1]).__replace__(message_id=bench.around.events[0].message_id)
    bench.ack(settle=False)
    assert told == []
    bench.writer.settle()
    assert told == [True]
    assert rows.read_step(bench.table, ALICE, 1, 1, "find#1") == 2
    assert bench.told() == ["wake alice", "run alice/1"]


def test_a_step_that_is_on_its_way_is_not_recorded_again_by_the_next_attempt() -> None:
    """The first attempt gave up while it waited for the log."""
    bench = running()
    first = record(bench, Stepped(name="find#1", result=1))
    second = record(bench, Stepped(name="find#1", result=2))
    assert bench.told() == ["append alice/2 step.completed"]
    bench.ack(settle=False)
    third = record(bench, Stepped(name="find#1", result=3))
    assert bench.told() == []
    bench.writer.settle()
    assert (first, second, third) == ([True], [True], [True])
    assert record(bench, Stepped(name="find#1", result=4)) == [True]
    assert bench.around.sent == []


def test_steps_of_other_names_and_versions_are_recorded_beside_it() -> None:
    bench = running()
    record(bench, Stepped(name="find#1", result=1))
    record(bench, Stepped(name="find#2", result=1))
    assert bench.told() == ["append alice/2 step.completed", "append alice/3 step.completed"]
    bench.take('{"type":"cancel"}')
    bench.take('{"type":"retry"}')
    bench.told()
    record(bench, Stepped(name="find#1", result=1), version=2)
    assert bench.told() == ["append alice/6 step.completed"]


def test_a_step_of_a_turn_that_was_cancelled_meanwhile_is_not_recorded() -> None:
    bench = running()
    bench.take('{"type":"cancel"}')
    bench.told()
    assert record(bench, Stepped(name="find#1", result=1)) == [False]
    assert bench.told() == []


@pytest.mark.parametrize(("turn", "version"), [(2, 1), (1, 2)])
def test_a_step_of_another_turn_or_version_is_not_recorded(turn: int, version: int) -> None:
    assert record(running(), Stepped(name="find#1", result=1), turn, version) == [False]


def test_a_step_that_was_not_confirmed_when_the_partition_was_lost_is_never_told() -> None:
    bench = running()
    told = record(bench, Stepped(name="find#1", result=1))
    bench.writer.move()
    bench.writer.settle()
    assert told == []
    assert record(bench, Stepped(name="find#2", result=1)) == [False]


def test_a_step_whose_table_is_broken_ends_the_writer() -> None:
    bench = Bench([accepted(1)])
    bench.projection._heads.clear()  # it was long ago that anybody asked for her
    bench.table.close()
    assert record(bench, Stepped(name="find#1", result=1)) == []
    assert bench.told() == ["end doubt"]


def test_a_copy_of_a_step_in_a_fork_is_told_to_nobody() -> None:
    copies: list[AnyEvent] = [created("bob", 3), accepted(2, copy=True), stepped(3, 2, "a#1", 1).__replace__(copy=True)]
    bench = Bench(copies)
    slot = bench.writer._slots.open(ALICE)
    bench.writer.append(slot, asked(4, 2, "b#1").__replace__(copy=True))
    bench.ack()
    assert "stop alice" not in bench.told()


# -- parking ------------------------------------------------------------------------------------------------------


def test_a_question_parks_its_turn_and_ends_its_call_when_it_is_confirmed() -> None:
    bench = Bench([accepted(1)], local=[STARTED])
    told = record(bench, Parked(name="pay#1", detail={"eur": 5}))
    assert bench.told() == ["append alice/2 approval.requested"]
    assert bench.around.events[-1] == asked(2, 1, "pay#1", {"eur": 5})
    bench.ack()
    assert (told, bench.told()) == ([True], ["stop alice", "wake alice"])
    assert rows.running_key(ALICE) not in bench.rows


def test_a_decision_runs_the_parked_turn_again() -> None:
    bench = running()
    parked(bench)
    bench.take(APPROVE, waiter="w")
    assert bench.told() == ["append alice/3 approval.decided"]
    bench.ack()
    assert bench.told() == ["answer w accepted 3 at 0", "wake alice", "run alice/1"]
    event = bench.around.events[-1]
    assert (event.turn, rows.read_step(bench.table, ALICE, 1, 1, "pay#1")) == (1, 3)


def test_a_decision_that_comes_before_the_question_is_confirmed_runs_the_turn_again_all_the_same() -> None:
    bench = running()
    record(bench, Parked(name="pay#1", detail=None))
    bench.take(APPROVE)
    bench.told()
    bench.ack(2)
    assert bench.told() == ["stop alice", "wake alice", "run alice/1"]


@pytest.mark.parametrize("name", ["other", "pay#1", "pa"])
def test_a_decision_on_what_nobody_asked_is_refused(name: str) -> None:
    bench = running()
    parked(bench)
    bench.take(APPROVE.replace("pay", name), waiter="w")
    bench.ack_all()
    assert any(line.startswith("answer w refused") for line in bench.told())
    assert bench.projection.session(ALICE).last_seq == 2


def test_a_second_decision_is_refused() -> None:
    bench = running()
    parked(bench)
    bench.take(APPROVE)
    bench.take(APPROVE.replace("a1", "a2"), waiter="w")
    bench.ack_all()
    assert "answer w refused no-such-approval" in bench.told()


def test_while_a_question_is_on_its_way_nothing_is_started_that_it_would_end() -> None:
    bench = running()
    bench.take("waits")
    record(bench, Parked(name="pay#1", detail=None))
    bench.told()
    bench.ack()
    assert bench.told() == ["wake alice"]


def test_a_second_question_of_the_same_attempt_waits_until_the_first_is_decided() -> None:
    bench = running()
    first, second = record(bench, Parked(name="a#1", detail=None)), record(bench, Parked(name="b#1", detail=None))
    bench.ack_all()
    assert (first, second) == ([True], [])
    assert [line for line in bench.told() if line.startswith("append")] == ["append alice/2 approval.requested"]


def test_a_step_that_ends_while_the_turn_is_being_parked_is_recorded() -> None:
    bench = running()
    record(bench, Parked(name="pay#1", detail=None))
    told = record(bench, Stepped(name="find#1", result=1))
    bench.ack_all()
    assert told == [True]
    assert rows.read_step(bench.table, ALICE, 1, 1, "find#1") == 3
    assert bench.projection.session(ALICE).running.parked == "pay#1"  # type: ignore[union-attr]  # it is running


def test_what_code_says_that_goes_on_without_an_answer_is_dropped() -> None:
    bench = running()
    record(bench, Parked(name="pay#1", detail=None))
    bench.told()
    bench.finish(1, Completed(text="never mind"))
    assert bench.told() == []


def test_messages_wait_behind_a_parked_turn() -> None:
    bench = running()
    parked(bench)
    bench.take("waits")
    bench.take('{"text":"no","on_busy":"reject"}', waiter="w")
    bench.ack_all()
    told = bench.told()
    assert "answer w refused turn-in-progress" in told
    assert [line for line in told if line.startswith("run")] == []


def test_a_parked_turn_can_be_cancelled() -> None:
    bench = running()
    parked(bench)
    bench.take("next")
    bench.take('{"type":"cancel","command_id":"c"}')
    bench.ack_all()
    end = cancelled(4, 1, by=MessageId("c"), command_id=MessageId("c"))
    assert bench.around.events[-1] == end.__replace__(message_id=bench.around.events[0].message_id)
    assert bench.told()[-1] == "run alice/3"


def test_a_parked_turn_can_be_interrupted() -> None:
    bench = running()
    parked(bench)
    bench.take('{"text":"now this","on_busy":"interrupt"}')
    bench.ack_all()
    told = bench.told()
    assert "append alice/4 reply.cancelled" in told
    assert told[-1] == "run alice/3"


def test_a_parked_turn_goes_with_its_session() -> None:
    bench = running()
    parked(bench)
    bench.take('{"type":"erase"}')
    bench.ack_all()
    assert bench.projection.session(ALICE) == bench.projection.session(ALICE).__replace__(erased=True, running=None)


# -- restarts -----------------------------------------------------------------------------------------------------


def test_a_parked_turn_is_left_alone_by_whoever_takes_the_partition_over() -> None:
    bench = Bench([accepted(1), asked(2, 1, "pay#1")], local=[STARTED])
    bench.writer.start()
    assert bench.told() == []
    assert rows.running_key(ALICE) not in bench.rows
    bench.take(APPROVE)
    bench.ack()
    assert bench.told()[-1] == "run alice/1"


def test_a_turn_that_was_decided_just_runs_and_counts_as_no_death() -> None:
    bench = running()
    parked(bench)
    bench.take(APPROVE)
    bench.restart(local=[])
    bench.writer.start()
    assert bench.told() == ["run alice/1"]


def test_a_turn_that_died_after_the_decision_counts_as_one_death() -> None:
    events: list[AnyEvent] = [accepted(1), asked(2, 1, "pay#1"), decided(3, 1, "pay#1")]
    bench = Bench(events, local=[STARTED])
    bench.writer.start()
    assert bench.around.events == [resumed(4, 1)]


def test_another_turns_end_leaves_the_row_of_the_running_one() -> None:
    bench = Bench([accepted(1), accepted(2)], local=[STARTED])
    bench.take('{"type":"cancel","turn":2}')
    bench.ack()
    assert rows.running_key(ALICE) in bench.rows


def test_the_rows_of_an_ended_turn_answer_no_later_version() -> None:
    bench = Bench([accepted(1), stepped(2, 1, "a#1", 5), completed(3, 1)])
    assert rows.read_step(bench.table, ALICE, 1, 1, "a#1") == 2
    assert rows.read_step(bench.table, ALICE, 1, 2, "a#1") is None


def test_nothing_is_parked_in_an_erased_session() -> None:
    bench = Bench([accepted(1), asked(2, 1, "pay#1"), erased(3)])
    bench.writer.start()
    bench.take(APPROVE, waiter="w")
    assert "answer w refused session-erased" in bench.told()
