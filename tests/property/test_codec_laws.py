"""What holds for any bytes on the inbound topic."""

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from chatstream.core.codec import NESTING_MAX, nests_deeper, read_event, write_event
from chatstream.core.commands import COMMANDS, AnyCommand, Message
from chatstream.core.errors import BadCommand, BadInput, UnknownFormat
from chatstream.core.ids import place_id
from chatstream.core.inbound import read_command, read_key, write_command
from chatstream.core.limits import Limits
from tests.property.values import blocks, commands, json_values

PLACE = place_id(0, 0)
LIMITS = Limits(text_bytes=200, metadata_bytes=100, content_bytes=100)

fields = st.sampled_from(["type", "text", "content", "message_id", "command_id", "user", "metadata", "on_busy", "turn", "at"])
kinds = st.sampled_from(["message", "cancel", "erase", "message.accepted", "reply.completed", ""])
near_objects = st.dictionaries(fields, json_values | kinds | blocks, max_size=5).map(msgspec.json.encode)
cut_objects = st.builds(lambda value, cut: value[: max(1, len(value) - cut)], near_objects, st.integers(0, 5))
values = st.binary(max_size=60) | near_objects | cut_objects | st.binary(max_size=30).map(lambda tail: b' {"text":"' + tail)


@given(values)
@example(b'{"type":' + b"[" * 900 + b"]" * 900 + b',"text":"a"}')
@example(b'{"type":' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}")
@example(b'{"content":[' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"]}")
@example(b"{" * 5_000)
def test_any_bytes_are_a_command_or_a_dead_letter(value: bytes) -> None:
    try:
        command = read_command(value, PLACE, LIMITS)
    except BadCommand:
        return
    assert command.command_id
    assert isinstance(command, COMMANDS)
    if isinstance(command, Message):
        assert command.message_id == command.command_id
        assert command.text or command.content
        assert not nests_deeper([command.content, command.metadata], NESTING_MAX + 2)
    assert read_again(command) == command


def read_again(command: AnyCommand) -> AnyCommand:
    """Written and read, as when a command is forwarded: its own made-up id comes from its place again."""
    value = write_command(command)
    if command.command_id == PLACE:
        made = {name: one for name, one in msgspec.json.decode(value).items() if one != PLACE or name == "text"}
        value = msgspec.json.encode(made)
    return read_command(value, PLACE, LIMITS)


@given(st.none() | st.binary(max_size=30))
def test_any_key_is_a_session_or_a_dead_letter(key: bytes | None) -> None:
    try:
        session = read_key(key)
    except BadCommand:
        return
    assert session.encode() == key


@given(values)
def test_any_bytes_are_an_event_or_said_to_be_none(value: bytes) -> None:
    try:
        event = read_event(value)
    except (BadInput, UnknownFormat):
        return
    assert read_event(write_event(event)) == event


@given(commands)
def test_a_command_reads_as_it_was_written(command: AnyCommand) -> None:
    assert read_command(write_command(command), PLACE, Limits()) == command


@given(json_values)
def test_a_values_depth_is_that_of_its_brackets(value: object) -> None:
    depth = most = 0
    outside_text = msgspec.json.encode(_without_text(value))
    for byte in outside_text:
        depth += (byte in b"[{") - (byte in b"]}")
        most = max(most, depth)
    assert nests_deeper(value, most - 1) if most else not nests_deeper(value, 0)
    assert not nests_deeper(value, most)


def _without_text(value: object) -> object:
    if isinstance(value, dict):
        return {str(number): _without_text(one) for number, one in enumerate(value.values())}
    if isinstance(value, list):
        return [_without_text(one) for one in value]
    return None
