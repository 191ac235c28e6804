"""Events as bytes and back, and JSON as user code hands it over."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from chatstream.core import codec
from chatstream.core.codec import (
    NESTING_MAX,
    UPCASTERS,
    nests_deeper,
    plain_json,
    read_event,
    type_name,
    upcast,
    write_event,
    write_json,
)
from chatstream.core.errors import BadInput, UnknownFormat
from chatstream.core.events import SCHEMA, AnyEvent, ReplyCompleted, brought_id
from tests.given import (
    accepted,
    asked,
    cancelled,
    changed,
    compacted,
    completed,
    created,
    decided,
    erased,
    failed,
    refused,
    restarted,
    resumed,
    scheduled,
    stepped,
    updated,
)

EVENTS: list[AnyEvent] = [
    accepted(1),
    accepted(1, "", content=[{"type": "image", "source": {}}], user="u", metadata={}, on_busy="interrupt", input="0:7"),
    refused(2, "turn-in-progress"),
    completed(2, 1, "hi", content=[], model="m", usage={"output_tokens": 3}, attempts=2, state={"a": None, "b": [1]}),
    failed(2, 1, version=3),
    cancelled(2, 1, "half", by="c", command_id="c", usage={}),
    resumed(2, 1, 4),
    restarted(3, 1, 2),
    scheduled(1, "2026-01-03T00:00:00.000Z", user="u", on_busy="reject", input="0:7"),
    refused(2, "queue-full"),
    accepted(4, scheduled=1, replaces=2, copy=True),
    stepped(2, 1, "charge#1", {"id": [1]}),
    asked(2, 1, "pay#1", {"sum": 3}),
    decided(3, 1, "pay#1", "rejected", comment="no"),
    changed(2, {"a": None, "b": {"c": 1}}, 8),
    updated(2, title="t", system=None),
    created("bob", 3),
    compacted(9, 5, usage={"input_tokens": 3}),
    erased(3),
]


def test_depth_counts_lists_and_objects_inside_each_other() -> None:
    assert not nests_deeper("text", 0)
    assert nests_deeper([], 0)
    assert not nests_deeper([[], {}, 1], 2)
    assert nests_deeper([1, {"a": []}], 2)


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


@pytest.mark.parametrize("change", [{"v": 2}, {"type": "message.translated"}, {"v": 10**30}])
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
