"""Inbound records that are no commands, and those that a foreign partitioner put on the wrong partition."""

from typing import Any

import pytest

from chatstream.core.errors import BadCommand, LogUnavailable, RecordTooLarge
from chatstream.core.ids import Offset, PartitionNo
from chatstream.core.limits import Limits
from chatstream.core.partitioner import partition_of
from chatstream.engine.aside import KEY_BYTES_MAX, dead_letter, forward_headers, place_of
from chatstream.log.port import Record, Topic
from chatstream.log.sizes import checked_bytes
from tests.given import place
from tests.surroundings import Bench

HOME = partition_of(b"alice", 4)
AWAY = PartitionNo((HOME + 1) % 4)


def record(value: bytes | None = b"hello", key: bytes | None = b"alice", **fields: Any) -> Record:
    return Record(Offset(7), key, value, **fields)


# -- the writer ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "key", "reason"),
    [
        (b"hello", None, "missing-key"),
        (b"hello", b"a b", "bad-key"),
        (b"\xff", b"alice", "not-utf8"),
        (b"{nonsense", b"alice", "malformed-json"),
        (b'{"type":"dance"}', b"alice", "unknown-type"),
        (b"", b"alice", "empty"),
        (None, b"alice", "empty"),
    ],
)
def test_what_is_no_command_is_set_aside_with_its_reason_and_the_next_one_is_taken(
    value: bytes | None, key: bytes | None, reason: str
) -> None:
    bench = Bench()
    bench.take(value, key=key, waiter="w1")
    bench.take("hello")
    assert bench.told() == ["aside chat.dead-letters/0", f"answer w1 refused {reason}", "append alice/1 message.accepted"]
    _, _, letter_key, letter, headers = bench.around.aside[0]
    assert (letter_key, letter, dict(headers)["reason"]) == (b"0/0", value, reason.encode())


def test_who_sent_what_is_no_command_hears_so_when_all_before_it_is_confirmed() -> None:
    bench = Bench()
    bench.take("hello", waiter="w1")
    bench.take(b"\xff", waiter="w2")
    assert bench.told() == ["append alice/1 message.accepted", "aside chat.dead-letters/0"]
    bench.ack()
    assert bench.told()[:2] == ["answer w1 accepted 1 at 0", "answer w2 refused not-utf8"]


def test_a_bad_record_that_is_read_again_makes_the_same_letter() -> None:
    bench = Bench()
    bench.take(b"\xff")
    first = bench.around.aside
    bench.restart()
    bench.take(b"\xff", offset=0)
    assert bench.around.aside == first


def test_the_position_passes_a_bad_record_only_when_its_letter_is_stored() -> None:
    bench = Bench()
    bench.take(b"\xff")
    bench.take("hello")
    bench.ack()
    assert bench.writer.inputs.position == place(-1)
    assert bench.writer.inputs.unsettled
    bench.around.aside_done[0](True)
    assert bench.writer.inputs.position == place(1)
    assert not bench.writer.inputs.unsettled


def test_a_letter_that_was_not_stored_ends_the_writer_but_not_the_events_producer() -> None:
    bench = Bench()
    bench.take(b"\xff", waiter="w1")
    bench.told()
    bench.around.aside_done[0](False)
    assert bench.told()[-1] == "end doubt"


def test_a_letter_that_cannot_be_sent_ends_the_writer_but_not_the_events_producer() -> None:
    bench = Bench()
    bench.around.aside_fails = LogUnavailable("gone")
    bench.take(b"\xff")
    assert bench.told() == ["end doubt"]


def test_a_misplaced_record_is_forwarded_with_the_place_where_it_stood() -> None:
    bench = Bench(partitions=4, number=AWAY)
    bench.take("hello", headers=(("trace", b"1"),))
    assert bench.told() == [f"aside chat.messages/{HOME}"]
    assert bench.around.aside == [(Topic.MESSAGES, HOME, b"alice", b"hello", (("trace", b"1"), ("forwarded", b"%d/0" % AWAY)))]
    assert bench.writer.inputs.position == place(-1)
    bench.around.aside_done[0](True)
    assert bench.writer.inputs.position == place(0)


def test_a_forwarded_record_is_taken_under_the_id_of_its_first_place() -> None:
    bench = Bench(partitions=4, number=HOME)
    bench.take("hello", headers=(("forwarded", b"%d/41" % AWAY),))
    bench.take("hello", headers=(("forwarded", b"%d/41" % AWAY),), waiter="w2")
    bench.ack()
    assert bench.told()[:2] == ["append alice/1 message.accepted", "answer w2 repeated 1"]
    assert bench.around.events[0].message_id == f"k-{AWAY}-41"


def test_a_record_that_was_forwarded_and_is_still_not_at_home_is_set_aside() -> None:
    bench = Bench(partitions=4, number=AWAY)
    bench.take("hello", headers=(("forwarded", b"0/1"),))
    assert bench.told() == ["aside chat.dead-letters/0"]
    assert dict(bench.around.aside[0][4])["reason"] == b"misrouted"


def test_a_misplaced_record_that_is_too_large_to_be_forwarded_is_set_aside() -> None:
    bench = Bench(partitions=4, number=AWAY)
    bench.around.aside_fails = RecordTooLarge("one header too much")
    bench.around.aside_fails_for = Topic.MESSAGES
    bench.take("hello")
    assert bench.told() == ["aside chat.dead-letters/0"]
    assert dict(bench.around.aside[0][4])["reason"] == b"too-large"
    bench.around.aside_done[0](True)
    assert bench.writer.inputs.position == place(0)


def test_ids_stay_unique_after_a_topic_was_adopted() -> None:
    """Offsets start again with each generation, and so would the ids that are made of them."""
    bench = Bench(partitions=4, number=HOME, generation=2)
    bench.take("hello")
    bench.take("hello", headers=(("forwarded", b"%d/2.0" % AWAY),))
    bench.take("hello", headers=(("forwarded", b"%d/0" % AWAY),))
    assert [event.message_id for event in bench.around.events] == [f"k-{HOME}-2.0", f"k-{AWAY}-2.0", f"k-{AWAY}-0"]
    away = Bench(partitions=4, number=AWAY, generation=2)
    away.take("hello")
    assert away.around.aside[0][4] == (("forwarded", b"%d/2.0" % AWAY),)


def test_a_letter_that_is_too_large_itself_ends_the_writer() -> None:
    bench = Bench()
    bench.around.aside_fails = RecordTooLarge("dead_letter_bytes is set too high")
    bench.take(b"\xff")
    assert bench.told() == ["end doubt"]


# -- the pure functions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("forwarded", "id"),
    [
        (None, "k-3-7"),
        (b"5/41", "k-5-41"),
        (b"5/2.41", "k-5-2.41"),
        (b"5/0.41", "k-5-41"),
        (b"", "k-3-7"),
        (b"5", "k-3-7"),
        (b"5/", "k-3-7"),
        (b"5/-1", "k-3-7"),
        (b"x/1", "k-3-7"),
        (b"5/4\n", "k-3-7"),
        (b"5/" + b"9" * 18, "k-5-" + "9" * 18),
        (b"5/" + b"9" * 19, "k-3-7"),
        (b"5/" + b"9" * 5_000, "k-3-7"),
    ],
)
def test_an_id_is_made_of_the_first_place_and_a_strange_header_is_none(forwarded: bytes | None, id: str) -> None:
    assert place_of(PartitionNo(3), place(7), forwarded) == id


def test_a_generation_above_0_stands_in_id_and_header() -> None:
    at = place(7)._replace(generation=2)
    assert place_of(PartitionNo(3), at, None) == "k-3-2.7"
    assert forward_headers(record(), PartitionNo(3), at) == (("forwarded", b"3/2.7"),)


WHY = BadCommand("empty", "nothing in it")


def test_a_dead_letter_has_the_original_and_where_it_stood() -> None:
    key, value, headers = dead_letter(record(b"bytes"), PartitionNo(3), WHY, 100)
    assert (key, value) == (b"3/7", b"bytes")
    assert headers == (
        ("reason", b"empty"),
        ("topic", b"chat.messages"),
        ("partition", b"3"),
        ("offset", b"7"),
        ("key", b"alice"),
    )


def test_a_value_is_cut_one_byte_past_the_limit() -> None:
    _, whole, headers = dead_letter(record(b"x" * 100), PartitionNo(3), WHY, 100)
    assert (whole, "cut" in dict(headers)) == (b"x" * 100, False)
    _, cut, headers = dead_letter(record(b"x" * 101), PartitionNo(3), WHY, 100)
    assert (cut, dict(headers)["cut"]) == (b"x" * 100, b"101")


def test_a_key_is_cut_one_byte_past_the_limit() -> None:
    _, _, headers = dead_letter(record(key=b"k" * KEY_BYTES_MAX), PartitionNo(3), WHY, 100)
    assert (len(dict(headers)["key"]), "key-cut" in dict(headers)) == (KEY_BYTES_MAX, False)
    _, _, headers = dead_letter(record(key=b"k" * (KEY_BYTES_MAX + 1)), PartitionNo(3), WHY, 100)
    assert len(dict(headers)["key"]) == KEY_BYTES_MAX
    assert dict(headers)["key-cut"] == b"%d" % (KEY_BYTES_MAX + 1)


def test_a_dead_letter_of_an_erased_session_has_no_value() -> None:
    _, value, headers = dead_letter(record(b"secret"), PartitionNo(3), BadCommand("session-erased", "gone"), 100)
    assert (value, "cut" in dict(headers)) == (None, False)


def test_the_largest_dead_letter_fits_its_topic() -> None:
    largest = record(b"x" * 10_000_000, b"k" * 5_000_000)
    key, value, headers = dead_letter(largest, PartitionNo(3), WHY, Limits().dead_letter_bytes)
    checked_bytes(Topic.DEAD_LETTERS, key, value, headers)
