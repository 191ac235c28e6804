"""Steps and approvals as an attempt's code asks for them: what it gets, what is recorded, what it is refused."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from chatstream.core import codec
from chatstream.core.codec import NESTING_MAX
from chatstream.core.errors import BadId, ResponderRefused, TableBroken
from chatstream.core.events import AnyEvent
from chatstream.core.ids import Offset, PartitionNo, Seq, SessionId, Version
from chatstream.core.limits import Limits
from chatstream.core.session import Parked, Session, Stepped, evolve
from chatstream.engine.steps import Steps
from chatstream.respond.port import Approval, Step
from chatstream.respond.steps import takes_step
from chatstream.table import rows
from chatstream.table.memory import MemoryTable, MemoryTableStore
from tests.given import ALICE, accepted, asked, decided, stepped
from tests.rows_of import changes
from tests.unit.test_outcomes import nested


class Writer:
    """The partition's side: takes what is recorded, and confirms it unless told to wait."""

    def __init__(self, table: MemoryTable) -> None:
        self.table = table
        self.recorded: list[Stepped | Parked] = []
        self.confirms = True
        self.over = False

    def record(self, session: SessionId, turn: Seq, version: Version, what: Stepped | Parked) -> asyncio.Future[None]:
        assert (session, turn, version) == (ALICE, 1, 1)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.over:
            future.cancel()
            return future
        self.recorded.append(what)
        self.waits = future
        if self.confirms:
            future.set_result(None)
        return future

    def put(self, event: AnyEvent) -> None:
        """What was recorded stands in the table as this, and is confirmed."""
        head = rows.read_head(self.table, ALICE)
        after = evolve(head, event)
        self.table.write([*changes(head, event, codec.write_event(event), Offset(0), after), rows.write_head(after)])
        self.waits.set_result(None)


def table_of(*events: AnyEvent) -> MemoryTable:
    table, head = MemoryTableStore().open(PartitionNo(0)), Session(ALICE)
    for event in (accepted(1), *events):
        after = evolve(head, event)
        table.write([*changes(head, event, codec.write_event(event), Offset(0), after), rows.write_head(after)])
        head = after
    return table


class Attempt(Steps):
    """One attempt at Alice's first turn, over what earlier ones recorded."""

    def __init__(self, *events: AnyEvent, limits: Limits | None = None) -> None:
        self.writer = Writer(table_of(*events))
        self.alive = True
        self.signs = 0
        super().__init__(self.writer, ALICE, Seq(1), Version(1), limits or Limits(), self._sign)

    def _sign(self) -> bool:
        self.signs += 1
        return self.alive


def never() -> None:
    raise AssertionError("it is recorded: nobody may be called for it")


async def test_a_steps_result_is_recorded_under_its_name_and_number() -> None:
    attempt = Attempt()
    assert await attempt.step("find", lambda: {"a": 1}) == {"a": 1}
    assert await attempt.step("find", lambda: 2) == 2
    assert await attempt.step("other", lambda: None) is None
    assert attempt.writer.recorded == [
        Stepped(name="find#1", result={"a": 1}),
        Stepped(name="find#2", result=2),
        Stepped(name="other#1", result=None),
    ]


async def test_what_is_recorded_is_given_again_and_nobody_is_called() -> None:
    attempt = Attempt(stepped(2, 1, "find#1", [1]), stepped(3, 1, "find#2", None))
    assert await attempt.step("find", never) == [1]
    assert await attempt.step("find", never) is None
    assert await attempt.step("find", lambda: 3) == 3
    assert attempt.writer.recorded == [Stepped(name="find#3", result=3)]


async def test_steps_of_another_version_are_not_given() -> None:
    attempt = Attempt(stepped(2, 1, "find#1", "old", version=2))
    assert await attempt.step("find", lambda: "new") == "new"


async def test_nothing_is_given_before_it_is_confirmed() -> None:
    attempt = Attempt()
    attempt.writer.confirms = False
    waiting = asyncio.ensure_future(attempt.step("find", lambda: 1))
    await asyncio.sleep(0.01)
    assert (len(attempt.writer.recorded), waiting.done()) == (1, False)
    waiting.cancel()


async def test_what_an_attempt_before_recorded_meanwhile_is_given_and_not_its_own() -> None:
    attempt = Attempt()
    attempt.writer.confirms = False
    waiting = asyncio.ensure_future(attempt.step("find", lambda: "second"))
    await asyncio.sleep(0.01)
    attempt.writer.put(stepped(2, 1, "find#1", "first"))
    assert await waiting == "first"


async def test_a_function_may_be_async_and_may_want_its_key() -> None:
    async def told(step: Step) -> str:
        await asyncio.sleep(0)
        return step.key

    attempt = Attempt()
    assert await attempt.step("find", told) == "alice/1/1/find#1"
    assert await attempt.step("find", lambda step: step.key) == "alice/1/1/find#2"


def _optional(step: Any = None) -> Any:
    return step


def _default(city: str = "Rome") -> str:
    return city


def _two(a: int, b: int) -> int:
    return a + b


@pytest.mark.parametrize(
    ("fn", "takes"),
    [
        (lambda: 1, False),
        (lambda step: step, True),
        (lambda other: other, True),
        (_optional, True),
        (_default, False),
        (lambda **more: more, False),
        (lambda *, step: step, False),
        (partial(_two, 1), True),
        (partial(_two, 1, 2), False),
        (print, False),
        (dict, False),
    ],
)
def test_a_function_with_a_place_for_it_is_told_of_its_step(fn: Callable[..., Any], takes: bool) -> None:
    assert takes_step(fn) is takes


async def test_what_comes_back_is_what_a_later_attempt_will_get() -> None:
    assert await Attempt().step("find", lambda: (1, {"a": (2,)})) == [1, {"a": [2]}]


async def test_what_a_function_raises_is_raised_and_not_recorded() -> None:
    attempt = Attempt()
    with pytest.raises(ZeroDivisionError):
        await attempt.step("find", lambda: 1 / 0)
    assert attempt.writer.recorded == []
    assert attempt.refused is None


@pytest.mark.parametrize("value", [object(), float("nan"), {"a": [float("inf")]}, "\ud800", nested(NESTING_MAX + 1)])
async def test_a_result_that_cannot_be_recorded_fails_the_turn_even_if_its_code_goes_on(value: Any) -> None:
    attempt = Attempt()
    with pytest.raises(ResponderRefused, match="the result of step 'find'"):
        await attempt.step("find", lambda: value)
    with pytest.raises(ResponderRefused, match="the detail of approval 'pay'"):
        await attempt.approval("pay", value)
    assert attempt.writer.recorded == []
    assert attempt.refused is not None


async def test_a_result_of_the_limit_is_recorded_and_one_byte_more_is_not() -> None:
    attempt = Attempt(limits=Limits(step_bytes=10))
    assert await attempt.step("find", lambda: "x" * 8) == "x" * 8
    with pytest.raises(ResponderRefused, match="has 11 bytes, at most 10"):
        await attempt.step("find", lambda: "x" * 9)


async def test_as_many_steps_and_approvals_as_allowed_are_taken_and_the_next_fails_the_turn() -> None:
    attempt = Attempt(stepped(2, 1, "a#1", 1), decided(3, 1, "b#1"), limits=Limits(steps=3))
    await attempt.step("a", never)
    await attempt.approval("b", None)
    await attempt.step("c", lambda: 1)
    with pytest.raises(ResponderRefused, match="more than 3 steps"):
        await attempt.step("d", never)
    assert attempt.refused is not None
    assert attempt.refused.failure == "too-many-steps"
    with pytest.raises(ResponderRefused):
        await attempt.approval("e", None)


@pytest.mark.parametrize("name", ["", "a b", "a#1", "ä", "x" * 201, "."])
async def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(BadId):
        await Attempt().step(name, never)
    with pytest.raises(BadId):
        await Attempt().approval(name, None)


async def test_a_name_of_200_characters_is_taken() -> None:
    assert await Attempt().step("x" * 200, lambda: 1) == 1


# -- approvals ----------------------------------------------------------------------------------------------------


async def test_a_question_is_recorded_and_its_attempt_ends() -> None:
    attempt = Attempt()
    with pytest.raises(asyncio.CancelledError):
        await attempt.approval("pay", {"eur": (5,)})
    assert attempt.writer.recorded == [Parked(name="pay#1", detail={"eur": [5]})]


@pytest.mark.parametrize("decision", ["approved", "rejected"])
async def test_a_decision_is_given_to_every_later_attempt(decision: Any) -> None:
    events = (asked(2, 1, "pay#1"), decided(3, 1, "pay#1", decision, comment="because"))
    for _ in range(2):
        attempt = Attempt(*events)
        found = await attempt.approval("pay", "whatever")
        assert found == Approval(decision, "because")
        assert found.approved is (decision == "approved")
        assert attempt.writer.recorded == []


async def test_a_question_with_the_name_of_a_step_counts_on() -> None:
    attempt = Attempt(stepped(2, 1, "pay#1", 5), decided(4, 1, "pay#2"))
    assert await attempt.step("pay", never) == 5
    assert (await attempt.approval("pay", None)).approved


async def test_code_that_was_changed_under_its_turn_fails_it() -> None:
    was_a_step = Attempt(stepped(2, 1, "pay#1", 5))
    with pytest.raises(ResponderRefused, match="another kind of step"):
        await was_a_step.approval("pay", None)
    assert was_a_step.refused is not None


@pytest.mark.parametrize("events", [[asked(2, 1, "pay#1")], [asked(2, 1, "pay#1"), decided(3, 1, "pay#1")]])
async def test_code_that_makes_a_step_of_a_question_fails_its_turn(events: list[AnyEvent]) -> None:
    was_a_question = Attempt(*events)
    with pytest.raises(ResponderRefused, match="another kind of step"):
        await was_a_question.step("pay", never)
    assert was_a_question.refused is not None


# -- calls that are over ------------------------------------------------------------------------------------------


async def test_nothing_is_done_for_a_call_that_is_over() -> None:
    attempt = Attempt()
    attempt.alive = False
    with pytest.raises(asyncio.CancelledError):
        await attempt.step("find", never)
    with pytest.raises(asyncio.CancelledError):
        await attempt.approval("pay", None)
    assert attempt.writer.recorded == []


async def test_a_call_that_ends_while_its_function_runs_records_nothing() -> None:
    attempt = Attempt()

    def ends_the_call() -> int:
        attempt.alive = False
        return 1

    with pytest.raises(asyncio.CancelledError):
        await attempt.step("find", ends_the_call)
    assert attempt.writer.recorded == []


async def test_a_step_that_the_writer_does_not_take_ends_the_call() -> None:
    attempt = Attempt()
    attempt.writer.over = True
    with pytest.raises(asyncio.CancelledError):
        await attempt.step("find", lambda: 1)


async def test_a_step_is_a_sign_of_life_when_it_begins_and_when_it_ends() -> None:
    attempt = Attempt()
    seen: list[int] = []
    await attempt.step("find", lambda: seen.append(attempt.signs))
    assert 0 < seen[0] < attempt.signs


async def test_a_row_that_cannot_be_read_means_a_broken_table() -> None:
    attempt = Attempt(stepped(2, 1, "find#1", 1))
    attempt.writer.table.write([(rows.entry_key(ALICE, 2), b"\0" * 8 + b"{")])
    with pytest.raises(TableBroken):
        await attempt.step("find", never)
