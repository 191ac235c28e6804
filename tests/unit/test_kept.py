"""Messages that wait for their turn in memory, and what there is no room for."""

from chatstream.core.events import MessageAccepted
from chatstream.core.ids import Seq, SessionId
from chatstream.core.limits import Limits
from chatstream.core.session import Completed
from chatstream.engine.kept import Kept
from tests.given import ALICE, accepted
from tests.surroundings import Bench


def test_a_message_is_taken_once() -> None:
    kept: Kept[tuple[SessionId, Seq], MessageAccepted] = Kept(100)
    kept.add((ALICE, Seq(1)), accepted(1), 10)
    assert kept.take((ALICE, Seq(1))) == accepted(1)
    assert kept.take((ALICE, Seq(1))) is None


def test_as_many_bytes_as_the_limit_are_kept_and_one_past_it_lets_the_oldest_go() -> None:
    kept: Kept[tuple[SessionId, Seq], MessageAccepted] = Kept(100)
    kept.add((ALICE, Seq(1)), accepted(1), 60)
    kept.add((ALICE, Seq(2)), accepted(2), 40)
    assert len(kept) == 2
    kept.add((ALICE, Seq(3)), accepted(3), 1)
    assert kept.take((ALICE, Seq(1))) is None
    assert kept.take((ALICE, Seq(2))) == accepted(2)
    assert kept.take((ALICE, Seq(3))) == accepted(3)
    kept.add((ALICE, Seq(4)), accepted(4), 100)  # what was taken makes room again
    assert len(kept) == 1
    kept.add((ALICE, Seq(5)), accepted(5), 101)
    assert len(kept) == 0


def test_a_thing_under_the_same_key_takes_the_place_of_the_one_before() -> None:
    kept: Kept[str, str] = Kept(100)
    kept.add("a", "old", 60)
    kept.add("a", "new", 60)
    kept.add("b", "other", 40)
    assert (kept.take("a"), kept.take("b")) == ("new", "other")


def test_a_turn_that_had_to_wait_runs_with_its_message_at_hand() -> None:
    bench = Bench()
    bench.take("one")
    bench.take("two")
    bench.ack_all()
    bench.finish(1, Completed(text="done"))
    bench.ack_all()
    assert [(turn, event is not None and event.text) for _, turn, event in bench.around.jobs] == [(1, "one"), (2, "two")]


def test_without_room_for_it_the_turn_runs_all_the_same_and_its_message_is_read_back() -> None:
    bench = Bench(limits=Limits(waiting_bytes=0))
    bench.take("one")
    bench.ack_all()
    assert [(turn, event) for _, turn, event in bench.around.jobs] == [(1, None)]
