"""GET /v1/sessions/{id}/events: catching up, and long polls."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from chatstream.core.errors import NotOwner, Restoring
from chatstream.core.ids import SessionId
from chatstream.core.limits import Limits
from chatstream.web.app import make_app
from chatstream.web.paging import read_page
from chatstream.web.server import HttpServer
from chatstream.web.settings import WebSettings
from chatstream.web.tokens import stream_cursor
from tests.web.conftest import Client, problem_of, send, start, until
from tests.web.fake_desk import FakeDesk

ALICE = SessionId("alice")
EVENTS = "/v1/sessions/alice/events"


def token(seq: int) -> str:
    return f"{0:016d}_{seq:016d}"


async def _talk(client: Client, desk: FakeDesk, turns: int) -> None:
    for number in range(1, turns + 1):
        await send(client, f"question {number}")
        desk.end_turn(ALICE, f"answer {number}")


# -- catching up --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["", "?offset=-1", f"?offset={token(0)}", "?offset=-1&utm=x&utm=y"])
async def test_catching_up_from_the_start_brings_every_event_as_logged(client: Client, desk: FakeDesk, query: str) -> None:
    await _talk(client, desk, 2)
    async with client.get(EVENTS + query) as answer:
        assert (answer.status, answer.content_type) == (200, "application/json")
        assert answer.headers["Stream-Next-Offset"] == token(4)
        assert answer.headers["Stream-Up-To-Date"] == "true"
        assert answer.headers["Cache-Control"] == "private, no-cache"
        raw = await answer.read()
        events = await answer.json()
    assert [(event["type"], event["seq"]) for event in events] == [
        ("message.accepted", 1),
        ("reply.completed", 2),
        ("message.accepted", 3),
        ("reply.completed", 4),
    ]
    assert raw.startswith(b'[{"type":"message.accepted","session":"alice","seq":1,')


async def test_pages_are_read_on_from_their_next_offset(client: Client, desk: FakeDesk) -> None:
    await _talk(client, desk, 4)
    async with client.get(EVENTS) as answer:
        assert [event["seq"] for event in await answer.json()] == [1, 2, 3, 4, 5]
        assert "Stream-Up-To-Date" not in answer.headers
        following = answer.headers["Stream-Next-Offset"]
    async with client.get(EVENTS, params={"offset": following}) as answer:
        assert [event["seq"] for event in await answer.json()] == [6, 7, 8]
        assert answer.headers["Stream-Up-To-Date"] == "true"


async def test_a_full_last_page_is_up_to_date_until_there_is_more(client: Client, desk: FakeDesk) -> None:
    await _talk(client, desk, 2)
    await send(client, "fifth")
    async with client.get(EVENTS) as answer:
        assert answer.headers["Stream-Up-To-Date"] == "true"
        etag = answer.headers["ETag"]
    desk.end_turn(ALICE)
    async with client.get(EVENTS, headers={"If-None-Match": etag}) as answer:
        assert answer.status == 200
        assert "Stream-Up-To-Date" not in answer.headers


async def test_at_the_end_there_is_an_empty_page(client: Client, desk: FakeDesk) -> None:
    await _talk(client, desk, 1)
    async with client.get(EVENTS, params={"offset": token(2)}) as answer:
        assert (await answer.json(), answer.headers["Stream-Next-Offset"]) == ([], token(2))
        assert answer.headers["Stream-Up-To-Date"] == "true"


async def test_a_session_nobody_has_heard_of_is_an_empty_stream(client: Client) -> None:
    async with client.get(EVENTS) as answer:
        assert (answer.status, await answer.json(), answer.headers["Stream-Next-Offset"]) == (200, [], token(0))


async def test_now_skips_what_there_is(client: Client, desk: FakeDesk) -> None:
    await _talk(client, desk, 1)
    async with client.get(EVENTS + "?offset=now") as answer:
        assert (await answer.json(), answer.headers["Stream-Next-Offset"]) == ([], token(2))
        assert (answer.headers["Stream-Up-To-Date"], answer.headers["Cache-Control"]) == ("true", "no-store")
        assert "ETag" not in answer.headers


async def test_the_same_events_again_are_304(client: Client, desk: FakeDesk) -> None:
    await _talk(client, desk, 1)
    async with client.get(EVENTS) as answer:
        etag = answer.headers["ETag"]
    async with client.get(EVENTS, headers={"If-None-Match": etag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
        assert answer.headers["Stream-Next-Offset"] == token(2)
    await send(client, "more")
    async with client.get(EVENTS, headers={"If-None-Match": etag}) as answer:
        assert answer.status == 200


async def test_catching_up_beyond_this_nodes_end_is_503(client: Client, desk: FakeDesk) -> None:
    await _talk(client, desk, 1)
    async with client.get(EVENTS, params={"offset": token(3)}) as answer:
        await problem_of(answer, 503, "behind")


@pytest.mark.parametrize("query", ["", "?offset=-1&live=long-poll", "?offset=now&live=long-poll"])
async def test_head_tells_the_end_and_never_waits(desk: FakeDesk, limits: Limits, settings: WebSettings, query: str) -> None:
    async with start(desk, limits, replace(settings, poll_s=3600.0)) as client:
        await _talk(client, desk, 1)
        async with client.head(EVENTS + query) as answer:
            assert (answer.status, answer.content_type, await answer.read()) == (200, "application/json", b"")
            assert answer.headers["Stream-Next-Offset"] == token(2)


# -- long polls ---------------------------------------------------------------------------------------------------


@pytest.fixture
def patient(settings: WebSettings) -> WebSettings:
    """Polls that only an event, or the end of the node, can end within a test."""
    return replace(settings, poll_s=3600.0)


async def _poll(client: Client, offset: str, **params: str) -> tuple[int, list[int], Mapping[str, str]]:
    async with client.get(EVENTS, params={"offset": offset, "live": "long-poll", **params}) as answer:
        events = await answer.json() if answer.status == 200 else []
        return answer.status, [event["seq"] for event in events], answer.headers


async def test_a_poll_brings_what_is_there_at_once(client: Client, desk: FakeDesk) -> None:
    await _talk(client, desk, 1)
    status, seqs, headers = await _poll(client, "-1")
    assert (status, seqs, headers["Stream-Next-Offset"], headers["Stream-Up-To-Date"]) == (200, [1, 2], token(2), "true")
    assert headers["Stream-Cursor"].isdigit()
    assert "ETag" in headers


@pytest.mark.parametrize(("offset", "expected"), [(token(2), [3]), ("now", [3]), (token(3), [4])])
async def test_a_poll_is_woken_by_an_event(
    desk: FakeDesk, limits: Limits, patient: WebSettings, offset: str, expected: list[int]
) -> None:
    async with start(desk, limits, patient) as client:
        await _talk(client, desk, 1)
        polling = asyncio.create_task(_poll(client, offset))
        await until(lambda: len(desk.feed) == 1)
        await send(client, "three")
        if expected == [4]:
            assert not polling.done()
            desk.end_turn(ALICE)
        assert (await polling)[:2] == (200, expected)
        assert len(desk.feed) == 0


async def test_a_poll_on_a_session_nobody_has_heard_of_sees_its_first_event(
    desk: FakeDesk, limits: Limits, patient: WebSettings
) -> None:
    async with start(desk, limits, patient) as client:
        polling = asyncio.create_task(_poll(client, "-1"))
        await until(lambda: len(desk.feed) == 1)
        await send(client, "first")
        assert (await polling)[1] == [1]


async def test_a_poll_is_not_ended_by_other_sessions(desk: FakeDesk, limits: Limits, patient: WebSettings) -> None:
    async with start(desk, limits, patient) as client:
        polling = asyncio.create_task(_poll(client, "now"))
        await until(lambda: len(desk.feed) == 1)
        for number in range(20):
            await send(client, "hi", session=f"other-{number}")
        assert not polling.done()
        await send(client, "hi")
        assert (await polling)[1] == [1]


async def test_an_event_between_reading_and_waiting_is_not_missed(
    desk: FakeDesk, limits: Limits, patient: WebSettings, monkeypatch: Any
) -> None:
    sent: list[bool] = []

    def read_then_event(*args: Any) -> Any:
        page = read_page(*args)
        if not sent:
            sent.append(True)
            desk.end_turn(ALICE, "just then")
        return page

    async with start(desk, limits, patient) as client:
        await send(client, "one")
        monkeypatch.setattr("chatstream.web.events.read_page", read_then_event)
        assert (await _poll(client, token(1)))[:2] == (200, [2])


@pytest.mark.parametrize(("offset", "expected"), [(token(2), 2), ("now", 2), (token(7), 7)])
async def test_a_poll_without_news_ends_with_204_and_never_goes_back(
    client: Client, desk: FakeDesk, offset: str, expected: int
) -> None:
    await _talk(client, desk, 1)
    status, _, headers = await _poll(client, offset)
    assert (status, headers["Stream-Next-Offset"], headers["Stream-Up-To-Date"]) == (204, token(expected), "true")
    assert headers["Stream-Cursor"].isdigit()
    assert headers["Cache-Control"] == "no-store"
    assert len(desk.feed) == 0


async def test_the_cursor_always_moves_on(client: Client) -> None:
    _, _, first = await _poll(client, "now")
    _, _, second = await _poll(client, "now", cursor=first["Stream-Cursor"])
    assert int(second["Stream-Cursor"]) > int(first["Stream-Cursor"])


def test_the_cursor_counts_twenty_seconds_since_october_2024() -> None:
    now_s = 1_728_432_000 + 20 * 500 + 3

    def most(_: int, high: int) -> int:
        return high

    assert stream_cursor(None, now_s) == "500"
    assert stream_cursor("499", now_s) == "500"
    assert stream_cursor("500", now_s, most) == "680"
    assert stream_cursor("900", now_s, most) == "1080"
    for unreadable in ("", "-1", "abc", "1" * 5000):
        assert stream_cursor(unreadable, now_s) == "500"


async def test_a_partition_that_moves_away_ends_the_poll_with_its_owner(
    desk: FakeDesk, limits: Limits, patient: WebSettings
) -> None:
    async with start(desk, limits, patient) as client:
        polling = asyncio.create_task(client.get(EVENTS, params={"offset": "now", "live": "long-poll"}))
        await until(lambda: len(desk.feed) == 1)
        desk.table_trouble = NotOwner(1, "http://node-2:8080")
        desk.feed.wake_all()
        async with await polling as answer:
            assert (await problem_of(answer, 421, "not-owner"))["owner"] == "http://node-2:8080"


async def test_a_poll_outlasts_a_restore(desk: FakeDesk, limits: Limits, patient: WebSettings) -> None:
    async with start(desk, limits, patient) as client:
        await send(client, "one")
        polling = asyncio.create_task(_poll(client, token(1)))
        await until(lambda: len(desk.feed) == 1)
        desk.table_trouble = Restoring("claiming again")
        looks = desk.looks
        desk.feed.wake_all()
        await until(lambda: desk.looks > looks)
        desk.table_trouble = None
        desk.end_turn(ALICE)
        assert (await polling)[1] == [2]


async def test_one_reader_more_than_there_may_be_is_refused(desk: FakeDesk, limits: Limits, patient: WebSettings) -> None:
    async with start(desk, limits, patient) as client:
        polling = [asyncio.create_task(_poll(client, "now")) for _ in range(limits.readers)]
        await until(lambda: len(desk.feed) == limits.readers)
        async with client.get(EVENTS, params={"offset": "now", "live": "long-poll"}) as answer:
            await problem_of(answer, 503, "too-many-readers")
        await send(client, "hi")
        assert [seqs for _, seqs, _ in await asyncio.gather(*polling)] == [[1]] * limits.readers


async def test_a_client_that_leaves_frees_its_place(desk: FakeDesk, limits: Limits, patient: WebSettings) -> None:
    async with start(desk, limits, patient) as client:
        polling = asyncio.create_task(_poll(client, "now"))
        await until(lambda: len(desk.feed) == 1)
        polling.cancel()
        await until(lambda: len(desk.feed) == 0)


async def test_shutdown_answers_everyone_who_waits(desk: FakeDesk, limits: Limits, patient: WebSettings) -> None:
    server = HttpServer(make_app(desk, limits, patient), "127.0.0.1", 0)
    await server.start()
    async with Client(f"http://127.0.0.1:{server.port}") as client:
        polling = asyncio.create_task(_poll(client, "now"))
        prefer = {"Prefer": "wait=50"}
        posting = asyncio.create_task(client.post("/v1/sessions/bob/messages", json={"text": "hi"}, headers=prefer))
        await until(lambda: len(desk.feed) == 2 and desk.last_seq("bob") == 1)
        await server.close()
        assert (await polling)[0] == 204
        async with await posting as answer:
            assert (answer.status, (await answer.json())["seq"]) == (202, 1)
        assert len(desk.feed) == 0


async def test_a_stopping_node_takes_no_new_waits_but_brings_what_is_there(client: Client, desk: FakeDesk) -> None:
    await send(client, "one")
    desk.stopping = True
    assert (await _poll(client, "-1"))[:2] == (200, [1])
    async with client.get(EVENTS, params={"offset": token(1), "live": "long-poll"}) as answer:
        await problem_of(answer, 503, "stopping")
