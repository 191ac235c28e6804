"""What user code may give and raise, and what of it is recorded."""

from datetime import UTC, datetime
from typing import Any

import pytest

from chatstream.core import codec
from chatstream.core.codec import NESTING_MAX
from chatstream.core.errors import BadInput, ResponderError, ResponderRefused
from chatstream.engine.outcomes import checked_reply, checked_usage, failure_of, piece_bytes
from chatstream.respond.port import Reply
from tests.given import completed, failed


class Loud(str):
    """Text that says something else when it is asked for."""

    def __str__(self) -> str:
        return "LOUD"


class Silent(Exception):
    """An exception that fails again when somebody wants to read it."""

    def __str__(self) -> str:
        raise ValueError("no")


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(("piece", "size_bytes"), [("", 0), ("ab", 2), ("ä", 2), ("😀", 4), ("\n", 2), ("\x01", 6)])
def test_a_piece_of_text_counts_with_what_it_takes_in_an_event(piece: str, size_bytes: int) -> None:
    whole, empty = (len(codec.write_event(completed(2, 1, text))) for text in (piece, ""))
    assert piece_bytes(piece) == whole - empty == size_bytes


def test_half_a_surrogate_pair_is_no_text() -> None:
    with pytest.raises(ResponderRefused, match="no text"):
        piece_bytes("\ud83d")


@pytest.mark.parametrize(
    "reply",
    [
        Reply(text="\ud800"),
        Reply(text=b"bytes"),  # type: ignore[arg-type]
        Reply(model=None),  # type: ignore[arg-type]
        Reply(stop_reason="\udfff"),
        Reply(content=[{"type": "text", "text": "\ud800"}]),
        Reply(content=[{"type": object()}]),
        Reply(content=[{"a": nested(NESTING_MAX)}]),
        Reply(content={"type": "text"}),  # type: ignore[arg-type]
        Reply(content=["text"]),  # type: ignore[list-item]
        Reply(usage={"input_tokens": object()}),
        Reply(usage=[1]),  # type: ignore[arg-type]
        Reply(usage={"\ud800": 1}),
    ],
)
def test_a_reply_that_cannot_be_recorded_is_refused(reply: Reply) -> None:
    with pytest.raises(ResponderRefused) as caught:
        checked_reply(reply)
    codec.write_event(failed(2, 1, str(caught.value)))


def test_a_reply_is_taken_as_it_will_be_read() -> None:
    content = [{"when": datetime(2026, 1, 2, tzinfo=UTC), "pair": (1, 2)}]
    checked = checked_reply(Reply(text=Loud("hi"), model=Loud("m"), content=content, usage={"input_tokens": 3}))
    assert checked == Reply(
        text="hi", model="m", content=[{"when": "2026-01-02T00:00:00Z", "pair": [1, 2]}], usage={"input_tokens": 3}
    )
    assert type(checked.text) is str
    content[0]["pair"] = "changed afterwards"
    assert checked.content is not None
    assert checked.content[0]["pair"] == [1, 2]


def test_content_nests_as_deep_as_is_allowed() -> None:
    checked_reply(Reply(content=[{"a": nested(NESTING_MAX - 2)}]))
    with pytest.raises(ResponderRefused, match="deeper than"):
        checked_reply(Reply(content=[{"a": nested(NESTING_MAX - 1)}]))


def test_usage_is_a_small_dict_of_its_own() -> None:
    usage: dict[str, Any] = {"x": "y" * 91}
    most_bytes = len(codec.write_json(usage))
    assert checked_usage(usage, most_bytes) == usage
    assert checked_usage(usage, most_bytes) is not usage
    with pytest.raises(BadInput, match=f"{most_bytes} bytes, at most {most_bytes - 1}"):
        checked_usage(usage, most_bytes - 1)
    for wrong in ([1], {"x": object()}, {"x": "\ud800"}):
        with pytest.raises(BadInput):
            checked_usage(wrong, 1_000)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("odd"), "ValueError: odd"),
        (FileNotFoundError("\udcff"), "FileNotFoundError: \\udcff"),
        (Silent(), "Silent: (its text cannot be had)"),
        (SystemExit(3), "SystemExit: 3"),
        (ResponderError("busy"), "busy"),
        (ValueError("x" * 100), f"ValueError: {'x' * 27}…"),
        (ValueError("x" * 28), f"ValueError: {'x' * 28}"),
    ],
)
def test_an_exceptions_text_can_be_recorded_and_is_not_longer_than_allowed(error: BaseException, text: str) -> None:
    failure = failure_of(error, 40)
    assert str(failure) == text
    assert len(text) <= 40
    assert failure.retryable
    assert failure.failure == "responder-error"


@pytest.mark.parametrize("kind", [ResponderError, ResponderRefused])
def test_an_error_of_ours_keeps_what_it_says(kind: type[ResponderError]) -> None:
    failure = failure_of(kind("busy", failure="model-overloaded", retry_after_s=7), 100)
    assert (type(failure), failure.failure, failure.retry_after_s) == (kind, "model-overloaded", 7.0)


@pytest.mark.parametrize("failure", [None, 5, "", "Two Words", "\ud800", "x" * 65])
def test_a_code_that_programs_could_not_compare_is_replaced(failure: Any) -> None:
    assert failure_of(ResponderError("no", failure=failure), 100).failure == "responder-error"


def test_a_code_of_64_characters_is_kept() -> None:
    assert failure_of(ResponderError("no", failure="x" * 64), 100).failure == "x" * 64


@pytest.mark.parametrize(
    ("asked", "kept"),
    [("soon", None), (float("nan"), None), (-1, None), (0, 0.0), (float("inf"), 86_400.0), (10**400, 86_400.0)],
)
def test_a_wait_that_cannot_be_reckoned_with_is_left_out(asked: Any, kept: float | None) -> None:
    assert failure_of(ResponderError("no", retry_after_s=asked), 100).retry_after_s == kept
