"""An event loop with a clock of its own: when nothing is ready, the clock jumps to the next timer.

It stands with the tests and not in the package: the simulated log asks only for call_soon and call_later, and runs as well
on a real loop. No sockets, no threads, nothing of the machine it runs on: the same coroutine takes the same steps each time.
"""

import asyncio
from asyncio.base_events import BaseEventLoop
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

_ENDING_S = 120.0
"""Virtual seconds that cancelled tasks get to end."""


class Deadlock(AssertionError):
    """Everybody waits, and no timer is left that could wake anyone."""


class OutOfTime(AssertionError):
    """The coroutine had not ended when its virtual time was over."""


class _Jump:
    """Stands where a loop has its selector: instead of sleeping it sets the clock forward."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Deadlock(f"at {self._loop.time():.3f} s everything waits and nothing is scheduled")
        if timeout > 0:
            self._loop.now_s += timeout
        if self._loop.now_s > self._loop.limit_s:
            raise OutOfTime(f"not done after {self._loop.limit_s} s of virtual time")
        return []


class VirtualLoop(BaseEventLoop):
    """now_s: virtual seconds since the loop was made. failures: what callbacks raised, or tasks nobody waited for.

    limit_s: the clock does not go past it; no timer is needed for that, which would hide a deadlock.
    """

    def __init__(self, limit_s: float) -> None:
        super().__init__()
        self.now_s = 0.0
        self.limit_s = limit_s
        self.failures: list[BaseException] = []
        self._selector = _Jump(self)
        self.set_exception_handler(_note_failure)

    def time(self) -> float:
        """Virtual seconds."""
        return self.now_s

    def _process_events(self, event_list: list[Any]) -> None:
        """Nothing ever comes from outside."""

    def _write_to_self(self) -> NoReturn:
        raise RuntimeError("a virtual loop has no threads")


def _note_failure(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    assert isinstance(loop, VirtualLoop)
    loop.failures.append(context.get("exception") or RuntimeError(context["message"]))


def run_virtual(coro: Coroutine[Any, Any, T], limit_s: float, expected: tuple[type[BaseException], ...] = ()) -> T:
    """Run a coroutine in virtual time, at most limit_s of it, and end whatever it left running.

    expected: kinds of exceptions that callbacks and unwatched tasks may end with; any other is raised here. Raises
    Deadlock when everybody waits for nobody, OutOfTime at the limit.
    """
    loop = VirtualLoop(limit_s)
    try:
        result = loop.run_until_complete(coro)
    finally:
        _end_tasks(loop)
        loop.close()
    for failure in loop.failures:
        if not isinstance(failure, expected):
            raise failure
    return result


def _end_tasks(loop: VirtualLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    if not tasks:
        return
    for task in tasks:
        task.cancel()
    loop.limit_s = loop.now_s + _ENDING_S
    loop.run_until_complete(asyncio.wait(tasks, timeout=_ENDING_S / 2))
    for task in tasks:
        if task.done() and not task.cancelled() and (failure := task.exception()) is not None:
            loop.failures.append(failure)
