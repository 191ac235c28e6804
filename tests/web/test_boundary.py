"""What holds for every request: who may ask, ids, errors, numbers; and what is no request at all."""

import asyncio
import json
import logging
from typing import Any

import pytest
from msgspec.structs import replace

from chatstream.core.errors import BadSettings
from chatstream.core.ids import PartitionNo
from chatstream.core.limits import Limits
from chatstream.engine.desk import PartitionStatus
from chatstream.web.app import make_app
from chatstream.web.origin import host_name, is_loopback
from chatstream.web.server import HttpServer
from chatstream.web.settings import WebSettings
from chatstream.web.waiting import preferred_wait_s
from tests.web.conftest import Client, problem_of, send
from tests.web.fake_desk import FakeDesk

MESSAGES = "/v1/sessions/alice/messages"


# -- Host and Origin ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:8080", "chat.example", "Chat.Example:443"],
)
async def test_loopback_and_listed_hosts_are_answered(client: Client, host: str) -> None:
    async with client.get("/healthz", headers={"Host": host}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "10.0.0.1:8080", "127.0.0.1.evil.example", "localhost.evil.example", "128.0.0.1", "127.0.0.256", "[::2]",
     "[::1", "[::1]x", "localhost:80:80", "localhost:x", "evil.example#localhost", "127.1", "chat.example.evil"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/healthz", "/nothing", MESSAGES])
async def test_foreign_hosts_are_turned_away(client: Client, desk: FakeDesk, host: str, path: str) -> None:
    method = "POST" if path == MESSAGES else "GET"
    async with client.request(method, path, headers={"Host": host}, json={"text": "hi"}) as answer:
        await problem_of(answer, 403, "foreign-host")
    assert desk.submitted == []


@pytest.mark.parametrize("origin", ["http://localhost:8080", "https://LOCALHOST:8080", "https://app.example"])
async def test_own_and_listed_origins_may_use_the_node(client: Client, origin: str) -> None:
    headers = {"Origin": origin, "Host": "localhost:8080"}
    async with client.post(MESSAGES, json={"text": "hi"}, headers=headers) as answer:
        assert answer.status == 202


@pytest.mark.parametrize(
    "origin",
    ["null", "", "https://evil.example", "http://localhost", "http://localhost:3000", "http://127.0.0.1:8080",
     "https://app.example.evil", "http://app.example", "localhost:8080"],
)  # fmt: skip
async def test_foreign_origins_are_turned_away(client: Client, desk: FakeDesk, origin: str) -> None:
    headers = {"Origin": origin, "Host": "localhost:8080"}
    for method in ("POST", "GET"):
        async with client.request(method, MESSAGES, json={"text": "hi"}, headers=headers) as answer:
            await problem_of(answer, 403, "foreign-origin")
    assert desk.submitted == []


def test_host_names_are_read_without_port_and_brackets() -> None:
    assert [host_name(host) for host in ("A.b:80", "[::1]:80", "[::1]", "", ":80", "a:")] == ["a.b", "::1", "::1", "", "", ""]
    assert not is_loopback("")


# -- ids and errors -----------------------------------------------------------------------------------------------


async def test_every_answer_has_a_request_id_of_its_own(client: Client) -> None:
    seen = set()
    for path in ("/healthz", "/nothing", "/v1/sessions/a"):
        async with client.get(path) as answer:
            seen.add(answer.headers["X-Request-Id"])
    assert len(seen) == 3


async def test_a_request_keeps_the_id_it_came_with(client: Client) -> None:
    async with client.get("/nothing", headers={"X-Request-Id": "trace-1"}) as answer:
        assert (await problem_of(answer, 404, "no-such-route"))["instance"] == "trace-1"


@pytest.mark.parametrize("brought", ["a" * 201, "a b", "<script>", "ä"])
async def test_an_id_that_could_do_harm_is_replaced(client: Client, brought: str) -> None:
    async with client.get("/healthz", headers={"X-Request-Id": brought}) as answer:
        assert answer.headers["X-Request-Id"] != brought


async def test_a_bug_is_a_500_that_tells_only_the_request_id(
    client: Client, desk: FakeDesk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.answer_with = RuntimeError("secret")
    with caplog.at_level(logging.ERROR):
        async with client.post(MESSAGES, json={"text": "hi"}) as answer:
            body = await problem_of(answer, 500, "internal")
    assert "secret" not in json.dumps(body)
    assert body["instance"] in body["detail"]
    assert body["instance"] in caplog.text
    assert "RuntimeError: secret" in caplog.text


@pytest.mark.parametrize(
    "raw",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nBad Header: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /v1/sessions/a/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/sessions/a/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_what_is_no_request_gets_a_problem_too(desk: FakeDesk, limits: Limits, settings: WebSettings, raw: bytes) -> None:
    status, headers, body = await _exchange(desk, limits, settings, raw)
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert body["code"] == "malformed-request"
    assert body["instance"] == headers["x-request-id"]
    assert desk.submitted == []


@pytest.mark.parametrize("later", [b"", b"1\r\n{\r\n", b"zz\r\n{}\r\n"])
async def test_a_body_that_does_not_arrive_is_not_waited_for_for_ever(
    desk: FakeDesk, limits: Limits, settings: WebSettings, later: bytes
) -> None:
    head = b"POST /v1/sessions/a/messages HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    head += b"Expect: 100-continue\r\n\r\n" if later else b"\r\n"
    status, headers, body = await _exchange(desk, limits, replace(settings, body_s=0.05), head, later)
    assert (status, body["code"], body["retryable"]) == (408, "body-timeout", True)
    assert body["instance"] == headers["x-request-id"]
    assert desk.submitted == []


@pytest.mark.parametrize("path", ["/healthz", "/v1/sessions/a/nothing"])
async def test_an_expectation_that_nobody_knows_counts_for_nothing_where_there_is_a_route(
    desk: FakeDesk, limits: Limits, settings: WebSettings, path: str
) -> None:
    raw = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nExpect: the-worst\r\nConnection: close\r\n\r\n".encode()
    server = HttpServer(make_app(desk, limits, settings), "127.0.0.1", 0)
    top, _ = await _answered(server, raw)
    # aiohttp answers for what is at no route before anything of ours is asked.
    assert int(top.split()[1]) == (200 if path == "/healthz" else 417)


async def test_who_asks_whether_the_body_may_come_is_told_so(desk: FakeDesk, limits: Limits, settings: WebSettings) -> None:
    head = b"POST /v1/sessions/a/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n"
    server = HttpServer(make_app(desk, limits, settings), "127.0.0.1", 0)
    top, _ = await _answered(server, head + b"Expect: 100-continue\r\nConnection: close\r\n\r\n", b"hi")
    assert top.startswith(b"HTTP/1.1 202 Accepted")


async def test_a_request_without_host_is_turned_away(desk: FakeDesk, limits: Limits, settings: WebSettings) -> None:
    status, _, body = await _exchange(desk, limits, settings, b"GET /healthz HTTP/1.0\r\n\r\n")
    assert (status, body["code"]) == (403, "foreign-host")


async def _exchange(
    desk: FakeDesk, limits: Limits, settings: WebSettings, raw: bytes, later: bytes = b""
) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Send bytes, read one answer until the server closes."""
    top, body = await _answered(HttpServer(make_app(desk, limits, settings), "127.0.0.1", 0), raw, later)
    lines = top.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    return int(lines[0].split()[1]), headers, json.loads(body)


async def _answered(server: HttpServer, raw: bytes, later: bytes = b"") -> tuple[bytes, bytes]:
    """The first head of the answer to some bytes, and what is behind it. later: sent when the server has asked for it."""
    await server.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(raw)
        async with asyncio.timeout(10):
            if later:
                assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
                writer.write(later)
            answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    finally:
        await server.close()
    top, _, rest = answer.partition(b"\r\n\r\n")
    return top, rest


async def test_a_taken_port_is_one_clear_error(desk: FakeDesk, limits: Limits) -> None:
    first = HttpServer(make_app(desk, limits), "127.0.0.1", 0)
    await first.start()
    second = HttpServer(make_app(desk, limits), "127.0.0.1", first.port)
    try:
        with pytest.raises(BadSettings, match=f"cannot listen on 127.0.0.1:{first.port}"):
            await second.start()
    finally:
        await first.close()
        await second.close()


# -- Prefer -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], 0),
        (["wait=30"], 30),
        (["WAIT = 30"], 30),
        (['wait="30"'], 30),
        (["wait=30;x=y"], 30),
        (["respond-async, wait=7"], 7),
        (["respond-async", "wait=7"], 7),
        (["wait=7, wait=9"], 7),
        (["wait=55"], 55),
        (["wait=56"], 55),
        (["wait=999999999"], 55),
        (["wait=9999999999"], 0),
        (["wait=0"], 0),
        (["wait=-1"], 0),
        (["wait=1.5"], 0),
        (["wait"], 0),
        (["wait=٣"], 0),
        (["waiting=3"], 0),
        ([",;=,"], 0),
    ],
)
def test_prefer_wait_is_a_wish_of_at_most_55_seconds(values: list[str], expected: int) -> None:
    assert preferred_wait_s(values, 55.0) == expected


# -- health and numbers -------------------------------------------------------------------------------------------


async def test_a_node_that_serves_all_its_partitions_is_ready(client: Client) -> None:
    async with client.get("/readyz") as answer:
        assert (answer.status, (await answer.json())["status"]) == (200, "ready")


@pytest.mark.parametrize("state", ["restoring", "refused"])
async def test_a_node_that_lacks_a_partition_lives_but_is_not_ready(client: Client, desk: FakeDesk, state: Any) -> None:
    desk.statuses.append(PartitionStatus(PartitionNo(1), state, detail="why", lag=9))
    async with client.get("/readyz") as answer:
        body = await answer.json()
        assert (answer.status, body["status"]) == (503, "not-ready")
    assert [(lacking["partition"], lacking["state"], lacking["detail"]) for lacking in body["partitions"]] == [
        (1, state, "why")
    ]
    async with client.get("/healthz") as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "ok", "node": "node-1"})


async def test_a_stopping_node_is_not_ready(client: Client, desk: FakeDesk) -> None:
    desk.stopping = True
    async with client.get("/readyz") as answer:
        assert (answer.status, (await answer.json())["status"]) == (503, "stopping")


async def test_metrics_count_requests_partitions_and_readers(client: Client, desk: FakeDesk) -> None:
    desk.statuses = [PartitionStatus(PartitionNo(0), "active", lag=2), PartitionStatus(PartitionNo(3), "restoring", lag=9)]
    await send(client, "hi")
    for _ in range(3):
        await client.get("/nothing")
    await client.request("PROPFIND", "/healthz")
    async with client.get("/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        lines = (await answer.text()).splitlines()
    route = "/v1/sessions/{session}/messages"
    for line in (
        f'chatstream_http_requests_total{{method="POST",route="{route}",status="202"}} 1.0',
        'chatstream_http_requests_total{method="GET",route="unmatched",status="404"} 3.0',
        'chatstream_http_requests_total{method="other",route="unmatched",status="405"} 1.0',
        f'chatstream_http_request_seconds_count{{held="no",route="{route}"}} 1.0',
        f'chatstream_http_request_seconds_bucket{{held="no",le="+Inf",route="{route}"}} 1.0',
        "chatstream_readers_waiting 0.0",
        'chatstream_partitions{state="active"} 1.0',
        'chatstream_partitions{state="restoring"} 1.0',
        'chatstream_partitions{state="refused"} 0.0',
        'chatstream_partition_lag{partition="3"} 9.0',
        "chatstream_turns_completed_total 7.0",
    ):
        assert _same_labels(line) in map(_same_labels, lines), line


def _same_labels(line: str) -> tuple[str, tuple[str, ...], str]:
    """A sample without regard to the order of its labels."""
    name, _, rest = line.partition("{")
    labels, _, value = rest.rpartition("}")
    return name, tuple(sorted(labels.split(","))), value
