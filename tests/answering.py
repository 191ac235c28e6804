"""A server that answers as it is told, for tests of clients: whole answers, streams, and streams that break off."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from chatstream import Patience
from chatstream.core.events import AnyEvent

QUICK = Patience(attempts=3, first_s=0.001, most_s=0.002, away_s=5.0)
IMPATIENT = Patience(attempts=1, first_s=0.001, most_s=0.002, away_s=0.0)

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Asked:
    """What came to the server: path with query, headers, JSON body."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.headers: list[Any] = []
        self.bodies: list[Any] = []


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[tuple[str, Asked]]:
    """A server whose every answer is made by a function; its URL, and what it was asked."""
    asked = Asked()

    async def handle(request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        asked.paths.append(request.path_qs)
        asked.headers.append(request.headers)
        asked.bodies.append(json.loads(raw) if raw else None)
        return await answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/"), asked


def as_json(body: Any, status: int = 200, **headers: str) -> web.Response:
    return web.json_response(body, status=status, headers=headers)


def in_turn(*answers: Callable[[], web.StreamResponse]) -> Answer:
    """Each answer once, the last one again and again."""
    left = list(answers)

    async def answer(_: web.Request) -> web.StreamResponse:
        return (left.pop(0) if len(left) > 1 else left[0])()

    return answer


def problem(status: int, code: str, **more: Any) -> Callable[[], web.Response]:
    return lambda: as_json({"code": code, "detail": "because", "retryable": status == 503, **more}, status)


def event(seq: int, text: str = "") -> dict[str, Any]:
    return {"type": "message.accepted", "session": "alice", "seq": seq, "time": "2026-01-01T00:00:00.000Z", "text": text}


def token(seq: int) -> str:
    return f"{0:016d}_{seq:016d}"


def polled(*seqs: int, next_seq: int | None = None) -> Callable[[], web.Response]:
    end = (seqs[-1] if seqs else 0) if next_seq is None else next_seq
    headers = {"Stream-Next-Offset": token(end)}
    return lambda: as_json([event(seq) for seq in seqs], 200, **headers) if seqs else web.Response(status=204, headers=headers)


def streamed(*chunks: bytes, cut: bool = False) -> Answer:
    """A stream of these bytes; cut: the connection is dropped behind them."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if cut:
            assert request.transport is not None
            request.transport.abort()
        else:
            await response.write_eof()
        return response

    return answer


def batch(*seqs: int) -> bytes:
    data = json.dumps([event(seq) for seq in seqs])
    return f'event: data\ndata: {data}\n\nevent: control\nid: x\ndata: {{"streamNextOffset": "{token(seqs[-1])}"}}\n\n'.encode()


def one(frame: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(frame)}\n\n".encode()


def sequence(*answers: Answer) -> Answer:
    left = list(answers)

    async def answer(request: web.Request) -> web.StreamResponse:
        return await (left.pop(0) if len(left) > 1 else left[0])(request)

    return answer


async def taken(source: Any, count: int) -> list[Any]:
    """The first so many of an iterator, which is closed then."""
    found: list[Any] = []
    async with aclosing(source) as items, asyncio.timeout(30):
        async for item in items:
            found.append(item)
            if len(found) == count:
                break
    return found


def seqs(events: Sequence[AnyEvent]) -> list[int]:
    return [event.seq for event in events]
