"""What comes in wrong: a problem each, and nothing recorded."""

import io
import json
from typing import Any

import pytest
from yarl import URL

from tests.web.conftest import Client, problem_of
from tests.web.fake_desk import FakeDesk

JSON = {"Content-Type": "application/json"}
TEXT = {"Content-Type": "text/plain"}


def _json(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


BODIES: list[tuple[dict[str, str], bytes, int, str]] = [
    (JSON, b"", 400, "empty"),
    (JSON, b"{", 400, "malformed-json"),
    (JSON, b'{"text": "a"} x', 400, "malformed-json"),
    (JSON, b'{"text": "\xff"}', 400, "not-utf8"),
    (JSON, b'{"text": "\\ud800"}', 400, "malformed-json"),
    (JSON, b"[" * 100_000, 400, "bad-command"),
    (JSON, b'{"content": ' + b"[" * 100_000, 400, "malformed-json"),
    (JSON, b"[]", 400, "bad-command"),
    (JSON, b'"hi"', 400, "bad-command"),
    (JSON, b"null", 400, "bad-command"),
    (JSON, b'{"text": "a", "text": "b"}', 400, "duplicate-key"),
    (JSON, b'{"text": "a", "metadata": {"b": [{"c": 1, "c": 1}]}}', 400, "duplicate-key"),
    (JSON, _json(text=7), 400, "bad-command"),
    (JSON, _json(text=""), 400, "empty"),
    (JSON, _json(text="a", content=[]), 400, "bad-command"),
    (JSON, _json(content="a"), 400, "bad-command"),
    (JSON, _json(content=[1]), 400, "bad-command"),
    (JSON, _json(content=[]), 400, "empty"),
    (JSON, _json(text="a", metadata=[]), 400, "bad-command"),
    (JSON, _json(text="a", on_busy="panic"), 400, "bad-command"),
    (JSON, _json(text="a", delay_s=-1), 400, "bad-command"),
    (JSON, _json(text="a", at="2030-02-30T00:00:00Z"), 400, "bad-command"),
    (JSON, _json(text="a", message_id="k-1"), 400, "bad-id"),
    (JSON, _json(text="a", message_id="a b"), 400, "bad-id"),
    (JSON, _json(text="a", message_id="a" * 201), 400, "bad-id"),
    (JSON, _json(text="a", message_id="a", command_id="b"), 400, "bad-command"),
    (JSON, _json(type="cancel"), 400, "bad-command"),
    (JSON, _json(type="dance", text="a"), 400, "unknown-type"),
    (TEXT, b"", 400, "empty"),
    (TEXT, b"\xff", 400, "not-utf8"),
    ({"Content-Type": "application/x-www-form-urlencoded"}, b"text=a", 415, "unsupported-media-type"),
    ({"Content-Type": ""}, b"hi", 415, "unsupported-media-type"),
    ({"Content-Type": "text/plain; charset=latin-1"}, b"hi", 415, "unsupported-charset"),
    ({"Content-Type": "application/json; charset=utf-16"}, b"{}", 415, "unsupported-charset"),
    ({**TEXT, "Content-Encoding": "gzip"}, b"hi", 415, "unsupported-encoding"),
    ({**TEXT, "Idempotency-Key": ""}, b"hi", 400, "bad-id"),
    ({**TEXT, "Idempotency-Key": "k-1"}, b"hi", 400, "bad-id"),
    ({**TEXT, "Idempotency-Key": "a/b"}, b"hi", 400, "bad-id"),
    ({**JSON, "Idempotency-Key": "b"}, _json(text="a", message_id="a"), 400, "bad-id"),
    (TEXT, b"a" * 1001, 413, "too-large"),
    (JSON, _json(text="a" * 1001), 413, "too-large"),
    (JSON, _json(text="a", metadata={"a": "b" * 193}), 413, "too-large"),
    (JSON, _json(content=[{"type": "x", "a": "b" * 2000}]), 413, "too-large"),
    (JSON, b" " * (2 * (1024 - 16) * 1024 + 1), 413, "too-large"),
]


@pytest.mark.parametrize(("headers", "body", "status", "code"), BODIES)
async def test_a_wrong_body_is_refused(
    client: Client, desk: FakeDesk, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    async with client.post("/v1/sessions/alice/messages", data=io.BytesIO(body), headers=headers) as answer:
        await problem_of(answer, status, code)
    assert desk.submitted == []


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (TEXT, b"a" * 1000),
        (TEXT, "ä".encode() * 500),
        (JSON, _json(text="ä" * 500)),
        (JSON, _json(text="a", message_id="a" * 200)),
        (JSON, _json(text="a", metadata={"a": "b" * 192})),
        (JSON, _json(text="a") + b" " * 1_000_000),
    ],
)
async def test_at_the_limit_a_body_is_taken(client: Client, headers: dict[str, str], body: bytes) -> None:
    async with client.post("/v1/sessions/alice/messages", data=body, headers=headers) as answer:
        assert answer.status == 202, await answer.text()


async def test_a_chunked_body_beyond_the_limit_is_refused(client: Client, desk: FakeDesk) -> None:
    async def chunks() -> Any:
        for _ in range(40):
            yield b" " * 65536

    async with client.post("/v1/sessions/alice/messages", data=chunks(), headers=JSON) as answer:
        await problem_of(answer, 413, "too-large")
    assert desk.submitted == []


async def test_two_idempotency_keys_are_refused(client: Client, desk: FakeDesk) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    async with client.post("/v1/sessions/alice/messages", json={"text": "a"}, headers=headers) as answer:
        await problem_of(answer, 400, "bad-id")
    assert desk.submitted == []


BAD_SESSIONS = ["%20", "a%2Fb", "a" * 201, "%2E%2E", "a%00", "ä", "a%0Ab", "%F0%9F%98%80"]


@pytest.mark.parametrize("session", BAD_SESSIONS)
@pytest.mark.parametrize("route", ["", "/messages", "/events", "POST"])
async def test_an_ill_formed_session_id_is_refused(client: Client, desk: FakeDesk, session: str, route: str) -> None:
    path = URL(f"/v1/sessions/{session}{route.replace('POST', '/messages')}", encoded=True)
    method, body = ("POST", {"text": "a"}) if route == "POST" else ("GET", None)
    async with client.request(method, path, json=body) as answer:
        await problem_of(answer, 400, "malformed-request" if session == "ä" else "bad-id")
    assert desk.submitted == []


@pytest.mark.parametrize("session", ["a", "a" * 200, "A.b_c:d@e~f-9", "..."])
async def test_a_well_formed_session_id_is_taken(client: Client, session: str) -> None:
    async with client.post(f"/v1/sessions/{session}/messages", json={"text": "a"}) as answer:
        assert (answer.status, (await answer.json())["session"]) == (202, session)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=6", "limit=-1", "limit=a", "limit=", "limit=1e3", "limit=٣", "before=-1", "after=x", "before=3&after=1",
     "after=" + "9" * 17],
)  # fmt: skip
async def test_a_wrong_page_is_refused(client: Client, query: str) -> None:
    await client.post("/v1/sessions/alice/messages", json={"text": "a"})
    async with client.get(f"/v1/sessions/alice/messages?{query}") as answer:
        await problem_of(answer, 400, "bad-parameter")


GOOD = "0000000000000000_0000000000000001"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("offset=", "bad-offset"),
        ("offset=0", "bad-offset"),
        ("offset=-2", "bad-offset"),
        ("offset=NOW", "bad-offset"),
        (f"offset={GOOD}0", "bad-offset"),
        (f"offset={GOOD[:-1]}", "bad-offset"),
        (f"offset={GOOD[:-1]}x", "bad-offset"),
        (f"offset={GOOD[:-1]}٣", "bad-offset"),
        ("offset=0000000000000001_0000000000000001", "bad-offset"),
        (f"offset={GOOD}&offset={GOOD}", "bad-parameter"),
        ("offset=-1&live=long-poll&live=long-poll", "bad-parameter"),
        ("live=long-poll", "bad-parameter"),
        ("offset=-1&live=", "bad-parameter"),
        ("offset=-1&live=true", "bad-parameter"),
    ],
)
async def test_a_wrong_read_of_events_is_refused(client: Client, query: str, code: str) -> None:
    async with client.get(f"/v1/sessions/alice/events?{query}") as answer:
        await problem_of(answer, 400, code)


@pytest.mark.parametrize("path", ["/nothing", "/v1", "/v1/sessions/", "/v1/sessions/a/b/c", "/v1/sessions/a/messages/"])
async def test_an_unknown_path_is_404(client: Client, path: str) -> None:
    async with client.get(path) as answer:
        await problem_of(answer, 404, "no-such-route")


async def test_a_wrong_method_names_the_right_ones(client: Client, desk: FakeDesk) -> None:
    async with client.delete("/v1/sessions/alice/messages") as answer:
        await problem_of(answer, 405, "method-not-allowed")
        assert answer.headers["Allow"] == "GET,HEAD,POST"
    async with client.post("/v1/sessions/alice/events", json=[]) as answer:
        await problem_of(answer, 405, "method-not-allowed")
    assert desk.submitted == []
