"""An owner that writes nothing looks where the log ends, and reads what others wrote behind its last record."""

import pytest

from chatstream.core.errors import LogUnavailable
from chatstream.core.ids import Offset
from chatstream.core.limits import Limits
from chatstream.table import rows
from tests.given import ALICE, accepted
from tests.surroundings import Bench

LIMITS = Limits(look_s=60.0)


def resting(limits: Limits = LIMITS) -> Bench:
    """A writer that has nothing to do, and nothing to record."""
    bench = Bench([accepted(1)], limits=limits)
    bench.take('{"type": "erase", "command_id": "e"}')
    bench.ack_all()
    bench.writer.tick()
    bench.ack_all()
    bench.told()
    return bench


def tick(bench: Bench, at_s: float) -> None:
    bench.around.clock = at_s
    bench.writer.tick()


def look(bench: Bench) -> None:
    """The end of the log, as it is now."""
    bench.writer.on_end(Offset(len(bench.log)))


@pytest.mark.parametrize("look_s", [60.0, 1.5])
def test_the_end_is_asked_for_once_in_look_s(look_s: float) -> None:
    bench = resting(Limits(look_s=look_s))
    tick(bench, look_s - 0.01)
    assert bench.around.ends_asked == 0
    tick(bench, look_s)
    assert bench.around.ends_asked == 1
    tick(bench, 2 * look_s - 0.01)
    assert bench.around.ends_asked == 1
    tick(bench, 2 * look_s)
    assert bench.around.ends_asked == 2


def test_it_is_not_asked_for_while_something_is_on_its_way_whose_ack_will_tell() -> None:
    bench = resting(Limits(look_s=10.0))
    bench.take("hello", key=b"bob")
    tick(bench, 10.0)
    assert bench.around.ends_asked == 0
    bench.ack_all()
    bench.writer.tick()
    bench.ack_all()
    bench.writer.tick()
    assert bench.around.ends_asked == 1


def test_nothing_is_written_when_the_log_ends_where_ours_does() -> None:
    bench = resting()
    look(bench)
    assert bench.told() == []


def test_a_record_of_an_erased_session_that_landed_late_is_removed() -> None:
    bench = resting()
    ghost = bench.stranger()
    look(bench)
    assert bench.told() == ["append mark"]
    bench.ack()
    assert bench.told() == [f"gap {len(bench.log) - 2}..{len(bench.log) - 1}"]
    bench.read_gap()
    bench.ack_all()
    assert (bench.log[-1].key, bench.log[-1].value) == (ghost, None)
    assert sorted(key for key in bench.rows if b"alice" in key) == [rows.head_key(ALICE)]
    look(bench)
    assert bench.around.sent == []


def test_a_claim_that_landed_late_ends_the_writer() -> None:
    bench = resting()
    bench.rival(9)
    look(bench)
    bench.ack()
    bench.read_gap()
    assert bench.told()[-1] == "end fenced by 9-rival"


def test_an_answer_that_comes_when_something_is_on_its_way_is_left_to_its_ack() -> None:
    bench = resting()
    bench.take("hello", key=b"bob")
    bench.told()
    bench.stranger()
    look(bench)
    assert bench.told() == []


def test_an_answer_that_comes_too_late_for_the_writer_is_ignored() -> None:
    bench = resting()
    bench.writer.move()
    bench.told()
    bench.stranger()
    look(bench)
    assert bench.told() == []


def test_a_mark_that_cannot_be_sent_then_ends_the_writer() -> None:
    bench = resting()
    bench.stranger()
    bench.around.append_fails = LogUnavailable("gone")
    look(bench)
    assert bench.told() == ["end doubt, producer too"]
