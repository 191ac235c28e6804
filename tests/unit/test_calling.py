"""A turn and its state as a responder sees them, at the edges."""

import asyncio
from typing import Any

import msgspec
import pytest

from chatstream.core.codec import NESTING_MAX
from chatstream.core.errors import BadInput, TableBroken
from chatstream.core.events import Usage
from chatstream.core.ids import ID_CHARS_MAX, PartitionNo, Seq, SessionId, Version
from chatstream.core.limits import Limits
from chatstream.core.session import Session
from chatstream.engine.calling import LiveState, LiveTurn, read_message
from chatstream.table import rows
from chatstream.table.memory import MemoryTable, MemoryTableStore
from chatstream.table.port import Change
from tests.given import ALICE, accepted, completed
from tests.rows_of import changes
from tests.unit.test_outcomes import nested

LIMITS = Limits(state_value_bytes=20, state_bytes=40, usage_bytes=30)


class Call:
    attempt = 2
    usage: Usage | None = None


class NoRecording:
    def __init__(self, table: MemoryTable) -> None:
        self.table = table

    def record(self, *which: object) -> asyncio.Future[None]:
        raise AssertionError(f"nobody takes a step here: {which}")


def table_of(*changes: Change) -> MemoryTable:
    table = MemoryTableStore().open(PartitionNo(0))
    table.write(changes)
    return table


def state_of(*changes: Change, session: SessionId = ALICE) -> LiveState:
    return LiveState(table_of(*changes), session, LIMITS)


def turn_of(table: MemoryTable) -> LiveTurn:
    return LiveTurn(Call(), accepted(1), NoRecording(table), LIMITS, Version(1), lambda: True)


@pytest.mark.parametrize(
    "value",
    [
        object(),
        "\ud800",
        {"a": object()},
        float("nan"),
        float("inf"),
        {"a": [1.0, (float("-inf"),)]},
        [None, float("nan")],
        {1j},
    ],
)
def test_what_would_not_be_read_back_as_it_was_put_is_refused(value: Any) -> None:
    state = state_of()
    with pytest.raises(BadInput):
        state.set("k", value)
    assert state.changes() == (None, None)


def test_state_nests_as_deep_as_is_allowed() -> None:
    state = LiveState(table_of(), ALICE, Limits())
    state.set("k", nested(NESTING_MAX))
    with pytest.raises(BadInput, match="deeper than"):
        state.set("k", nested(NESTING_MAX + 1))


@pytest.mark.parametrize("value", [0, False, "", [], {}, [None], {"a": None}, 1.5, "null", 2**60])
def test_values_come_back_as_they_were_put(value: Any) -> None:
    state = state_of()
    state.set("k", value)
    assert state.get("k") == value
    assert state.changes()[0] == {"k": value}


def test_none_clears() -> None:
    state = state_of((rows.state_key(ALICE, "k"), b"1"))
    state.set("k", None)
    assert state.get("k", "nothing") == "nothing"
    assert state.changes()[0] == {"k": None}


def test_a_value_of_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    state = state_of()
    state.set("k", "x" * 18)
    with pytest.raises(BadInput, match="has 21 bytes, at most 20"):
        state.set("k", "x" * 19)
    assert state.get("k") == "x" * 18


def test_a_sessions_state_is_taken_up_to_its_limit() -> None:
    stored: tuple[Change, ...] = (
        (rows.state_key(ALICE, "a"), b'"' + b"x" * 17 + b'"'),
        rows.write_head(Session(ALICE, state_bytes=20)),
    )
    state = state_of(*stored)
    state.set("b", "x" * 17)
    assert state.changes()[1] == 40
    with pytest.raises(BadInput, match="would have 41 bytes, at most 40"):
        state.set("b", "x" * 18)
    state.clear("a")
    state.set("b", "x" * 18)
    assert state.changes()[1] == 21


@pytest.mark.parametrize("key", ["", "a/b", "..", "a\nb", "\ud800", "x" * (ID_CHARS_MAX + 1)])
def test_a_key_that_is_none_is_refused_to_set_and_to_clear(key: str) -> None:
    state = state_of()
    with pytest.raises(BadInput, match="a state key is"):
        state.set(key, 1)
    with pytest.raises(BadInput, match="a state key is"):
        state.clear(key)


def test_a_key_of_200_characters_is_taken() -> None:
    state = LiveState(table_of(), ALICE, Limits())
    state.set("ä" * ID_CHARS_MAX, 1)
    assert state.keys() == ["ä" * ID_CHARS_MAX]


def test_keys_are_those_stored_and_set_without_those_cleared_and_of_this_session_only() -> None:
    others = rows.state_key(SessionId("alice2"), "x")
    state = state_of((rows.state_key(ALICE, "b"), b"1"), (rows.state_key(ALICE, "c"), b"1"), (others, b"1"))
    state.set("a", 1)
    state.clear("c")
    assert state.keys() == ["a", "b"]


def test_usage_reported_in_the_middle_is_a_copy_and_small() -> None:
    turn, usage = turn_of(table_of()), {"input_tokens": 3}
    turn.report_usage(usage)
    usage["input_tokens"] = 9
    assert isinstance(turn._call, Call)
    assert turn._call.usage == {"input_tokens": 3}
    with pytest.raises(BadInput, match="at most 30"):
        turn.report_usage({"x": "y" * 30})
    assert turn._call.usage == {"input_tokens": 3}


def test_what_stands_where_a_message_should_is_no_message() -> None:
    table = table_of(*changes(Session(ALICE), completed(1, 1), msgspec.json.encode(completed(1, 1)), 0, Session(ALICE)))  # type: ignore[arg-type]
    assert read_message(table, ALICE, Seq(1)) is None
    assert read_message(table, ALICE, Seq(2)) is None


@pytest.mark.parametrize("value", [b"", b"{", b'{"type":"from.the.future","session":"alice","seq":1,"time":""}'])
def test_a_row_that_cannot_be_read_means_a_broken_table(value: bytes) -> None:
    table = table_of((rows.entry_key(ALICE, 1), b"\0" * 8 + value))
    with pytest.raises(TableBroken):
        read_message(table, ALICE, Seq(1))
    with pytest.raises(TableBroken):
        _ = turn_of(table).history


@pytest.mark.parametrize("raw", [b"", b"\xc1", b"\x91\x01"])
def test_a_head_that_cannot_be_read_means_a_broken_table(raw: bytes) -> None:
    with pytest.raises(TableBroken):
        state_of((rows.head_key(ALICE), raw))


def test_a_sessions_own_system_prompt_and_model_are_told_and_empty_when_nobody_set_them() -> None:
    turn = turn_of(table_of())
    assert (turn.system, turn.model) == ("", "")
    changes = ((rows.profile_key(ALICE, "system"), b'"be brief"'), (rows.profile_key(ALICE, "model"), b'"small"'))
    turn = turn_of(table_of(*changes))
    assert (turn.system, turn.model) == ("be brief", "small")
