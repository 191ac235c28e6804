"""The whole conversation as a file."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientError
from msgspec.structs import replace

from chatstream.core.errors import NotOwner
from chatstream.core.events import AnyEvent
from chatstream.core.ids import SessionId
from chatstream.core.limits import MIB, Limits
from chatstream.core.session import Failed
from chatstream.web.settings import SseTimes, WebSettings
from tests.given import accepted, cancelled, completed, erased, restarted
from tests.web.conftest import Client, port_of, problem_of, send, start
from tests.web.fake_desk import FakeDesk

ALICE = SessionId("alice")
EXPORT = "/v1/sessions/alice/export"


async def lines(client: Client, path: str = EXPORT) -> list[dict[str, Any]]:
    async with client.get(path) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/jsonl; charset=utf-8")
        text = await answer.text()
        assert text.endswith("\n") or not text
        return [json.loads(line) for line in text.splitlines()]


async def test_it_is_every_message_of_the_conversation_in_order(client: Client, desk: FakeDesk) -> None:
    for number in range(12):  # more than two pages
        await send(client, f"say {number}\nand ü", message_id=f"m-{number}")
        desk.end_turn(ALICE, f"reply {number}")
    found = await lines(client)
    said = [text for number in range(12) for text in (f"say {number}\nand ü", f"reply {number}")]
    assert [item["text"] for item in found] == said
    assert [item["seq"] for item in found] == list(range(1, 25))
    pages = []
    for after in range(0, 24, 5):
        async with client.get(f"/v1/sessions/alice/messages?limit=5&after={after}") as answer:
            pages += (await answer.json())["data"]
    assert found == pages


async def test_it_is_a_file_under_the_sessions_name(client: Client) -> None:
    await send(client, "hello", session="a:b@c")
    for query, name in [("", "a_b@c.jsonl"), ("?format=jsonl", "a_b@c.jsonl"), ("?format=md", "a_b@c.md")]:
        async with client.get(f"/v1/sessions/a:b@c/export{query}") as answer:
            assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["X-Request-Id"]


async def test_markdown_says_who_said_what_and_what_became_of_it(client: Client, desk: FakeDesk) -> None:
    image = {"type": "image", "data": "```\n"}
    lived: list[AnyEvent] = [
        accepted(1, "What is this?\n\n- a list", user="u-1", content=[{"type": "text", "text": "What is this?"}, image]),
        completed(2, 1, "A *picture*", model="m-1"),
        restarted(3, 1),
        completed(4, 1, "A cat", version=2),
        accepted(5, "Stop"),
        cancelled(6, 5, "Well"),
        accepted(7, "Fail"),
    ]
    for event in lived:
        desk.fold(event)
    desk.end_turn(ALICE, Failed(code="api-error", detail="it is\nover"))
    async with client.get(EXPORT, params={"format": "md"}) as answer:
        assert answer.headers["Content-Type"] == "text/markdown; charset=utf-8"
        text = await answer.text()
    at = "2026-01-02T03:04:05.000Z"
    assert text.startswith(f"# What is this? - a list\n\nSession `alice`, from {at} to ")
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings[:6] == [
        f"## User · {at} · u-1",
        f"## Assistant · {at} · m-1 · superseded",
        f"## Assistant · {at}",
        f"## User · {at} · cancelled",
        f"## Assistant · {at} · cancelled",
        f"## User · {at} · failed",
    ]
    assert "\nWhat is this?\n\n- a list\n" in text
    assert '\n```json\n{"type":"image","data":"```\\n"}\n```\n' in text
    assert text.endswith("\n> api-error: it is over\n")


async def test_what_is_no_session_or_no_format_is_said_so(client: Client, desk: FakeDesk) -> None:
    async with client.get(EXPORT) as answer:
        await problem_of(answer, 404, "no-such-session")
    for query in ("format=pdf", "format=", "format=md&format=md"):
        async with client.get(f"{EXPORT}?{query}") as answer:
            await problem_of(answer, 400, "bad-parameter")
    async with client.get("/v1/sessions/no%20id/export") as answer:
        await problem_of(answer, 400, "bad-id")
    desk.fold(accepted(1))
    desk.fold(erased(2))
    async with client.get(EXPORT) as answer:
        await problem_of(answer, 410, "session-erased")
    desk.table_trouble = NotOwner(1, "http://127.0.0.1:1")
    async with client.get(EXPORT) as answer:
        await problem_of(answer, 421, "not-owner")


async def test_head_tells_what_it_would_be_and_nothing_more(client: Client, desk: FakeDesk) -> None:
    await send(client, "hello")
    looks = desk.looks
    async with client.head(EXPORT) as answer:
        assert (answer.status, answer.content_type, await answer.read()) == (200, "application/jsonl", b"")
    assert desk.looks == looks + 1


@pytest.fixture
async def large(desk: FakeDesk) -> int:
    """A conversation of 48 MiB, 1.25 a page; how many messages it has."""
    count = 192
    for seq in range(1, 2 * count, 2):
        desk.fold(accepted(seq, "x" * 256 * 1024, id=f"m-{seq}"))
        desk.fold(completed(seq + 1, seq, "y"))
    return 2 * count


async def test_a_large_conversation_is_never_in_memory_as_a_whole(client: Client, large: int) -> None:
    async with client.get(EXPORT) as answer:
        assert answer.status == 200
        tracemalloc.start()
        try:
            size_bytes = count = 0
            async for part in answer.content.iter_any():
                size_bytes += len(part)
                count += part.count(b"\n")
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert count == large
    assert size_bytes > 48 * MIB
    assert peak_bytes < 16 * MIB


async def test_it_ends_where_the_conversation_ended_when_it_began(client: Client, desk: FakeDesk, large: int) -> None:
    async with client.get(EXPORT) as answer:
        desk.fold(accepted(large + 1, "later"))
        assert (await answer.read()).count(b"\n") == large


@pytest.mark.parametrize("trouble", ["erased", "moved"])
async def test_an_answer_that_cannot_go_on_is_broken_off(client: Client, desk: FakeDesk, large: int, trouble: str) -> None:
    async with client.get(EXPORT) as answer:
        await answer.content.readany()
        if trouble == "erased":
            desk.fold(erased(large + 1))
        else:
            desk.table_trouble = NotOwner(1, None)
        with pytest.raises(ClientError):
            await answer.read()


@pytest.fixture
async def narrow(desk: FakeDesk, limits: Limits, settings: WebSettings) -> AsyncIterator[Client]:
    """A client of a node that has room for one export, and no patience."""
    times = SseTimes(write_s=0.2, write_grace_s=0.1)
    async with start(desk, replace(limits, exports=1), replace(settings, sse=times)) as client:
        yield client


async def test_there_are_so_many_at_once_and_who_takes_nothing_loses_its_place(narrow: Client, large: int) -> None:
    assert large
    _, idle = await asyncio.open_connection("127.0.0.1", await port_of(narrow), limit=1024)
    idle.write(f"GET {EXPORT} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    for status in (503, 200):
        async with asyncio.timeout(30):
            while True:
                async with narrow.get(EXPORT) as answer:
                    if answer.status != status:
                        continue
                    if status == 503:
                        await problem_of(answer, 503, "too-many-readers")
                    break
    idle.close()
