"""Everything wrong at every route of a running node: a problem document each, and nothing recorded."""

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from aiohttp import ClientResponse, ClientSession
from yarl import URL

from chatstream.core.limits import Limits
from chatstream.log.port import Topic
from chatstream.web.codes import CODES
from chatstream.web.route import Route
from chatstream.web.routes import ROUTES
from tests.web.embedded_node import Embedded, embedded_node
from tests.web.wrong import Wrong, everything, path_with, right_body, right_headers

LIMITS: Final = Limits()
RECORDED: Final = (Topic.MESSAGES, Topic.DEAD_LETTERS, Topic.REPLIES)
NONE_ADDED: Final = ("Content-Type",)
HEADERS: Final = {"Prefer": "wait=30", "Content-Type": "text/plain"}

UNKNOWN: Final = (
    "/nothing", "/v1", "/v1/", "/v1/session", "/v1/sessions/", "/v2/sessions", "/v1/sessions/alice/nothing", "//v1/sessions",
    "/v1/sessions/alice/messages/", "/v1/sessions/alice/messages/1", "/v1/sessions/alice/state/a/b", "/v1/sessions//messages",
    "/V1/sessions", "/static", "/healthz/", "/%2e%2e/v1/sessions", "/%00", "/%ff", "/openapi.yaml",
)  # fmt: skip


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Embedded]:
    async with embedded_node(tmp_path) as node:
        yield node


async def said(client: ClientSession, text: str) -> str:
    """What the node replies to a message of alice's."""
    async with client.post("/v1/sessions/alice/messages", data=text, headers=HEADERS) as answer:
        assert answer.status == 200, await answer.text()
        return str((await answer.json())["reply"]["text"])


async def events_of(client: ClientSession) -> list[int]:
    async with client.get("/v1/sessions/alice/events?offset=-1") as answer:
        return [event["seq"] for event in await answer.json()]


async def ask(client: ClientSession, base: str, wrong: Wrong) -> list[str]:
    """What the answer lacks of a proper refusal."""
    url = URL(base + wrong.path + (f"?{wrong.query}" if wrong.query else ""), encoded=True)

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(wrong.body or b""), 65_536):
            yield (wrong.body or b"")[start : start + 65_536]

    body = parts() if wrong.in_parts else None if wrong.body is None else io.BytesIO(wrong.body)
    async with client.request(wrong.method, url, headers=wrong.headers, data=body, skip_auto_headers=NONE_ADDED) as answer:
        return await lacks(answer, wrong)


async def lacks(answer: ClientResponse, wrong: Wrong) -> list[str]:
    found = [] if answer.status in wrong.statuses else [f"status {answer.status}"]
    if answer.content_type != "application/problem+json":
        found.append(f"type {answer.content_type}")
    if "X-Request-Id" not in answer.headers:
        found.append("no request id")
    if answer.status == 405 and not answer.headers.get("Allow"):
        found.append("no Allow")
    if wrong.method == "HEAD" or found:
        return found
    told = await answer.json()
    if (told["status"], told["instance"]) != (answer.status, answer.headers["X-Request-Id"]) or told["code"] not in CODES:
        found.append(f"document {told}")
    return found


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_whatever_is_wrong_is_refused_and_nothing_is_recorded(node: Embedded, route: Route) -> None:
    async with ClientSession(node.url) as client:
        assert "hello" in await said(client, "hello")
        before, seqs = await node.ends(*RECORDED), await events_of(client)
        tried = list(everything(route, LIMITS))
        assert len(tried) > 8
        answered = [(wrong, await ask(client, node.url, wrong)) for wrong in tried]
        assert [f"{wrong.what}: {', '.join(found)}" for wrong, found in answered if found] == []
        assert await node.ends(*RECORDED) == before
        assert await events_of(client) == seqs
        assert "still there" in await said(client, "still there?")


async def test_what_is_at_no_route_is_not_found(node: Embedded) -> None:
    async with ClientSession(node.url) as client:
        for path in UNKNOWN:
            for method in ("GET", "POST", "DELETE"):
                assert await ask(client, node.url, Wrong(path, method, path, (404,))) == [], (method, path)


async def test_what_is_right_is_taken(node: Embedded) -> None:
    """The requests that the wrong ones are made from are refused, where they are, for what the session is and nothing else."""
    async with ClientSession(node.url) as client:
        assert "hello" in await said(client, "hello")
        for route in ROUTES:
            url = URL(path_with(route), encoded=True)
            headers, body = right_headers(route), right_body(route)
            async with client.request(route.method, url, headers=headers, data=body, skip_auto_headers=NONE_ADDED) as answer:
                assert answer.status < 300 or answer.status in route.refused, (route.path, answer.status, await answer.text())
                assert answer.status not in (400, 413, 415), (route.path, await answer.text())
