"""How much a message may bring: each limit reached, and passed by one."""

import msgspec
import pytest

from chatstream.core.codec import write_event
from chatstream.core.commands import Message
from chatstream.core.errors import BadCommand
from chatstream.core.ids import place_id
from chatstream.core.inbound import read_command, write_command
from chatstream.core.limits import USER_BYTES_MAX, Limits
from tests.given import accepted, message

LIMITS = Limits()
SMALL = Limits(text_bytes=10, metadata_bytes=20, content_bytes=60)


def read(value: bytes, limits: Limits = LIMITS) -> Message:
    command = read_command(value, place_id(0, 0), limits)
    assert isinstance(command, Message)
    return command


def is_too_large(value: bytes, limits: Limits = LIMITS) -> bool:
    with pytest.raises(BadCommand) as caught:
        read(value, limits)
    return caught.value.reason == "too-large"


def test_a_text_of_256_kib_is_taken_and_one_byte_more_is_not() -> None:
    assert LIMITS.text_bytes == 256 * 1024
    most = "x" * LIMITS.text_bytes
    assert read(most.encode()).text == most
    assert read(msgspec.json.encode({"text": most})).text == most
    assert is_too_large(most.encode() + b"x")
    assert is_too_large(msgspec.json.encode({"text": most + "x"}))


def test_text_is_measured_in_bytes() -> None:
    assert read("ääää".encode(), SMALL).text == "ääää"
    assert read("äääää".encode(), SMALL).text == "äääää"
    assert is_too_large("ääääää".encode(), SMALL)


def test_metadata_of_16_kib_is_taken_and_one_byte_more_is_not() -> None:
    assert LIMITS.metadata_bytes == 16 * 1024
    room = LIMITS.metadata_bytes - len(b'{"x":""}')
    assert read(write_command(message("a", metadata={"x": "y" * room}))).metadata == {"x": "y" * room}
    assert is_too_large(write_command(message("a", metadata={"x": "y" * (room + 1)})))


def test_content_is_taken_up_to_its_limit() -> None:
    room = LIMITS.content_bytes - len(b'[{"type":"image","data":""}]')
    blocks = [{"type": "image", "data": "y" * room}]
    assert read(write_command(message("", content=blocks))).content == blocks
    assert is_too_large(write_command(message("", content=[{"type": "image", "data": "y" * (room + 1)}])))


def test_text_in_blocks_is_measured_as_text() -> None:
    assert read(b'{"content":[{"type":"text","text":"0123456789"}]}', SMALL).text == "0123456789"
    assert is_too_large(b'{"content":[{"type":"text","text":"0123456789a"}]}', SMALL)


def test_a_user_of_200_bytes_is_taken_and_one_more_is_not() -> None:
    assert read(write_command(message("a", user="u" * USER_BYTES_MAX))).user == "u" * 200
    assert is_too_large(write_command(message("a", user="u" * (USER_BYTES_MAX + 1))))


def test_the_refusal_says_which_limit() -> None:
    with pytest.raises(BadCommand, match="text has 11 bytes, at most 10"):
        read(b"hello world", SMALL)


def test_the_largest_message_fits_a_record_of_the_events_topic() -> None:
    # A control character takes six bytes of JSON: the worst text there is, beside the fullest content and metadata.
    event = accepted(1, "\x01" * LIMITS.text_bytes, metadata={"x": "y" * 16_000}, user="u" * 200)
    assert len(write_event(event)) + LIMITS.content_bytes < LIMITS.event_bytes
