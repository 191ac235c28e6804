"""A turn as a plain function has it, in its thread: what has to wait there blocks the thread and not the event loop."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from functools import partial
from queue import SimpleQueue
from types import TracebackType
from typing import Any

from chatstream.core.errors import ResponderError
from chatstream.respond import steps
from chatstream.respond.port import Approval, Step, Turn


class TurnOver(BaseException):  # no error, and not to be caught by who catches errors
    """Ends a plain function whose turn was stopped, or waits for a person now: let it pass."""


class BlockingTurn:
    """respond.port.PlainTurn over a turn that belongs to the event loop. Made on the loop."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._loop = asyncio.get_running_loop()
        self._asking: set[Future[Any]] = set()
        self._left = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._turn, name)

    def step(self, name: str, fn: Callable[..., Any]) -> Any:
        """In the thread: the step's recorded result; fn runs in this thread, too."""
        inbox: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        return self._ask(self._turn.step(name, partial(self._relay, inbox, fn)), inbox)

    def approval(self, name: str, detail: Any = None) -> Approval:
        """In the thread: what was decided."""
        decision: Approval = self._ask(self._turn.approval(name, detail), SimpleQueue())
        return decision

    def leave(self) -> None:
        """On the loop: the turn is over. Whoever waits in its thread is sent on."""
        self._left = True
        for asked in list(self._asking):
            asked.cancel()

    def _ask(self, work: Coroutine[Any, Any, Any], inbox: "SimpleQueue[Callable[[], None] | None]") -> Any:
        """Let the loop do the work, and do meanwhile what it hands back to this thread."""
        if self._left or self._loop.is_closed():
            work.close()
            raise TurnOver
        asked = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._asking.add(asked)
        if self._left:  # meanwhile
            asked.cancel()
        asked.add_done_callback(lambda _: inbox.put(None))
        try:
            while (job := inbox.get()) is not None:
                job()
            return asked.result()
        except CancelledError:
            raise TurnOver from None
        finally:
            asked.cancel()
            self._asking.discard(asked)

    async def _relay(self, inbox: "SimpleQueue[Callable[[], None] | None]", fn: Callable[..., Any], step: Step) -> Any:
        """On the loop: have the step's function run in the thread that asked, and wait for it."""
        answer: asyncio.Future[tuple[Any, Exception | None]] = self._loop.create_future()
        inbox.put(partial(self._run, fn, step, answer))
        value, error = await answer
        if error is not None:
            raise error
        try:
            return await value if inspect.isawaitable(value) else value
        except SystemExit as error:  # here it would end the node
            raise ResponderError("the step raised SystemExit") from error

    def _run(self, fn: Callable[..., Any], step: Step, answer: "asyncio.Future[tuple[Any, Exception | None]]") -> None:
        with _Caught() as caught:
            caught.value = steps.call(fn, step)
        self._loop.call_soon_threadsafe(_resolve, answer, (caught.value, caught.error))


class _Caught:
    """What a function gave or raised, to be carried to the loop. What is no error, such as an exit, stays in its thread."""

    def __init__(self) -> None:
        self.value: Any = None
        self.error: Exception | None = None

    def __enter__(self) -> "_Caught":
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None) -> bool:
        if not isinstance(error, Exception):
            return False
        self.error = error
        return True


def _resolve(answer: "asyncio.Future[tuple[Any, Exception | None]]", outcome: tuple[Any, Exception | None]) -> None:
    if not answer.done():
        answer.set_result(outcome)
