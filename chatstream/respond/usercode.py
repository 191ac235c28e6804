"""Makes a Responder of whatever shape the user's model code has.

Async code runs on the event loop. A plain function or generator runs in a thread, as it may block. What comes out is
checked here: the engine sees nothing but `str` and `Reply`.
"""

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any

from chatstream.core.errors import BadSettings, ResponderRefused
from chatstream.respond.blocking import BlockingTurn
from chatstream.respond.port import Past, PlainTurn, Reply, Responder, Turn
from chatstream.respond.threads import Threads


class UserResponder:
    """Calls `respond`: a callable that takes the turn. close, compact: the user's own, None when there is none.

    respond may be an async generator function, a generator function, or an async or plain function that returns `str`,
    `Reply` or None (which is an empty reply).
    """

    def __init__(
        self,
        respond: Callable[[Turn], Any],
        close: Callable[[], Any] | None,
        threads: Threads,
        compact: Callable[[Past], Any] | None = None,
    ) -> None:
        self._respond = respond
        self._close = close
        self._threads = threads
        self._compact = compact
        self.compact = None if compact is None else self._summary
        self._is_async = _is_async(respond)

    async def respond(self, turn: Turn) -> AsyncIterator[str | Reply]:
        """What the user's code gives, piece by piece. Raises what it raises, and ResponderRefused for other types."""
        # One generator around the user's own, and not two: each costs every piece of every answer.
        pieces = self._respond(turn) if self._is_async else self._in_thread(turn)
        if not isinstance(pieces, AsyncIterator):
            pieces = await pieces
            if not isinstance(pieces, AsyncIterator):
                if pieces is not None:
                    yield _checked(pieces)
                return
        try:
            async for piece in pieces:
                yield _checked(piece)
        finally:
            if (aclose := getattr(pieces, "aclose", None)) is not None:
                await aclose()

    async def close(self) -> None:
        """The user's `close`, async or not."""
        if self._close is not None:
            closing = self._close()
            if inspect.isawaitable(closing):
                await closing

    async def _summary(self, past: Past) -> Any:
        """What the user's `compact` gives, async or not."""
        assert self._compact is not None
        compact = self._compact
        if _is_async(compact):
            return await compact(past)
        pieces = self._threads.run(lambda: iter([compact(past)]))
        try:
            return await anext(pieces)
        finally:
            await pieces.aclose()

    async def _in_thread(self, turn: Turn) -> AsyncGenerator[Any, None]:
        plain = BlockingTurn(turn)
        pieces = self._threads.run(lambda: _pull(self._respond, plain))
        try:
            async for piece in pieces:
                yield piece
        finally:
            plain.leave()
            await pieces.aclose()


def responder_of(target: Any, name: str, threads: Threads) -> Responder:
    """A Responder of a function, an instance or a class. Raises BadSettings where `name` cannot be one."""
    if inspect.isclass(target):
        if not callable(getattr(target, "respond", None)):
            raise BadSettings(f"the class {name} has no method `respond(self, turn)`")
        target = _made(target, name)
    own = getattr(target, "respond", None)
    respond = target if own is None else own
    if not callable(respond):
        raise BadSettings(f"{name} is a {type(target).__name__}: a responder is a function, or has a method `respond`")
    _takes_a_turn(respond, name)
    if own is None:
        return UserResponder(respond, None, threads)
    close, compact = getattr(target, "close", None), getattr(target, "compact", None)
    return UserResponder(respond, close if callable(close) else None, threads, compact if callable(compact) else None)


def _made(cls: Any, name: str) -> Any:
    try:
        inspect.signature(cls).bind()
    except TypeError as error:
        raise BadSettings(f"the class {name} must be made without arguments: {error}") from error
    return cls()


def _takes_a_turn(respond: Callable[..., Any], name: str) -> None:
    try:
        inspect.signature(respond).bind(None)
    except TypeError as error:
        raise BadSettings(f"{name} must take one argument, the turn: {error}") from error
    except ValueError:  # some callables written in C do not tell
        return


def _is_async(respond: Callable[..., Any]) -> bool:
    # An instance with an async __call__ is async, too; partial objects are looked through by inspect itself.
    called = [respond, getattr(respond, "__call__", None)]  # noqa: B004  not asking whether it is callable
    return any(inspect.isasyncgenfunction(one) or inspect.iscoroutinefunction(one) for one in called)


def _pull(respond: Callable[[Any], Any], turn: PlainTurn) -> Iterator[Any]:
    """In the thread: the function's result as pieces. A generator may also `return` its last one."""
    result = respond(turn)
    if isinstance(result, Generator):
        result = yield from result
    elif isinstance(result, Iterator):
        yield from result
        result = None
    if result is not None:
        yield result


def _checked(piece: Any) -> str | Reply:
    if isinstance(piece, str | Reply):
        return piece
    hint = ""
    if isinstance(piece, Awaitable | AsyncIterator):
        hint = "; write the function itself with `async def`"
        if inspect.iscoroutine(piece):
            piece.close()
    raise ResponderRefused(f"the responder gave a {type(piece).__name__}; it may give str and Reply{hint}")
