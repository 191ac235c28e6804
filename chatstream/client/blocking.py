"""Client: the same for programs without asyncio. The asynchronous client runs in a thread of its own; callers wait for it."""

import asyncio
import functools
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from chatstream.client.asynchronous import AsyncClient
from chatstream.client.patience import Patience
from chatstream.core.errors import BadInput

P = ParamSpec("P")
T = TypeVar("T")


def _waits(method: Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]) -> "Callable[Concatenate[Client, P], T]":
    """A method that waits for the asynchronous one."""

    @functools.wraps(method)
    def waiting(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._wait(method(self._client, *args, **kwargs))

    return waiting


def _iterates(
    method: Callable[Concatenate[AsyncClient, P], AsyncIterator[T]],
) -> "Callable[Concatenate[Client, P], Reading[T]]":
    """A method that gives what the asynchronous one gives, one after the other."""

    @functools.wraps(method)
    def iterating(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> "Reading[T]":
        return Reading(self, method(self._client, *args, **kwargs))

    return iterating


class Client:
    """As AsyncClient, method by method, for programs without asyncio; it may be used from several threads.

    What takes long can be interrupted (Ctrl-C) and gone on with: an iterator loses nothing by it.
    """

    def __init__(self, *urls: str, patience: Patience | None = None, headers: Mapping[str, str] | None = None) -> None:
        self._client = AsyncClient(*urls, patience=patience, headers=headers)
        self._loop = asyncio.new_event_loop()
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="chatstream-client", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and end the thread; what still waits is cancelled. Repeatable."""
        with self._closing:
            if not self._thread.is_alive():
                return
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    send = _waits(AsyncClient.send)
    send_and_wait = _waits(AsyncClient.send_and_wait)
    messages = _waits(AsyncClient.messages)
    history = _iterates(AsyncClient.history)
    session = _waits(AsyncClient.session)
    sessions = _waits(AsyncClient.sessions)
    all_sessions = _iterates(AsyncClient.all_sessions)
    follow = _iterates(AsyncClient.follow)
    live = _iterates(AsyncClient.live)
    export = _iterates(AsyncClient.export)
    get = _waits(AsyncClient.get)
    cancel = _waits(AsyncClient.cancel)
    retry = _waits(AsyncClient.retry)
    regenerate = _waits(AsyncClient.regenerate)
    edit = _waits(AsyncClient.edit)
    fork = _waits(AsyncClient.fork)
    update = _waits(AsyncClient.update)
    approve = _waits(AsyncClient.approve)
    erase = _waits(AsyncClient.erase)
    get_state = _waits(AsyncClient.get_state)
    get_value = _waits(AsyncClient.get_value)
    set_value = _waits(AsyncClient.set_value)
    clear_value = _waits(AsyncClient.clear_value)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _end(self) -> None:
        """Whoever still waits is told that it is over."""
        ours = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not ours]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future = self._submit(work)
        try:
            return future.result()
        finally:
            future.cancel()  # of what is done it does nothing; of an interrupted wait it ends the work

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        if not self._thread.is_alive():
            work.close()
            raise BadInput("the client is closed")
        return asyncio.run_coroutine_threadsafe(work, self._loop)


class Reading(Generic[T]):
    """What an asynchronous iterator gives, one after the other. An interrupted `next` is gone on with by the next one."""

    def __init__(self, client: Client, source: AsyncIterator[T]) -> None:
        self._client = client
        self._source = source
        self._pending: Future[tuple[T, ...]] | None = None
        self._task: asyncio.Task[Any] | None = None

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        pending = self._pending = self._pending or self._client._submit(self._next())
        try:
            found = pending.result()
        finally:
            if pending.done():  # else the wait was interrupted: the work goes on, and the next call waits for it
                self._pending = None
        if not found:
            raise StopIteration
        return found[0]

    def close(self) -> None:
        """Leave the iterator before its end. Repeatable."""
        self._pending = None
        if isinstance(self._source, AsyncGenerator):
            self._client._wait(self._end(self._source))

    async def _next(self) -> tuple[T, ...]:
        """The next one, or nothing at the end: StopAsyncIteration cannot pass a future."""
        self._task = asyncio.current_task()
        try:
            return (await anext(self._source),)
        except StopAsyncIteration:
            return ()

    async def _end(self, source: AsyncGenerator[T, None]) -> None:
        """A generator that still runs cannot be closed."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        await source.aclose()
