"""Many idle readers of one node, in a process of their own: `python -m tests.idle_readers PORT COUNT LIVE SESSIONS`.

LIVE is `live` (a live stream), `sse` or `long-poll`. Prints `ready` when all of them wait, and after a line on its input
the seconds until every one of them was sent the next event. Its sender posts one message to each session.
"""

import asyncio
import resource
import sys
import time
from typing import Final

from tests.wire import ask, close, connect, request

OPENING: Final = 200
"""Connections that are being opened at once."""
ALL_S: Final = 120.0


def allow_open_files(count: int) -> bool:
    """Let this process, and those that it starts, have so many files open. False where the system does not allow it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        return False
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    return True


class Reader(asyncio.Protocol):
    """One reader. ready, seen: marks in what it is sent; the futures of these names are done when they have come."""

    def __init__(self, raw: bytes, ready: bytes, seen: bytes) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.seen: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._raw = raw
        self._ready = ready
        self._seen = seen
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._raw)
        if not self._ready:
            self.ready.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._got += data
        if not self.ready.done() and self._ready in self._got:
            self.ready.set_result(None)
            self._got = self._got.partition(self._ready)[2]
        if self.ready.done() and not self.seen.done() and self._seen in self._got:
            self.seen.set_result(None)

    def leave(self) -> None:
        """Hang up."""
        self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        for future in (self.ready, self.seen):
            if not future.done():
                future.set_exception(ConnectionError(f"a reader was cut off: {error}; {self._got[:300]!r}"))
        self.gone.set_result(None)


def reader_of(live: str, session: str, offset: str) -> Reader:
    """A reader of that kind, from an offset on."""
    if live == "live":
        return Reader(request("GET", f"/v1/sessions/{session}/live?offset={offset}"), b'"stream.ready"', b'"message.accepted"')
    raw = request("GET", f"/v1/sessions/{session}/events?offset={offset}&live={live}")
    return Reader(raw, b"" if live == "long-poll" else b"event: control", b'"message.accepted"')


async def opened(port: int, live: str, count: int, sessions: int) -> list[Reader]:
    """So many readers of one kind, from where their sessions end now."""
    loop, gate = asyncio.get_running_loop(), asyncio.Semaphore(OPENING)
    asking = await connect(port)
    offsets = []
    for number in range(sessions):
        head, _ = await ask(asking, request("GET", f"/v1/sessions/readers-{number}/events?offset=now"))
        offsets.append(head.lower().split(b"stream-next-offset:", 1)[1].split(b"\r\n", 1)[0].strip().decode())

    async def one(number: int) -> Reader:
        session = number % sessions
        async with gate:
            _, reader = await loop.create_connection(
                lambda: reader_of(live, f"readers-{session}", offsets[session]), "127.0.0.1", port
            )
            await reader.ready
            return reader

    await close(asking)
    return await asyncio.gather(*(one(number) for number in range(count)))


async def leave(readers: list[Reader]) -> None:
    """All hang up."""
    for reader in readers:
        reader.leave()
    await asyncio.gather(*(reader.gone for reader in readers))


async def say_to_each(port: int, sessions: int, wait: bool) -> None:
    """One message to each session. wait: for its reply, too."""
    sender = await connect(port)
    headers = {"Prefer": "wait=30"} if wait else {}
    for number in range(sessions):
        await ask(sender, request("POST", f"/v1/sessions/readers-{number}/messages", headers, b"hello"))
    await close(sender)


async def all_have_it(readers: list[Reader], wait_s: float = ALL_S) -> None:
    """Wait until each of them was sent its session's next message. Raises ConnectionError, TimeoutError."""
    async with asyncio.timeout(wait_s):
        await asyncio.gather(*(reader.seen for reader in readers))


async def main(port: int, count: int, live: str, sessions: int) -> None:
    """As above."""
    await say_to_each(port, sessions, wait=True)
    readers = await opened(port, live, count, sessions)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    start_s = time.perf_counter()
    await say_to_each(port, sessions, wait=False)
    await all_have_it(readers)
    print(time.perf_counter() - start_s, flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
