"""GET /v1/sessions/{id}/events?live=sse: one event after another on one connection."""

import asyncio
import contextlib
from typing import Any

import pytest
from aiohttp import ClientPayloadError
from msgspec.structs import replace

from chatstream.core.errors import NotOwner, Restoring
from chatstream.core.events import MessageAccepted
from chatstream.core.ids import Seq, SessionId
from chatstream.core.limits import Limits
from chatstream.web.app import make_app
from chatstream.web.server import HttpServer
from chatstream.web.settings import SseTimes, WebSettings
from tests.web.conftest import Client, problem_of, send, start, until
from tests.web.fake_desk import NOW, FakeDesk
from tests.web.frames import Frames

ALICE = SessionId("alice")
EVENTS = "/v1/sessions/alice/events"


def token(seq: int) -> str:
    return f"{0:016d}_{seq:016d}"


@pytest.fixture
def lasting(settings: WebSettings) -> WebSettings:
    """Streams that live longer than any test."""
    return replace(settings, sse=SseTimes(shortest_s=3600.0, longest_s=3600.0, heartbeat_s=3600.0))


@pytest.fixture
def brief(settings: WebSettings) -> WebSettings:
    """Streams that end soon."""
    return replace(settings, sse=SseTimes(shortest_s=0.05, longest_s=0.06, heartbeat_s=0.01))


def _open(client: Client, offset: str, **headers: str) -> Any:
    return client.get(EVENTS, params={"offset": offset, "live": "sse"}, headers=headers)


async def _talk(client: Client, desk: FakeDesk, turns: int) -> None:
    for number in range(1, turns + 1):
        await send(client, f"question {number}")
        desk.end_turn(ALICE, f"answer {number}\r\nwith lines\n\nand \u2028 more")


async def test_what_is_there_comes_first_and_then_what_happens(desk: FakeDesk, limits: Limits, lasting: WebSettings) -> None:
    async with start(desk, limits, lasting) as client:
        await _talk(client, desk, 1)
        async with _open(client, "-1") as answer:
            assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
            assert (answer.headers["Cache-Control"], answer.headers["X-Accel-Buffering"]) == ("no-cache", "no")
            assert "Content-Encoding" not in answer.headers
            assert answer.headers["X-Request-Id"]
            frames = Frames(answer)
            event, data, event_id = await frames.next()
            assert (event, [item["seq"] for item in data], event_id) == ("data", [1, 2], "")
            assert data[1]["text"] == "answer 1\r\nwith lines\n\nand \u2028 more"
            event, control, event_id = await frames.next()
            assert (event, event_id) == ("control", token(2))
            assert (control["streamNextOffset"], control["upToDate"]) == (token(2), True)
            assert control["streamCursor"].isdigit()
            await send(client, "two")
            assert [item["seq"] for item in (await frames.next())[1]] == [3]
            later = (await frames.next())[1]
            assert later["streamNextOffset"] == token(3)
            assert int(later["streamCursor"]) >= int(control["streamCursor"])


@pytest.mark.parametrize(("offset", "end"), [("now", 2), (token(2), 2), (token(9), 9)])
async def test_a_reader_at_the_end_is_told_so_at_once(
    desk: FakeDesk, limits: Limits, lasting: WebSettings, offset: str, end: int
) -> None:
    async with start(desk, limits, lasting) as client:
        await _talk(client, desk, 1)
        async with _open(client, offset) as answer:
            event, control, event_id = await Frames(answer).next()
            assert (event, control["streamNextOffset"], control["upToDate"], event_id) == (
                "control",
                token(end),
                True,
                token(end),
            )


async def test_a_long_history_comes_in_pages(desk: FakeDesk, limits: Limits, lasting: WebSettings) -> None:
    async with start(desk, limits, lasting) as client:
        await _talk(client, desk, 4)
        async with _open(client, "-1") as answer:
            frames = Frames(answer)
            assert [item["seq"] for item in (await frames.next())[1]] == [1, 2, 3, 4, 5]
            assert "upToDate" not in (await frames.next())[1]
            assert [item["seq"] for item in (await frames.next())[1]] == [6, 7, 8]
            assert (await frames.next())[1]["upToDate"] is True


@pytest.mark.parametrize(("brought", "expected"), [(token(3), [4]), ("nonsense", [2, 3, 4])])
async def test_a_browser_that_reconnects_goes_on_where_it_was(
    desk: FakeDesk, limits: Limits, lasting: WebSettings, brought: str, expected: list[int]
) -> None:
    async with start(desk, limits, lasting) as client:
        await _talk(client, desk, 2)
        async with _open(client, token(1), **{"Last-Event-ID": brought}) as answer:
            assert [item["seq"] for item in (await Frames(answer).next())[1]] == expected


async def test_a_stream_ends_by_itself_with_heartbeats_until_then(desk: FakeDesk, limits: Limits, brief: WebSettings) -> None:
    async with start(desk, limits, brief) as client:
        async with _open(client, "now") as answer:
            frames = Frames(answer)
            events = [(await frames.next())[0]]
            while events[-1] != "end":
                events.append((await frames.next())[0])
        assert events[0] == "control"
        assert "" in events
        assert set(events) == {"control", "", "end"}
        assert len(desk.feed) == 0


async def test_a_partition_that_moves_away_ends_the_stream(desk: FakeDesk, limits: Limits, lasting: WebSettings) -> None:
    async with start(desk, limits, lasting) as client, _open(client, "now") as answer:
        frames = Frames(answer)
        await frames.next()
        desk.table_trouble = NotOwner(1, "http://node-2:8080")
        desk.feed.wake_all()
        assert (await frames.next())[2] == "ended: moved"
        assert (await frames.next())[0] == "end"
        async with _open(client, "now") as again:
            await problem_of(again, 421, "not-owner")


async def test_a_stream_outlasts_a_restore(desk: FakeDesk, limits: Limits, lasting: WebSettings) -> None:
    async with start(desk, limits, lasting) as client, _open(client, "now") as answer:
        frames = Frames(answer)
        await frames.next()
        desk.table_trouble = Restoring("claiming again")
        looks = desk.looks
        desk.feed.wake_all()
        await until(lambda: desk.looks > looks)
        desk.table_trouble = None
        await send(client, "one")
        assert [item["seq"] for item in (await frames.next())[1]] == [1]


async def test_a_client_that_leaves_frees_its_place(desk: FakeDesk, limits: Limits, lasting: WebSettings) -> None:
    async with start(desk, limits, lasting) as client:
        answer = await _open(client, "now")
        await Frames(answer).next()
        assert len(desk.feed) == 1
        answer.close()
        await until(lambda: len(desk.feed) == 0)


async def test_one_stream_more_than_there_may_be_is_refused(desk: FakeDesk, limits: Limits, lasting: WebSettings) -> None:
    async with start(desk, limits, lasting) as client:
        answers = [await _open(client, "now") for _ in range(limits.readers)]
        async with _open(client, "now") as answer:
            await problem_of(answer, 503, "too-many-readers")
        for answer in answers:
            answer.close()


async def test_shutdown_ends_every_stream(desk: FakeDesk, limits: Limits, lasting: WebSettings) -> None:
    server = HttpServer(make_app(desk, limits, lasting), "127.0.0.1", 0)
    await server.start()
    async with Client(f"http://127.0.0.1:{server.port}") as client, _open(client, "now") as answer:
        frames = Frames(answer)
        await frames.next()
        await server.close()
        assert (await frames.next())[2] == "ended: stopping"
        assert (await frames.next())[0] == "end"
        assert len(desk.feed) == 0


async def test_a_stopping_node_opens_no_stream(client: Client, desk: FakeDesk) -> None:
    desk.stopping = True
    async with _open(client, "-1") as answer:
        await problem_of(answer, 503, "stopping")


async def test_a_reader_that_stops_reading_is_dropped(desk: FakeDesk, limits: Limits, settings: WebSettings) -> None:
    settings = replace(settings, sse=SseTimes(shortest_s=3600.0, longest_s=3600.0, write_s=0.05, write_grace_s=0.05))
    # More than the sockets between us hold.
    desk.fold(MessageAccepted(session=ALICE, seq=Seq(1), time=NOW, turn=Seq(1), text="a" * 30_000_000))
    server = HttpServer(make_app(desk, limits, settings), "127.0.0.1", 0)
    await server.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"GET {EVENTS}?offset=-1&live=sse HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await until(lambda: len(desk.feed) == 1)
        await until(lambda: len(desk.feed) == 0)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := await reader.read(2**20):
                received += chunk
        assert len(received) < 30_000_000
        writer.close()
    finally:
        await server.close()


async def test_a_bug_in_the_middle_of_a_stream_breaks_it_off(
    desk: FakeDesk, limits: Limits, lasting: WebSettings, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with start(desk, limits, lasting) as client, _open(client, "now") as answer:
        frames = Frames(answer)
        await frames.next()

        def fail(*_: object) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr("chatstream.web.following.read_page", fail)
        await send(client, "one")
        with pytest.raises(ClientPayloadError):
            await frames.next()
        assert len(desk.feed) == 0
        assert "RuntimeError: a bug" in caplog.text
