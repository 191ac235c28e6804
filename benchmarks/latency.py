"""How soon others know, in a process of its own: `python -m benchmarks.latency KIND PORT COUNT` prints milliseconds as JSON.

delta   from sending a message to the first piece of its answer on another connection's live stream
poll    from the sender's 202 to the answer of a long poll that waited for the event; and from the sending itself
bare    from sending to a frame on another connection, through a server that only hands it on (benchmarks.floors)
"""

import asyncio
import json
import sys
import time
from typing import Any, Final

from tests.wire import Connection, answer, ask, connect, request

TEXT: Final = b"hello"
PAUSE_S: Final = 0.005
"""Between two messages: what is measured is one at a time."""
WARM_UP: Final = 30
"""Of each measurement, the first ones are left out."""


def _told(took_ms: list[float]) -> dict[str, float]:
    kept = sorted(took_ms[WARM_UP:])
    return {"p50_ms": kept[len(kept) // 2], "p99_ms": kept[len(kept) * 99 // 100]}


async def _until(stream: asyncio.StreamReader, word: bytes) -> None:
    """Read a stream of events until one has the word in it."""
    while word not in await stream.readuntil(b"\n\n"):
        pass


async def delta(port: int, count: int) -> dict[str, Any]:
    """The live stream of another window."""
    window, sender = await connect(port), await connect(port)
    await ask(sender, request("POST", "/v1/sessions/live/messages", {"Prefer": "wait=30"}, TEXT))
    return {"delta": await _sent_to_seen(window, sender, b'"text.delta"', b'"reply.completed"', count)}


async def bare(port: int, count: int) -> dict[str, Any]:
    """The same without chatstream."""
    window, sender = await connect(port), await connect(port)
    return {"delta": await _sent_to_seen(window, sender, b'"text.delta"', b"", count)}


async def _sent_to_seen(window: Connection, sender: Connection, seen: bytes, last: bytes, count: int) -> dict[str, float]:
    window[1].write(request("GET", "/v1/sessions/live/live"))
    await _until(window[0], b'"stream.ready"')
    raw, took_ms = request("POST", "/v1/sessions/live/messages", {}, TEXT), []
    for _ in range(count + WARM_UP):
        start_s = time.perf_counter()
        sent = asyncio.create_task(ask(sender, raw))
        await _until(window[0], seen)
        took_ms.append((time.perf_counter() - start_s) * 1000)
        if last:
            await _until(window[0], last)
        await sent
        await asyncio.sleep(PAUSE_S)
    return _told(took_ms)


async def poll(port: int, count: int) -> dict[str, Any]:
    """A long poll that waits. Its reader and the sender are one process: which of both answers came first does not matter."""
    reader, sender = await connect(port), await connect(port)
    raw = request("POST", "/v1/sessions/poll/messages", {}, TEXT)
    await ask(sender, request("POST", "/v1/sessions/poll/messages", {"Prefer": "wait=30"}, TEXT))
    woken_ms, whole_ms = [], []
    for _ in range(count + WARM_UP):
        offset = await _end_of(reader)
        reader[1].write(request("GET", f"/v1/sessions/poll/events?offset={offset}&live=long-poll"))
        await asyncio.sleep(PAUSE_S)
        start_s = time.perf_counter()
        (_, answered_s), (_, polled_s) = await asyncio.gather(_timed(ask(sender, raw)), _timed(answer(reader[0])))
        woken_ms.append(max(0.0, polled_s - answered_s) * 1000)
        whole_ms.append((polled_s - start_s) * 1000)
    return {"woken": _told(woken_ms), "whole": _told(whole_ms)}


async def _timed(work: Any) -> tuple[Any, float]:
    return await work, time.perf_counter()


async def _end_of(reader: Connection) -> str:
    """Where the session's events end, once its last turn is over."""
    while True:
        _, about = await ask(reader, request("GET", "/v1/sessions/poll"))
        if json.loads(about)["status"] == "idle":  # and only then where it ends: a reply in between would be the event
            head, _ = await ask(reader, request("GET", "/v1/sessions/poll/events?offset=now"))
            return head.lower().split(b"stream-next-offset:", 1)[1].split(b"\r\n", 1)[0].strip().decode()


if __name__ == "__main__":
    kind, port, count = sys.argv[1:]
    print(json.dumps(asyncio.run({"delta": delta, "poll": poll, "bare": bare}[kind](int(port), int(count)))))
