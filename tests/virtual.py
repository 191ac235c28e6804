"""Async tests in virtual time: nothing waits, and every wait has its whole length."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Final, ParamSpec

from tests.simulation.virtual_loop import run_virtual

P = ParamSpec("P")

LIMIT_S: Final = 3_600.0


def virtual(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """The test on an event loop whose clock jumps. What a callback raises fails the test."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_virtual(test(*args, **kwargs), LIMIT_S)

    return run
