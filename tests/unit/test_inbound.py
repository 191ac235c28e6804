"""Records of the inbound topic as commands, and back."""

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from chatstream.core.codec import NESTING_MAX
from chatstream.core.commands import (
    AnyCommand,
    Approve,
    Cancel,
    ClearState,
    Edit,
    Erase,
    Fork,
    Message,
    Regenerate,
    Retry,
    SetState,
    Update,
)
from chatstream.core.errors import BadCommand
from chatstream.core.ids import MessageId, Seq, SessionId, place_id
from chatstream.core.inbound import read_command, read_json_command, read_key, text_of, write_command
from chatstream.core.limits import Limits
from tests.given import cancel, message

PLACE = place_id(3, 17)
LIMITS = Limits()


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
        (b'{"text":"a","delay_s":-1}', "bad-command"),
        (b'{"text":"a","delay_s":31622401}', "bad-command"),
        (b'{"text":"a","at":"2026-02-30T00:00:00Z"}', "bad-command"),
        (b'{"text":"a","delay_s":1,"at":"2026-01-01T00:00:00Z"}', "bad-command"),
    ],
)
def test_what_is_no_command_is_a_dead_letter_with_its_reason(value: bytes | None, why: str) -> None:
    assert reason(value) == why


@pytest.mark.parametrize(
    ("value", "command"),
    [
        ({"type": "retry", "turn": 3}, Retry(turn=Seq(3))),
        ({"type": "retry", "text": {"any": "shape"}}, Retry()),
        ({"type": "regenerate"}, Regenerate()),
        ({"type": "edit", "seq": 2, "text": "b"}, Edit(seq=Seq(2), text="b")),
        ({"type": "fork", "seq": 2, "id": "bob"}, Fork(seq=Seq(2), id=SessionId("bob"))),
        ({"type": "update", "title": "a", "system": None}, Update(title="a", system=None)),
        ({"type": "state.set", "key": "a b", "value": [1]}, SetState(key="a b", value=[1])),
        ({"type": "state.clear", "key": "a", "if_match": "*"}, ClearState(key="a", if_match="*")),
        ({"type": "approve", "name": "pay", "decision": "rejected"}, Approve(name="pay", decision="rejected")),
        ({"type": "erase"}, Erase()),
        ({"type": "erase", "idle_since": "2026-01-31T09:00:00Z"}, Erase(idle_since="2026-01-31T09:00:00Z")),
    ],
)
def test_every_command_is_read_and_written(value: dict[str, object], command: AnyCommand) -> None:
    assert read(json.dumps(value).encode()) == replace(command, command_id=PLACE)
    named = replace(command, command_id=MessageId("c1"))
    assert read(json.dumps({**value, "command_id": "c1"}).encode()) == named
    assert read(write_command(named)) == named


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"type": "retry", "turn": -1}, "bad-command"),
        ({"type": "edit", "text": "b"}, "bad-command"),
        ({"type": "edit", "seq": 0, "text": "b"}, "bad-command"),
        ({"type": "edit", "seq": 1, "text": ""}, "empty"),
        ({"type": "fork", "id": "a b"}, "bad-id"),
        ({"type": "fork", "seq": "1"}, "bad-command"),
        ({"type": "update", "title": "x" * 1_001}, "too-large"),
        ({"type": "update", "system": "x" * (LIMITS.system_bytes + 1)}, "too-large"),
        ({"type": "update", "metadata": []}, "bad-command"),
        ({"type": "state.set", "key": "a/b", "value": 1}, "bad-id"),
        ({"type": "state.set", "key": "a"}, "bad-command"),
        ({"type": "state.set", "key": "a", "value": "x" * LIMITS.state_value_bytes}, "too-large"),
        ({"type": "state.clear", "key": ""}, "bad-id"),
        ({"type": "approve", "name": "pay", "decision": "maybe"}, "bad-command"),
        ({"type": "approve", "name": "a#1", "decision": "approved"}, "bad-id"),
        ({"type": "erase", "command_id": "k-1"}, "bad-id"),
        ({"type": "erase", "idle_since": "yesterday"}, "bad-command"),
    ],
)
def test_what_a_command_cannot_be(value: dict[str, object], why: str) -> None:
    assert reason(json.dumps(value).encode()) == why


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


def test_a_time_is_read_back_also_beside_a_delay_of_nothing() -> None:
    # The encoder leaves out what *is* the default, and writes what only equals it.
    sent = message("a", at="2030-01-01T00:00:00.000Z", delay_s=float("0"))
    assert read(write_command(sent)) == sent
    assert reason(b'{"text":"a","delay_s":1,"at":"2030-01-01T00:00:00Z"}') == "bad-command"


def test_text_that_is_in_the_blocks_is_not_written_twice() -> None:
    assert write_command(message("word", content=[{"type": "text", "text": "word"}])).count(b"word") == 1


@pytest.mark.parametrize(
    "when", [{"at": "2026-01-31T09:00:00Z"}, {"delay_s": 1.5}, {"delay_s": 0, "at": "2026-01-31T09:00:00Z"}, {}]
)
def test_a_message_that_came_over_http_is_read_back_from_the_log(when: dict[str, Any]) -> None:
    given = json.dumps({"text": "a", "message_id": "m1", **when}).encode()
    command = read_json_command(given, LIMITS)
    assert read(write_command(command)) == command
    assert isinstance(command, Message)
    later = replace(command, delay_s=0.0, at="2026-01-31T09:00:00Z")
    assert read(write_command(later)) == later
