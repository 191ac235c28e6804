"""A running application on a fake engine, and a client of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession

from chatstream.core.limits import Limits
from chatstream.web.app import make_app
from chatstream.web.proxy import PASSED_ON_BY
from chatstream.web.server import HttpServer
from chatstream.web.settings import WebSettings
from tests.web.fake_desk import FakeDesk

Client = ClientSession


@pytest.fixture
def limits() -> Limits:
    """Small where a test goes to the limit."""
    return Limits(waiting_turns=2, readers=3, page=5, text_bytes=1000, content_bytes=2000, metadata_bytes=200, poll_s=55.0)


@pytest.fixture
def settings() -> WebSettings:
    """Short waits: nothing in these tests needs long ones."""
    return WebSettings(
        poll_s=0.05,
        restore_hold_s=0.05,
        allowed_hosts=frozenset({"chat.example"}),
        allowed_origins=frozenset({"https://app.example"}),
    )


@pytest.fixture
async def desk(limits: Limits) -> FakeDesk:
    """The engine's stand-in."""
    return FakeDesk(limits)


@pytest.fixture
async def client(desk: FakeDesk, limits: Limits, settings: WebSettings) -> AsyncIterator[Client]:
    """A client of a server that runs as the node runs it."""
    async with start(desk, limits, settings) as client:
        yield client


@asynccontextmanager
async def start(desk: FakeDesk, limits: Limits, settings: WebSettings) -> AsyncIterator[Client]:
    """A client of a server that runs meanwhile."""
    server = HttpServer(make_app(desk, limits, settings, lambda: {"turns_completed": 7.0}), "127.0.0.1", 0)
    await server.start()
    try:
        # As another node asks: what is not this one's is refused and not passed on. test_proxy asks as everyone else does.
        async with ClientSession(f"http://127.0.0.1:{server.port}", headers={PASSED_ON_BY: "node-0"}) as client:
            yield client
    finally:
        await server.close()


async def port_of(client: Client) -> int:
    """Where the client's server listens."""
    async with client.get("/healthz") as answer:
        assert answer.url.port is not None
        return answer.url.port


async def until(holds: Callable[[], bool]) -> None:
    """Let everyone else run until it holds; fails after ten seconds."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  # what is waited for is state of other tasks, and has no event
            await asyncio.sleep(0)


async def send(client: Client, text: str, session: str = "alice", **fields: Any) -> dict[str, Any]:
    """Send a message that must be accepted."""
    async with client.post(f"/v1/sessions/{session}/messages", json={"text": text, **fields}) as answer:
        body: dict[str, Any] = await answer.json()
        assert answer.status in (200, 202), body
        return body


async def problem_of(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The answer's problem document, checked for what every one must have."""
    assert answer.content_type == "application/problem+json"
    body: dict[str, Any] = await answer.json()
    assert (answer.status, body["code"]) == (status, code), body
    assert body["status"] == status
    assert body["type"].endswith(code)
    assert body["title"]
    assert body["detail"]
    assert body["instance"] == answer.headers["X-Request-Id"]
    assert isinstance(body["retryable"], bool)
    assert ("retry_after_s" in body) == ("Retry-After" in answer.headers)
    return body
