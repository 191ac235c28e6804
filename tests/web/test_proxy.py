"""Requests for a session that another node owns: passed on to it, and its answer passed back."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientPayloadError, ClientSession, web
from msgspec.structs import replace
from yarl import URL

from chatstream.core.errors import NotOwner
from chatstream.core.ids import SessionId
from chatstream.core.limits import Limits
from chatstream.engine.live import LiveAttempt
from chatstream.web.proxy import PASSED_ON_BY
from chatstream.web.settings import SseTimes, WebSettings
from tests.web.conftest import Client, port_of, problem_of, start, until
from tests.web.fake_desk import FakeDesk
from tests.web.frames import Frames

ALICE = SessionId("alice")
MESSAGES = "/v1/sessions/alice/messages"
EVENTS = "/v1/sessions/alice/events"
LIVE = "/v1/sessions/alice/live"


@pytest.fixture
def settings(settings: WebSettings) -> WebSettings:
    """Waits that only an event ends within a test."""
    return replace(settings, poll_s=3600.0, sse=SseTimes(shortest_s=3600.0, longest_s=3600.0, heartbeat_s=3600.0))


@pytest.fixture
async def owner(limits: Limits) -> FakeDesk:
    """The engine of the node that owns every session."""
    return FakeDesk(limits)


@pytest.fixture
async def node(desk: FakeDesk, owner: FakeDesk, limits: Limits, settings: WebSettings) -> AsyncIterator[Client]:
    """A client of a node that owns nothing, beside the owner."""
    async with start(owner, limits, settings) as at_owner, asking(desk, limits, settings) as client:
        desk.table_trouble = desk.answer_with = NotOwner(1, f"http://127.0.0.1:{await port_of(at_owner)}")
        yield client


@asynccontextmanager
async def asking(desk: FakeDesk, limits: Limits, settings: WebSettings) -> AsyncIterator[Client]:
    """A client as everyone is one, not as another node."""
    async with start(desk, limits, settings) as started, ClientSession(f"http://127.0.0.1:{await port_of(started)}") as client:
        yield client


@asynccontextmanager
async def other(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """The URL of a server that answers whatever it is asked."""
    runner = web.ServerRunner(web.Server(handler))  # type: ignore[arg-type]  # it takes every web.BaseRequest
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def say(client: Client, text: str, **headers: str) -> dict[str, Any]:
    async with client.post(MESSAGES, json={"text": text}, headers=headers) as answer:
        assert answer.status in (200, 202), await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


async def test_a_message_is_taken_by_the_owner_and_read_from_it(node: Client, owner: FakeDesk, desk: FakeDesk) -> None:
    assert (await say(node, "hello"))["seq"] == 1
    owner.end_turn(ALICE, "hi")
    async with node.get(MESSAGES) as answer:
        assert [item["text"] for item in (await answer.json())["data"]] == ["hello", "hi"]
        etag = answer.headers["ETag"]
    async with node.get(MESSAGES, headers={"If-None-Match": etag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    async with node.head(EVENTS) as answer:
        assert (answer.status, answer.headers["Stream-Next-Offset"][-1]) == (200, "2")
    assert desk.last_seq("alice") == 0


async def test_headers_and_refusals_of_the_owner_come_through(node: Client) -> None:
    first = await say(node, "hello", **{"Idempotency-Key": "one"})
    again = await say(node, "hello", **{"Idempotency-Key": "one"})
    assert (again["seq"], again["duplicate"]) == (first["seq"], True)
    async with node.post(MESSAGES, json={"text": "other"}, headers={"Idempotency-Key": "one"}) as answer:
        await problem_of(answer, 422, "idempotency-conflict")
    async with node.get(MESSAGES, params={"limit": "0"}) as answer:
        await problem_of(answer, 400, "bad-parameter")
    async with node.post("/v1/sessions/alice/cancel") as answer:
        assert (await answer.json())["turn"] == 1


async def test_one_request_id_follows_a_request_to_its_owner(node: Client) -> None:
    async with node.get("/v1/sessions/nobody", headers={"X-Request-Id": "abc-1"}) as answer:
        assert (await problem_of(answer, 404, "no-such-session"))["instance"] == "abc-1"
    async with node.get("/v1/sessions/nobody") as answer:
        assert len(answer.headers.getall("X-Request-Id")) == 1


async def test_what_concerns_one_connection_goes_no_further(desk: FakeDesk, limits: Limits, settings: WebSettings) -> None:
    asked: list[web.BaseRequest] = []

    async def note(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request)
        return web.Response(text="ok", headers={"X-Mine": "1", "Connection": "X-Hop", "X-Hop": "1", "Keep-Alive": "timeout=5"})

    async with other(note) as url, asking(desk, limits, settings) as client:
        desk.table_trouble = NotOwner(1, url)
        headers = {
            "Origin": "https://app.example",
            "Connection": "X-Secret",
            "X-Secret": "1",
            "TE": "trailers",
            "Accept": "text/x",
            "If-None-Match": '"7"',
            "Cookie": "a=b",
        }
        path = MESSAGES + "?limit=5&after=%31&x=a%2Fb"
        async with client.get(URL(f"http://127.0.0.1:{await port_of(client)}{path}", encoded=True), headers=headers) as answer:
            assert (await answer.text(), answer.headers["X-Mine"]) == ("ok", "1")
            assert {"X-Hop", "Keep-Alive"}.isdisjoint(answer.headers)
    (request,) = asked
    assert request.raw_path == path
    assert {"Origin", "X-Secret", "TE"}.isdisjoint(request.headers)
    assert (request.headers["Accept"], request.headers["If-None-Match"], request.headers["Cookie"]) == ("text/x", '"7"', "a=b")
    assert request.headers[PASSED_ON_BY] == desk.node_id
    assert request.headers["Host"] == url.removeprefix("http://")


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}])
async def test_who_may_not_ask_here_is_not_passed_on(node: Client, owner: FakeDesk, headers: dict[str, str]) -> None:
    async with node.post(MESSAGES, json={"text": "hello"}, headers=headers) as answer:
        assert answer.status == 403
    assert owner.submitted == []


async def test_a_long_poll_waits_at_the_owner(node: Client, owner: FakeDesk) -> None:
    polling = asyncio.create_task(node.get(EVENTS, params={"offset": "now", "live": "long-poll"}))
    await until(lambda: len(owner.feed) == 1)
    await say(node, "hello")
    async with await polling as answer:
        assert [event["seq"] for event in await answer.json()] == [1]
        assert answer.headers["Stream-Cursor"].isdigit()


async def test_a_window_is_shown_what_the_owner_tells_as_it_comes(node: Client, owner: FakeDesk) -> None:
    async with node.get(LIVE) as answer:
        frames = Frames(answer)
        assert (await frames.data())["type"] == "stream.ready"
        await say(node, "hello")
        assert (await frames.data())["seq"] == 1
        attempt = LiveAttempt(*_first_attempt())
        owner.feed.live.start(ALICE, attempt)
        assert (await frames.data())["type"] == "attempt.started"
        attempt.parts.append("Hel")
        owner.feed.live.said(ALICE)
        assert (await frames.data())["text"] == "Hel"
        assert len(answer.headers.getall("X-Request-Id")) == 1


def _first_attempt() -> tuple[Any, Any, int]:
    return 1, 1, 1


@pytest.mark.parametrize("query", ["/live", "/events?offset=now&live=sse", "/events?offset=now&live=long-poll"])
async def test_a_client_that_leaves_frees_its_place_at_the_owner(node: Client, owner: FakeDesk, query: str) -> None:
    asking = asyncio.create_task(node.get(f"/v1/sessions/alice{query}"))
    await until(lambda: len(owner.feed) == 1)
    if not query.endswith("long-poll"):
        answer = await asking
        answer.close()
    asking.cancel()
    await until(lambda: len(owner.feed) == 0)


async def test_what_was_passed_on_is_not_passed_on_again(desk: FakeDesk, limits: Limits, settings: WebSettings) -> None:
    async with start(desk, limits, settings) as client:
        desk.table_trouble = NotOwner(1, f"http://127.0.0.1:{await port_of(client)}")
        async with client.get(MESSAGES) as answer:
            assert (await problem_of(answer, 421, "not-owner"))["owner"] == desk.table_trouble.url


async def test_two_nodes_that_take_each_other_for_the_owner_do_not_ask_for_ever(
    node: Client, desk: FakeDesk, owner: FakeDesk
) -> None:
    assert isinstance(desk.table_trouble, NotOwner)
    owner.table_trouble = NotOwner(1, None)
    looks = owner.looks
    async with node.get(MESSAGES) as answer:
        assert (await problem_of(answer, 503, "no-owner"))["retryable"] is True
    assert owner.looks == looks + 1


async def test_a_partition_that_moved_is_looked_for_where_it_is_now(
    node: Client, owner: FakeDesk, limits: Limits, settings: WebSettings
) -> None:
    third = FakeDesk(limits)
    async with start(third, limits, settings) as at_third:
        owner.table_trouble = owner.answer_with = NotOwner(1, f"http://127.0.0.1:{await port_of(at_third)}")
        assert (await say(node, "hello"))["seq"] == 1
        assert third.last_seq("alice") == 1


async def test_a_command_reaches_the_owner_once_with_its_body(node: Client, owner: FakeDesk) -> None:
    text = "ü" * 400
    await say(node, text)
    assert [getattr(command, "text", "") for command in owner.submitted] == [text]


async def test_an_owner_that_cannot_be_reached_is_503(node: Client, desk: FakeDesk) -> None:
    async def hang_up(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with other(hang_up) as url:
        desk.table_trouble = NotOwner(1, url)
        async with node.get(MESSAGES) as answer:
            await problem_of(answer, 503, "owner-unreachable")
    async with node.get(MESSAGES) as answer:
        assert "nothing was sent" in (await problem_of(answer, 503, "owner-unreachable"))["detail"]


async def test_an_owner_nobody_knows_is_503(node: Client, desk: FakeDesk) -> None:
    desk.table_trouble = NotOwner(1, None)
    async with node.get(MESSAGES) as answer:
        await problem_of(answer, 503, "no-owner")


async def test_an_answer_that_breaks_off_at_the_owner_breaks_off_here(node: Client, desk: FakeDesk) -> None:
    async def half(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half of ")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with other(half) as url:
        desk.table_trouble = NotOwner(1, url)
        with pytest.raises(ClientPayloadError):
            async with node.get(MESSAGES) as answer:
                await answer.read()


async def test_a_large_answer_comes_back_whole(node: Client, desk: FakeDesk) -> None:
    body = json.dumps(["x" * 1000] * 1000).encode()

    async def large(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=body, content_type="application/json")

    async with other(large) as url:
        desk.table_trouble = NotOwner(1, url)
        async with node.get(MESSAGES) as answer:
            assert (await answer.read(), answer.headers["Content-Length"]) == (body, str(len(body)))


async def test_one_more_than_may_be_passed_on_at_once_is_refused(node: Client, owner: FakeDesk, limits: Limits) -> None:
    answers = [await node.get(LIVE) for _ in range(limits.readers)]
    async with node.get(LIVE) as answer:
        await problem_of(answer, 503, "too-many-readers")
    for each in answers:
        each.close()
    await until(lambda: len(owner.feed) == 0)
