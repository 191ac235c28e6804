"""A bug in what the log or a timer calls is told and goes no further; what ends the process is let through."""

import asyncio

import pytest

from chatstream.engine.guard import Guard
from chatstream.log.simulated import SimulatedCrash


@pytest.mark.parametrize("error", [ValueError("bug"), AssertionError(), asyncio.InvalidStateError()])
def test_a_bug_is_told_and_goes_no_further(error: Exception) -> None:
    told: list[BaseException] = []
    with Guard(told.append):
        raise error
    assert told == [error]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), asyncio.CancelledError(), SimulatedCrash()])
def test_what_ends_the_process_or_the_task_is_let_through(error: BaseException) -> None:
    told: list[BaseException] = []
    with pytest.raises(type(error)), Guard(told.append):
        raise error
    assert told == []


def test_it_can_be_entered_again_and_inside_itself() -> None:
    told: list[BaseException] = []
    guard = Guard(told.append)
    with guard:
        with guard:
            raise ValueError("inner")
        told.append(RuntimeError("went on"))
    with guard:
        pass
    assert [str(error) for error in told] == ["inner", "went on"]
