"""Pages of other origins: which may read answers, and what browsers are told with every one of them."""

from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from chatstream.core.limits import Limits
from chatstream.web.settings import WebSettings
from tests.web.conftest import Client, problem_of, send, start
from tests.web.fake_desk import FakeDesk

READS = "https://reads.example"
ASKS = "https://app.example"
"""May ask, but not read what it is told."""
SESSION = "/v1/sessions/alice"
PREFLIGHT = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "if-match, content-type"}


@pytest.fixture
async def listing(desk: FakeDesk, limits: Limits, settings: WebSettings) -> AsyncIterator[Client]:
    """A client of a node that lists an origin."""
    async with start(desk, limits, replace(settings, cors_origins=frozenset({READS + "/"}))) as client:
        yield client


@pytest.mark.parametrize(
    "path", ["", "/messages", "/events?offset=-1", "/events?offset=-1&live=sse", "/live", "/state", "/export", "/nothing"]
)
async def test_a_listed_origin_may_read_every_answer(listing: Client, path: str) -> None:
    await send(listing, "hello")
    async with listing.get(SESSION + path, headers={"Origin": READS}) as answer:
        assert answer.status == (404 if path == "/nothing" else 200)
        assert answer.headers.getall("Access-Control-Allow-Origin") == [READS]
        exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
        assert {"Stream-Next-Offset", "Stream-Up-To-Date", "Stream-Cursor", "ETag", "X-Request-Id", "Retry-After"} <= set(
            exposed
        )
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert answer.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_a_page_of_a_listed_origin_is_told_what_it_may_send(listing: Client) -> None:
    async with listing.options(f"{SESSION}/state/color", headers={"Origin": READS, **PREFLIGHT}) as answer:
        assert (answer.status, await answer.read()) == (204, b"")
        assert answer.headers["Access-Control-Allow-Origin"] == READS
        assert "PUT" in answer.headers["Access-Control-Allow-Methods"].split(", ")
        allowed = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
        assert {"if-match", "content-type", "idempotency-key", "prefer", "last-event-id"} <= set(allowed)
        assert int(answer.headers["Access-Control-Max-Age"]) > 0


async def test_a_listed_origin_may_also_write(listing: Client, desk: FakeDesk) -> None:
    async with listing.post(f"{SESSION}/messages", json={"text": "hi"}, headers={"Origin": READS}) as answer:
        assert answer.status == 202
        assert answer.headers["Access-Control-Allow-Origin"] == READS
    assert desk.last_seq("alice") == 1


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://reads.example.evil", "http://reads.example"])
async def test_others_are_told_nothing(listing: Client, origin: str) -> None:
    async with listing.get("/healthz", headers={"Origin": origin}) as answer:
        await problem_of(answer, 403, "foreign-origin")
        assert "Access-Control-Allow-Origin" not in answer.headers
    async with listing.options(SESSION, headers={"Origin": origin, **PREFLIGHT}) as answer:
        await problem_of(answer, 403, "foreign-origin")
        assert "Access-Control-Allow-Methods" not in answer.headers


async def test_who_may_only_ask_cannot_read(listing: Client) -> None:
    async with listing.get("/healthz", headers={"Origin": ASKS}) as answer:
        assert answer.status == 200
        assert "Access-Control-Allow-Origin" not in answer.headers
    async with listing.options(SESSION, headers={"Origin": ASKS, **PREFLIGHT}) as answer:
        await problem_of(answer, 405, "method-not-allowed")


async def test_a_listed_origin_does_not_make_a_foreign_host_known(listing: Client) -> None:
    async with listing.options(SESSION, headers={"Origin": READS, "Host": "evil.example", **PREFLIGHT}) as answer:
        await problem_of(answer, 403, "foreign-host")


async def test_off_unless_somebody_is_listed(client: Client) -> None:
    for headers in ({}, {"Origin": ASKS}):
        async with client.get("/healthz", headers=headers) as answer:
            assert answer.status == 200
            assert not {"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Vary"} & set(answer.headers)


@pytest.mark.parametrize("path", ["/healthz", "/", SESSION + "/live", SESSION + "/events?offset=-1&live=sse", "/v1/nothing"])
async def test_every_answer_says_that_it_is_what_it_says_and_for_whom(client: Client, path: str) -> None:
    async with client.get(path) as answer:
        assert answer.headers.getall("X-Content-Type-Options") == ["nosniff"]
        assert answer.headers.getall("Cross-Origin-Resource-Policy") == ["same-origin"]


async def test_what_is_read_of_a_session_is_kept_by_no_cache_between(client: Client) -> None:
    await send(client, "hello")
    for path in ("", "/messages", "/events?offset=-1", "/state", "/events?offset=now", "/export"):
        async with client.get(SESSION + path) as answer:
            assert answer.headers["Cache-Control"] in ("private, no-cache", "no-store")
    async with client.head(f"{SESSION}/events") as answer:
        assert answer.headers["Cache-Control"] == "no-store"
