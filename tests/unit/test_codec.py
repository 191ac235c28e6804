"""Bytes on the topics to commands and events, and back."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from chatstream.core import codec
from chatstream.core.codec import (
    NESTING_MAX,
    UPCASTERS,
    nests_deeper,
    plain_json,
    read_command,
    read_event,
    read_json_command,
    read_key,
    text_of,
    type_name,
    upcast,
    write_command,
    write_event,
    write_json,
)
from chatstream.core.commands import AnyCommand, Cancel, Message
from chatstream.core.errors import BadCommand, BadInput, UnknownFormat
from chatstream.core.events import SCHEMA, AnyEvent, ReplyCompleted, brought_id
from chatstream.core.ids import place_id
from chatstream.core.limits import Limits
from tests.given import accepted, cancel, cancelled, completed, failed, message, refused, restarted, resumed

PLACE = place_id(3, 17)
LIMITS = Limits()

EVENTS: list[AnyEvent] = [
    accepted(1),
    accepted(1, "", content=[{"type": "image", "source": {}}], user="u", metadata={}, on_busy="interrupt", input="0:7"),
    refused(2, "turn-in-progress"),
    completed(2, 1, "hi", content=[], model="m", usage={"output_tokens": 3}, attempts=2, state={"a": None, "b": [1]}),
    failed(2, 1, version=3),
    cancelled(2, 1, "half", by="c", command_id="c", usage={}),
    resumed(2, 1, 4),
    restarted(3, 1, 2),
]


def read(value: bytes | None) -> AnyCommand:
    return read_command(value, PLACE, LIMITS)


def reason(value: bytes | None) -> str:
    with pytest.raises(BadCommand) as caught:
        read(value)
    return caught.value.reason


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"hello", "hello"),
        (b"  hello\n", "  hello\n"),
        ("Grüße 👋".encode(), "Grüße 👋"),
        (b"[1]", "[1]"),
        (b'"quoted"', '"quoted"'),
        (b"null", "null"),
        (b"\x00", "\x00"),
        (b"hello {", "hello {"),
        (b"\xef\xbb\xbfhello", "hello"),
        (b"\x0b{", "\x0b{"),
    ],
)
def test_any_other_text_is_a_user_message(value: bytes, text: str) -> None:
    assert read(value) == Message(command_id=PLACE, message_id=PLACE, text=text)


@pytest.mark.parametrize(
    "value",
    [
        b'{"text":"a"}',
        b' \t\r\n {"text":"a"}\n',
        b'\xef\xbb\xbf{"text":"a"}',
        b'{"type":"message","text":"a"}',
        b'{"text":"b","text":"a"}',
    ],
)
def test_an_object_with_a_text_is_a_message(value: bytes) -> None:
    assert read(value) == Message(command_id=PLACE, message_id=PLACE, text="a")


def test_a_message_keeps_all_it_brings() -> None:
    value = b'{"text":"a","message_id":"m","user":"u","metadata":{"x":[1]},"on_busy":"reject","more":1}'
    assert read(value) == message("a", "m", user="u", metadata={"x": [1]}, on_busy="reject")
    assert read(b'{"text":"a","command_id":"m"}') == message("a", "m")
    assert read(b'{"text":"a","command_id":"m","message_id":"m"}') == message("a", "m")


def test_a_message_of_blocks_has_their_text() -> None:
    blocks: list[dict[str, Any]] = [
        {"type": "text", "text": "a"},
        {"type": "image", "source": {}},
        {"type": "text", "text": "b"},
        {"type": "text", "text": 5},
    ]
    assert text_of(blocks) == "ab"
    assert text_of(None) == ""
    assert read(msgspec.json.encode({"content": blocks})) == Message(
        command_id=PLACE, message_id=PLACE, text="ab", content=blocks
    )
    only_image = read(b'{"content":[{"type":"image","source":{}}]}')
    assert isinstance(only_image, Message)
    assert only_image.text == ""


def test_a_cancel_names_a_turn_a_message_or_neither() -> None:
    assert read(b'{"type":"cancel","command_id":"c","turn":3}') == cancel(3)
    assert read(b'{"type":"cancel"}') == Cancel(command_id=PLACE)
    assert read(b'{"type":"cancel","message_id":"m1","content":"not looked at"}') == Cancel(command_id=PLACE, message_id="m1")  # type: ignore[arg-type]  # an id written as a literal


def test_a_cancel_may_name_a_message_that_brought_no_id() -> None:
    command = read(b'{"type":"cancel","message_id":"k-0-3"}')
    assert isinstance(command, Cancel)
    assert command.message_id == "k-0-3"
    assert reason(b'{"type":"cancel","command_id":"k-0-3"}') == "bad-id"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b'{"text":""}', "empty"),
        (b'{"type":"message"}', "empty"),
        (b'{"content":[]}', "empty"),
        (b'{"content":[{"type":"text","text":""},{"type":"text"}]}', "empty"),
        (b"\xff", "not-utf8"),
        (b"\xed\xa0\x80", "not-utf8"),
        (b'{"text":"a\xff"}', "not-utf8"),
        (b'{"ignored":"\xff","text":"a"}', "not-utf8"),
        (b"{", "malformed-json"),
        (b"{}x", "malformed-json"),
        (b'{"text":"a"', "malformed-json"),
        (b'{"text":5', "malformed-json"),
        (b'{"text":5,"x":NaN}', "malformed-json"),
        (b'{"text":"a"}{"text":"b"}', "malformed-json"),
        (b'{"text":"a","metadata":{"x":NaN}}', "malformed-json"),
        (b'{"text":"\\ud800"}', "malformed-json"),
        (b'{"text":"a\nb"}', "malformed-json"),
        (b'{"text":"a","x":' + b"[" * 100_000, "malformed-json"),
        (b'{"text":5,"x":' + b"[" * 100_000, "malformed-json"),
        (b'{"text":5}', "bad-command"),
        (b'{"type":"message","text":null,"user":3}', "bad-command"),
        (b'{"text":"a","metadata":{"x":1e999}}', "bad-command"),
        (b'{"type":1e999,"text":5}', "bad-command"),
        (b'{"text":"a","on_busy":"wait"}', "bad-command"),
        (b'{"text":"a","content":[{"type":"text","text":"b"}]}', "bad-command"),
        (b'{"text":"a","message_id":"a","command_id":"b"}', "bad-command"),
        (b'{"type":"cancel","turn":"1"}', "bad-command"),
        (b'{"type":"cancel","turn":1.5}', "bad-command"),
        (b'{"type":"message","type":"cancel","text":"a"}', "bad-command"),
        (b'{"text":"a","message_id":"a b"}', "bad-id"),
        (b'{"text":"a","message_id":"k-0-1"}', "bad-id"),
        (b'{"type":"cancel","message_id":"a/b"}', "bad-id"),
        (b"{}", "unknown-type"),
        (b'{"message_id":"m"}', "unknown-type"),
        (b'{"type":"","x":1}', "unknown-type"),
        (b'{"type":"order.created","text":"a"}', "unknown-type"),
        (b'{"type":"order.created","user":{"id":3}}', "unknown-type"),
        (b'{"type":7,"text":"a"}', "unknown-type"),
        (b'{"type":[],"text":"a"}', "unknown-type"),
        (b'{"type":' + b"[" * 900 + b"]" * 900 + b',"text":"a"}', "unknown-type"),
        (b'{"type":null,"text":"a"}', "unknown-type"),
        (b'{"text":"a","delay_s":3}', "not-supported"),
        (b'{"text":"a","at":"2026-01-01T00:00:00Z"}', "not-supported"),
    ],
)
def test_what_is_no_command_is_a_dead_letter_with_its_reason(value: bytes | None, why: str) -> None:
    assert reason(value) == why


@pytest.mark.parametrize(
    "kind", ["retry", "regenerate", "edit", "fork", "update", "state.set", "state.clear", "approve", "erase"]
)
def test_commands_of_later_versions_are_told_apart_from_unknown_ones(kind: str) -> None:
    assert reason(json.dumps({"type": kind, "text": {"any": "shape"}}).encode()) == "not-supported"
    assert reason(json.dumps({"type": kind}).encode()) == "not-supported"


def test_huge_numbers_do_no_harm() -> None:
    assert read(b'{"type":"cancel","turn":%d}' % 10**30) == Cancel(command_id=PLACE, turn=10**30)  # type: ignore[arg-type]  # a number written as a literal
    assert reason(b'{"text":"a","metadata":{"x":%s}}' % (b"9" * 5_000)) == "bad-command"
    command = read(b'{"text":"a","metadata":{"x":%d}}' % 10**30)
    assert isinstance(command, Message)
    assert read(write_command(command).replace(PLACE.encode(), b"m")) == message("a", metadata={"x": 10**30})


def test_nesting_is_taken_up_to_the_limit_and_not_one_deeper() -> None:
    def nested(levels: int) -> bytes:
        return b'{"text":"a","metadata":{"x":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}}"

    assert isinstance(read(nested(NESTING_MAX)), Message)
    assert reason(nested(NESTING_MAX + 1)) == "too-deep"
    assert reason(b'{"content":[{"type":"x","y":' + b"[" * 63 + b"]" * 63 + b"}]}") == "too-deep"


def test_depth_counts_lists_and_objects_inside_each_other() -> None:
    assert not nests_deeper("text", 0)
    assert nests_deeper([], 0)
    assert not nests_deeper([[], {}, 1], 2)
    assert nests_deeper([1, {"a": []}], 2)


def test_the_same_place_gives_the_same_id() -> None:
    assert read(b"hello") == read(b"hello")
    assert read_json_command(b'{"text":"a"}', LIMITS) == Message(text="a")
    assert read_json_command(b'{"type":"cancel"}', LIMITS) == Cancel()


@pytest.mark.parametrize(
    ("key", "why"), [(None, "missing-key"), (b"", "missing-key"), (b"a b", "bad-key"), (b"\xff", "bad-key"), (b"..", "bad-key")]
)
def test_a_record_without_a_session_is_a_dead_letter(key: bytes | None, why: str) -> None:
    with pytest.raises(BadCommand) as caught:
        read_key(key)
    assert caught.value.reason == why


def test_the_key_is_the_session() -> None:
    assert read_key(b"alice") == "alice"


@pytest.mark.parametrize(
    "command",
    [
        message("a", user="u", metadata={"x": 1}, on_busy="interrupt"),
        message("ab", content=[{"type": "text", "text": "ab"}]),
        message("", content=[{"type": "image"}]),
        cancel(3),
        cancel(message_id="m1"),
    ],
)
def test_a_command_reads_as_it_was_written(command: AnyCommand) -> None:
    assert read(write_command(command)) == command


def test_text_that_is_in_the_blocks_is_not_written_twice() -> None:
    assert write_command(message("word", content=[{"type": "text", "text": "word"}])).count(b"word") == 1


@pytest.mark.parametrize("event", EVENTS, ids=type_name)
def test_an_event_reads_as_it_was_written(event: AnyEvent) -> None:
    line = write_event(event)
    assert line.startswith(b'{"type":"%s","session":"alice","seq":%d,' % (type_name(event).encode(), event.seq))
    assert b"\n" not in line
    assert read_event(line) == event


def test_every_event_type_is_in_the_schema_and_in_these_tests() -> None:
    assert {type_name(event) for event in EVENTS} == set(SCHEMA)


def test_fields_that_this_version_does_not_know_are_passed_over() -> None:
    line = write_event(accepted(1))
    assert read_event(line[:-1] + b',"later":[{}]}') == accepted(1)


@pytest.mark.parametrize("change", [{"v": 2}, {"type": "context.compacted"}, {"v": 10**30}])
def test_an_event_from_the_future_asks_for_an_upgrade(change: dict[str, Any]) -> None:
    with pytest.raises(UnknownFormat, match="upgrade"):
        read_event(json.dumps({**json.loads(write_event(accepted(1))), **change}).encode())


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"hello",
        b"[]",
        b"{}",
        b"\xff",
        b'{"type":7}',
        b'{"type":"message.accepted"}',
        b'{"type":"message.accepted","v":0,"session":"a","seq":1,"time":"t"}',
        b'{"type":"message.accepted","v":-1,"session":"a","seq":1,"time":"t"}',
        b'{"type":"message.accepted","v":true,"session":"a","seq":1,"time":"t"}',
        b'{"type":"message.accepted","session":"a","seq":"1","time":"t"}',
        b'{"type":"message.accepted","session":"\xff","seq":1,"time":"t"}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_event_is_called_so(value: bytes) -> None:
    with pytest.raises(BadInput):
        read_event(value)


def test_old_events_are_brought_up_one_version_at_a_time() -> None:
    steps: dict[tuple[str, int], codec.Upcaster] = {
        ("x", 1): lambda fields: {**fields, "b": fields["a"] + 1},
        ("x", 2): lambda fields: {**fields, "c": fields["b"] + 1},
    }
    old = {"type": "x", "a": 1}
    assert upcast(old, steps, {"x": 3}) == {"type": "x", "a": 1, "b": 2, "c": 3, "v": 3}
    assert upcast({"type": "x", "v": 2, "b": 5}, steps, {"x": 3}) == {"type": "x", "b": 5, "c": 6, "v": 3}
    assert old == {"type": "x", "a": 1}


def test_every_old_version_has_its_step() -> None:
    assert set(UPCASTERS) == {(kind, version) for kind, now in SCHEMA.items() for version in range(1, now)}


def test_an_old_event_is_read_through_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCHEMA, "reply.completed", 2)
    monkeypatch.setitem(UPCASTERS, ("reply.completed", 1), lambda fields: {**fields, "text": fields["text"].upper()})
    event = read_event(write_event(completed(2, 1, "hi")))
    assert isinstance(event, ReplyCompleted)
    assert (event.text, event.v) == ("HI", 2)
    assert read_event(write_event(event)) == event


def test_a_refusal_registers_no_id() -> None:
    assert brought_id(accepted(1)) == "m1"
    assert brought_id(refused(1)) == ""
    assert brought_id(completed(2, 1)) == ""
    assert brought_id(cancelled(2, 1, command_id="c")) == "c"


def test_a_json_value_is_written_on_one_line() -> None:
    assert write_json({"a": [1, None, "x\n"]}) == b'{"a":[1,null,"x\\n"]}'


def test_what_is_no_json_value_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(NESTING_MAX):
        deep = [deep]
    for value in (object(), {"a": {1: object()}}, "\ud800", deep):
        with pytest.raises(BadInput):
            write_json(value)


def test_what_user_code_hands_over_is_seen_as_it_will_be_read() -> None:
    blocks = [{"type": "x", "when": datetime(2026, 1, 2, tzinfo=UTC), "pair": (1, 2), "rate": float("nan")}]
    assert plain_json(["text", blocks]) == [
        "text",
        [{"type": "x", "when": "2026-01-02T00:00:00Z", "pair": [1, 2], "rate": None}],
    ]
    for value in (["\ud800"], [{"a": object()}], {"usage": {1j}}):
        with pytest.raises(BadInput):
            plain_json(value)
    assert plain_json({"n": 10**30}) == {"n": 10**30}
