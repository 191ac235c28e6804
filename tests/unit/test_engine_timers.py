"""Messages that are sent later: one writer, its clock in the test's hands."""

import msgspec
import pytest

from chatstream.core.events import AnyEvent
from chatstream.core.ids import MessageId, SessionId
from chatstream.core.limits import Limits
from chatstream.core.session import Completed
from chatstream.core.times import at_ms, rfc3339
from chatstream.engine.timers import DUE_AT_ONCE
from chatstream.table import rows
from tests.given import ALICE, NOW, accepted, cancelled, erased, scheduled
from tests.surroundings import Bench


def after(seconds: float) -> str:
    """So long after the tests' now."""
    return rfc3339((at_ms(NOW) or 0) + int(seconds * 1000))


def later(id: str, seconds: float, more: str = "") -> str:
    return f'{{"text":"{id}","message_id":"{id}","at":"{after(seconds)}"{more}}}'


def due(bench: Bench) -> list[str]:
    """The times in the rows of messages that wait."""
    return [one.due for one in rows.read_due(bench.table, 10_000)]


def ring(bench: Bench, seconds: float) -> None:
    """It is so much later, and the alarm rings."""
    bench.around.time = after(seconds)
    bench.writer.on_alarm()


def test_a_message_for_later_is_confirmed_and_its_alarm_set() -> None:
    bench = Bench()
    bench.take(later("m1", 60), waiter="w")
    assert bench.told() == ["append alice/1 message.scheduled"]
    bench.ack()
    assert bench.told() == [f"alarm {after(60)}", "answer w accepted 1 at 0", "wake alice"]
    assert due(bench) == [after(60)]


def test_it_is_sent_when_it_is_due_and_not_before() -> None:
    bench = Bench()
    bench.say(later("m1", 60))
    ring(bench, 59.999)
    assert bench.told() == []
    ring(bench, 60)
    assert bench.told() == ["append alice/2 message.accepted"]
    sent = bench.around.events[-1]
    assert sent == accepted(2, "m1", id="m1", time=after(60), scheduled=1, input="0:0")
    bench.ack()
    assert bench.told() == ["wake alice", "run alice/2"]
    assert due(bench) == []


def test_the_queue_goes_on_while_a_message_waits_for_its_time() -> None:
    bench = Bench()
    bench.say(later("m1", 60), "now")
    bench.finish(2, Completed(text="hi"))
    bench.ack()
    assert bench.told()[-1] == "wake alice"
    bench.take("again")
    bench.ack()
    assert bench.told()[-1] == "run alice/4"
    ring(bench, 60)
    bench.ack()
    assert bench.told() == ["append alice/5 message.accepted", "wake alice", "run alice/4"]


def test_the_earliest_sets_the_alarm_whichever_came_first() -> None:
    bench = Bench()
    bench.take(later("m1", 60))
    bench.take(later("m2", 30))
    bench.take(later("m3", 45))
    bench.ack(3)
    assert [line for line in bench.told() if line.startswith("alarm")] == [f"alarm {after(60)}", f"alarm {after(30)}"]
    ring(bench, 30)
    bench.ack()
    told = bench.told()
    assert told[:2] == ["append alice/4 message.accepted", f"alarm {after(45)}"]


def test_messages_due_at_the_same_moment_are_sent_in_the_order_of_acceptance() -> None:
    bench = Bench()
    bench.say(*(later(f"m{n}", 60) for n in range(1, 13)))
    ring(bench, 61)
    assert [event.message_id for event in bench.around.events[12:]] == [f"m{n}" for n in range(1, 13)]


def test_what_was_taken_back_is_not_sent() -> None:
    bench = Bench()
    bench.say(later("m1", 60))
    bench.take('{"type":"cancel","message_id":"m1","command_id":"c"}')
    ring(bench, 61)
    assert bench.told() == ["append alice/2 reply.cancelled"]
    bench.ack()
    assert due(bench) == []
    assert bench.around.events[-1] == cancelled(2, 1, by=MessageId("c"), command_id=MessageId("c"))
    ring(bench, 62)
    assert bench.told()[-1] == "wake alice"


def test_what_was_sent_is_not_sent_again_before_that_is_confirmed() -> None:
    bench = Bench()
    bench.say(later("m1", 60), later("m2", 61))
    ring(bench, 60)
    assert bench.told()[0] == "append alice/3 message.accepted"
    ring(bench, 61)
    assert bench.told() == []
    bench.ack()
    assert bench.told() == ["wake alice", "run alice/3", "append alice/4 message.accepted"]


def test_what_became_overdue_while_nobody_owned_the_partition_is_sent_at_once() -> None:
    bench = Bench([scheduled(1, after(-60), time=after(-120)), scheduled(2, after(60))])
    bench.writer.start()
    assert bench.told() == ["append alice/3 message.accepted", f"alarm {after(60)}"]
    assert bench.around.events[-1].message_id == "m1"


def test_a_message_whose_sending_was_lost_with_the_process_is_sent_by_the_next() -> None:
    bench = Bench()
    bench.say(later("m1", 60))
    ring(bench, 61)
    bench.around.sent.clear()
    bench.restart()
    bench.around.time = after(61)
    bench.writer.start()
    assert bench.told() == ["append alice/2 message.accepted"]


def test_a_message_whose_sending_landed_is_not_sent_by_the_next() -> None:
    bench = Bench()
    bench.say(later("m1", 60))
    ring(bench, 61)
    bench.restart()
    bench.around.time = after(61)
    bench.writer.start()
    assert bench.told() == ["run alice/2"]


def test_a_message_that_finds_the_queue_full_when_it_is_due_is_refused_then() -> None:
    limits = Limits(waiting_turns=1)
    bench = Bench(limits=limits)
    bench.say(later("m1", 60), "runs", "waits")
    ring(bench, 60)
    bench.ack()
    assert bench.told() == ["append alice/4 message.refused", "publish 4 message.refused", "wake alice", "run alice/2"]
    assert due(bench) == []


def test_a_message_that_is_to_interrupt_does_so_when_it_is_due() -> None:
    bench = Bench()
    bench.say(later("m1", 60, ',"on_busy":"interrupt"'), "runs")
    ring(bench, 60)
    bench.ack()
    assert bench.told()[-2:] == ["append alice/4 reply.cancelled", "stop alice"]
    bench.ack()
    assert bench.told()[-1] == "run alice/3"


def test_nothing_of_an_erased_session_is_sent() -> None:
    bench = Bench([scheduled(1, after(60)), erased(2)])
    bench.writer.start()
    ring(bench, 61)
    assert bench.told() == []


def test_a_copy_is_not_sent() -> None:
    copy = msgspec.structs.replace(scheduled(1, after(60)), copy=True)
    bench = Bench([copy])
    ring(bench, 61)
    bench.writer.start()
    assert bench.told() == []


def test_a_writer_that_is_over_sends_nothing() -> None:
    bench = Bench([scheduled(1, after(60))])
    bench.writer.move()
    bench.told()
    ring(bench, 61)
    bench.writer.tick()
    assert bench.told() == []


def test_an_alarm_that_never_rings_is_made_good_by_the_tick() -> None:
    bench = Bench()
    bench.say(later("m1", 60))
    bench.around.time = after(61)
    bench.writer.tick()
    assert bench.told()[0] == "append alice/2 message.accepted"


def many(count: int, sessions: int = 10) -> list[AnyEvent]:
    """Messages that are due, spread over sessions."""
    return [
        msgspec.structs.replace(scheduled(1 + n // sessions, after(-1), id=f"m{n}"), session=SessionId(f"s{n % sessions}"))
        for n in range(count)
    ]


def sent(bench: Bench) -> int:
    return sum(line.endswith("message.accepted") for line in bench.told())


@pytest.mark.parametrize("more", [0, 1])
def test_a_batch_is_as_large_as_it_may_be_and_what_is_more_waits_for_its_confirmation(more: int) -> None:
    bench = Bench(many(DUE_AT_ONCE + more))
    bench.writer.start()
    assert sent(bench) == DUE_AT_ONCE
    bench.ack(DUE_AT_ONCE - 1)
    assert sent(bench) == 0
    bench.ack()
    assert sent(bench) == more


def test_thousands_that_are_due_at_once_are_all_sent_and_each_once() -> None:
    bench = Bench(many(2_345))
    bench.writer.start()
    bench.ack_all()
    assert sent(bench) == 2_345
    assert due(bench) == []
    assert len({event.message_id for event in bench.around.events}) == 2_345


def test_no_more_is_sent_than_may_be_unconfirmed() -> None:
    bench = Bench(many(10, sessions=1), limits=Limits(unconfirmed_records=4))
    bench.take("one more")
    bench.told()
    bench.writer.start()
    assert sent(bench) == 3
    bench.ack(4)
    assert sent(bench) == 4


def test_no_more_bytes_are_sent_than_may_be_unconfirmed() -> None:
    bench = Bench(many(10, sessions=1), limits=Limits(unconfirmed_bytes=500))
    bench.writer.start()
    assert sent(bench) == 2


def test_a_row_without_its_message_means_a_broken_table() -> None:
    bench = Bench([scheduled(1, after(60))])
    bench.table.write([(rows.entry_key(ALICE, 1), None)])
    bench.around.time = after(61)
    bench.writer.start()
    assert bench.told() == ["end doubt"]
