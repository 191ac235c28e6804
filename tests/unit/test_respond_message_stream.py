from typing import Any

import pytest

from chatstream.respond.anthropic_errors import STREAM_ERRORS
from chatstream.respond.message_stream import Answer

START: dict[str, Any] = {
    "type": "message_start",
    "message": {"model": "m", "usage": {"input_tokens": 3, "output_tokens": 1, "cache_read_input_tokens": None}},
}
END: list[dict[str, Any]] = [
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9, "input_tokens": None}},
    {"type": "message_stop"},
]


def begin(**block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": 0, "content_block": block}


def delta(**delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": delta}


def test_totals_replace_one_another_and_null_replaces_nothing() -> None:
    answer = Answer()
    for event in [START, *END]:
        answer.take(event)
    assert answer.usage == {"input_tokens": 3, "output_tokens": 9}


def test_text_that_a_block_begins_with_is_text_too() -> None:
    answer = Answer()
    assert [answer.take(event) for event in [begin(type="text", text="Good "), delta(type="text_delta", text="day")]] == [
        "Good ",
        "day",
    ]
    assert answer.content == [{"type": "text", "text": "Good day"}]


def test_citations_and_unknown_fields_are_kept() -> None:
    answer = Answer()
    for event in [begin(type="text", text="", citations=None, new="field"), delta(type="citations_delta", citation={"n": 1})]:
        answer.take(event)
    answer.take(delta(type="citations_delta", citation={"n": 2}))
    assert answer.content == [{"type": "text", "text": "", "citations": [{"n": 1}, {"n": 2}], "new": "field"}]


def test_the_events_given_are_not_changed() -> None:
    event = begin(type="text", text="")
    answer = Answer()
    answer.take(event)
    answer.take(delta(type="text_delta", text="day"))
    assert event == begin(type="text", text="")


def test_an_answer_is_finished_only_with_its_last_event_its_reason_and_its_beginning() -> None:
    for left_out in (START, *END):
        answer = Answer()
        for event in [START, *END]:
            if event is not left_out:
                answer.take(event)
        assert not answer.finished
    answer = Answer()
    for event in [START, *END]:
        answer.take(event)
    assert answer.finished


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": "message_start"},
        {"type": "message_start", "message": "text"},
        {"type": "message_delta", "delta": None},
        {"type": "content_block_start", "index": 0},
        {"type": "content_block_start", "index": 0, "content_block": None},
        {"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": None}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "x"}},
    ],
)
def test_events_of_a_wrong_shape_raise_what_the_responder_translates(event: dict[str, Any]) -> None:
    answer = Answer()
    answer.take(begin(type="text", text=""))
    with pytest.raises(STREAM_ERRORS):
        answer.take(event)
