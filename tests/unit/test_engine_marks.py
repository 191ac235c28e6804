"""Input position and published offset: carried once, by the first record after they moved or by a mark of their own."""

from chatstream.core.errors import LogUnavailable
from chatstream.core.ids import Offset
from chatstream.core.session import Completed
from tests.given import place
from tests.surroundings import Bench


def test_the_position_rides_on_the_next_record_and_only_once() -> None:
    bench = Bench()
    bench.say("one")
    bench.writer.on_records([bench.record(b"two"), bench.record(b"three")])
    assert [headers.get("pos") for headers in bench.around.headers] == [None, b"0:0", None]


def test_the_published_offset_rides_on_the_next_record_and_only_once() -> None:
    bench = Bench()
    bench.say("one")
    bench.around.published_now = Offset(4)
    bench.writer.on_records([bench.record(b"two"), bench.record(b"three")])
    assert [headers.get("pub") for headers in bench.around.headers] == [None, b"4", None]


def test_every_record_names_the_claim_and_only_commands_their_input() -> None:
    bench = Bench()
    bench.say("one")
    bench.finish(1, Completed(text="hi"))
    assert [(h["claim"], h.get("input")) for h in bench.around.headers] == [(b"1-me", b"0:0"), (b"1-me", None)]


def test_a_position_that_nothing_carried_gets_a_mark_at_the_next_tick() -> None:
    bench = Bench()
    bench.say("one")
    bench.around.published_now = Offset(3)
    bench.writer.tick()
    assert bench.told() == ["append mark"]
    pending, key, _ = bench.around.sent[0]
    assert (key, pending.value) == (b"#mark/1-me/1", b"{}")
    assert bench.around.headers[-1] == {"claim": b"1-me", "pos": b"0:0", "pub": b"3"}
    bench.ack()
    assert bench.told() == []
    assert bench.projection.ownership.position == place(0)
    assert bench.projection.ownership.published == 3


def test_the_position_moves_over_holes_at_the_end_once_all_before_them_is_safe() -> None:
    bench = Bench()
    bench.take("one")
    bench.writer.on_reached(Offset(5))
    bench.writer.tick()
    assert bench.headers_of("pos") == [None]
    bench.ack_all()
    bench.writer.tick()
    assert bench.headers_of("pos") == [None, b"0:4"]
    bench.ack_all()
    assert bench.projection.ownership.position == place(4)


def test_an_end_that_is_known_moves_nothing_and_a_record_behind_it_is_taken() -> None:
    bench = Bench()
    bench.say("one")
    bench.writer.on_reached(Offset(1))
    bench.writer.on_reached(Offset(3))
    bench.writer.on_reached(Offset(2))
    bench.told()
    bench.take("two", offset=2)
    assert bench.told() == []
    bench.take("two", offset=3)
    assert bench.told() == ["append alice/2 message.accepted"]


def test_an_end_told_to_a_writer_that_is_over_moves_nothing() -> None:
    bench = Bench()
    bench.writer.move()
    bench.writer.on_reached(Offset(3))
    assert bench.writer.inputs.position == place(-1)


def test_no_mark_when_nothing_moved() -> None:
    bench = Bench()
    bench.writer.tick()
    bench.say("one")
    bench.writer.tick()
    bench.writer.tick()
    assert bench.told() == ["append mark"]
    bench.ack()
    bench.writer.tick()
    assert bench.told() == []


def test_a_duplicate_moves_the_position_and_a_mark_carries_it() -> None:
    bench = Bench()
    bench.say('{"text":"hello","message_id":"m1"}')
    bench.take('{"text":"hello","message_id":"m1"}')
    assert bench.writer.inputs.position == place(1)
    bench.writer.tick()
    assert bench.around.headers[-1]["pos"] == b"0:1"


def test_marks_have_keys_of_their_own() -> None:
    bench = Bench()
    for number in (1, 2):
        bench.say("hello")
        bench.writer.tick()
        assert bench.around.sent[-1][1] == b"#mark/1-me/%d" % number
        bench.ack()
        bench.told()


def test_the_position_waits_for_everything_appended_before() -> None:
    bench = Bench()
    bench.say('{"text":"hello","message_id":"m1"}')
    bench.take("of bob", key=b"bob")
    bench.take('{"text":"hello","message_id":"m1"}')
    assert bench.writer.inputs.position == place(0)
    assert bench.writer.inputs.lag == 2
    bench.ack()
    assert bench.writer.inputs.position == place(2)
    assert bench.writer.inputs.lag == 0


def test_a_writer_that_moves_away_leaves_a_mark() -> None:
    bench = Bench()
    bench.say("one")
    bench.writer.move()
    assert bench.told() == ["append mark", "end moved"]
    bench.writer.move()
    assert bench.told() == []


def test_a_writer_that_moves_away_with_nothing_to_say_just_ends() -> None:
    bench = Bench()
    bench.writer.move()
    assert bench.told() == ["end moved"]


def test_a_mark_that_cannot_be_sent_ends_the_writer_once() -> None:
    bench = Bench()
    bench.say("one")
    bench.around.append_fails = LogUnavailable("gone")
    bench.writer.move()
    assert bench.told() == ["end doubt, producer too"]


def test_a_mark_that_is_not_acknowledged_in_time_ends_the_writer() -> None:
    bench = Bench()
    bench.say("one")
    bench.writer.tick()
    bench.around.clock = bench.limits.append_s + 1
    bench.writer.tick()
    assert bench.told() == ["append mark", "end doubt, producer too"]


def test_the_next_owner_goes_on_behind_the_mark() -> None:
    bench = Bench()
    bench.say("one")
    bench.writer.move()
    bench.restart()
    assert bench.writer.inputs.position == place(0)
    bench.take("one", offset=0)
    bench.take("two", offset=1)
    assert bench.told() == ["append alice/2 message.accepted"]
