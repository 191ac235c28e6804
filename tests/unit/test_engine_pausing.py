"""How much may be appended and not confirmed: at the limit the partition's input is paused, at half of it it goes on."""

from chatstream.core.limits import Limits
from chatstream.engine.appends import RECORD_OVERHEAD_BYTES
from tests.surroundings import Bench


def pauses(bench: Bench) -> list[str]:
    return [line for line in bench.told() if line in ("pause", "go on")]


def test_one_record_below_the_limit_does_not_pause_and_the_limit_does() -> None:
    bench = Bench(limits=Limits(unconfirmed_records=4))
    bench.writer.on_records([bench.record(b"x") for _ in range(3)])
    assert pauses(bench) == []
    bench.take("x")
    assert pauses(bench) == ["pause"]
    bench.take("x")
    assert pauses(bench) == []


def test_input_goes_on_at_half_the_limit_and_not_before() -> None:
    bench = Bench(limits=Limits(unconfirmed_records=4))
    bench.writer.on_records([bench.record(b"x") for _ in range(4)])
    bench.told()
    bench.ack(1)
    assert pauses(bench) == []
    bench.ack(1)
    assert pauses(bench) == ["go on"]
    bench.ack(1)
    assert pauses(bench) == []


def size_of_one() -> int:
    bench = Bench()
    bench.take("x")
    return len(bench.around.sent[0][0].value or b"") + RECORD_OVERHEAD_BYTES


def test_one_byte_below_the_limit_does_not_pause_and_the_limit_does() -> None:
    size_bytes = size_of_one()
    below = Bench(limits=Limits(unconfirmed_bytes=size_bytes + 1))
    below.take("x")
    assert pauses(below) == []
    at = Bench(limits=Limits(unconfirmed_bytes=size_bytes))
    at.take("x")
    assert pauses(at) == ["pause"]
    at.ack()
    assert pauses(at) == ["go on"]


def test_both_limits_have_to_be_at_half() -> None:
    size_bytes = size_of_one()
    bench = Bench(limits=Limits(unconfirmed_records=2, unconfirmed_bytes=20 * size_bytes))
    bench.writer.on_records([bench.record(b"x" * 11 * size_bytes), bench.record(b"x" * 11 * size_bytes)])
    assert pauses(bench) == ["pause"]
    bench.ack()
    assert pauses(bench) == []
    bench.ack()
    assert pauses(bench) == ["go on"]


def test_unanswered_turns_pause_nothing() -> None:
    bench = Bench(limits=Limits(unconfirmed_records=4))
    for _ in range(20):
        bench.take("x")
        bench.ack()
    assert pauses(bench) == []
