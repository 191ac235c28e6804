"""GET /v1/sessions: what is listed, in which order, page by page, and from whom."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from msgspec.structs import replace

from chatstream.core.events import AnyEvent, MessageAccepted, SessionErased
from chatstream.core.ids import MessageId, PartitionNo, Seq, SessionId
from chatstream.core.limits import Limits
from chatstream.core.session import Failed
from chatstream.web.app import make_app
from chatstream.web.server import HttpServer
from chatstream.web.settings import WebSettings
from tests.web.conftest import Client, problem_of, send, start
from tests.web.fake_desk import FakeDesk

LIST = "/v1/sessions"


def said(session: str, minute: int, text: str = "hi", user: str = "", seq: int = 1) -> AnyEvent:
    """A message of a session at some minute of an hour."""
    return MessageAccepted(
        session=SessionId(session),
        seq=Seq(seq),
        time=f"2026-11-23T11:{minute:02}:00.000Z",
        turn=Seq(seq),
        message_id=MessageId(f"m-{seq}"),
        user=user,
        text=text,
    )


async def ask(client: Client, **query: str) -> dict[str, Any]:
    async with client.get(LIST, params=query) as answer:
        body: dict[str, Any] = await answer.json()
        assert answer.status == 200, body
        assert answer.headers["Cache-Control"] == "private, no-cache"
        assert body["has_more"] == (body["next"] is not None)
        return body


async def names(client: Client, **query: str) -> list[str]:
    return [one["session"] for one in (await ask(client, **query))["data"]]


async def all_names(client: Client, **query: str) -> list[list[str]]:
    """Page by page, to the end."""
    pages = []
    while True:
        page = await ask(client, **query)
        pages.append([one["session"] for one in page["data"]])
        if page["next"] is None:
            return pages
        query["cursor"] = page["next"]


async def everything(client: Client, **query: str) -> list[str]:
    return [name for page in await all_names(client, **query) for name in page]


async def test_no_sessions_are_an_empty_page(client: Client) -> None:
    assert await ask(client) == {"data": [], "has_more": False, "next": None, "incomplete": []}


async def test_a_session_is_listed_with_what_it_is_doing(client: Client, desk: FakeDesk) -> None:
    await send(client, "what is new?", user="ann")
    await send(client, "and then?")
    assert (await ask(client))["data"] == [
        {
            "session": "alice",
            "status": "running",
            "title": "what is new?",
            "user": "ann",
            "messages": 2,
            "replies": 0,
            "waiting": 1,
            "created": "2026-11-23T12:00:00.000Z",
            "updated": "2026-11-23T12:00:00.000Z",
            "last_seq": 2,
            "partition": desk.partition_of(SessionId("alice")),
        }
    ]


async def test_the_newest_activity_comes_first_across_partitions(client: Client, desk: FakeDesk) -> None:
    for minute, name in enumerate(["one", "two", "three", "four", "five"]):
        desk.fold(said(name, minute))
    assert len({desk.partition_of(SessionId(name)) for name in ("one", "two", "three", "four", "five")}) > 1
    assert await names(client) == ["five", "four", "three", "two", "one"]
    desk.fold(said("two", 30, seq=2))
    assert await names(client) == ["two", "five", "four", "three", "one"]


async def test_sessions_of_one_moment_stand_by_their_ids_and_pages_do_not_lose_them(client: Client, desk: FakeDesk) -> None:
    for name in ("c", "a", "e", "b", "d"):
        desk.fold(said(name, 1))
    assert await all_names(client, limit="2") == [["a", "b"], ["c", "d"], ["e"]]


async def test_a_page_of_exactly_what_there_is_is_the_last(client: Client, desk: FakeDesk) -> None:
    for minute, name in enumerate("abcd"):
        desk.fold(said(name, minute))
    assert await all_names(client, limit="2") == [["d", "c"], ["b", "a"]]


async def test_paging_on_neither_repeats_nor_skips_while_sessions_go_on(client: Client, desk: FakeDesk) -> None:
    for minute, name in enumerate("abcdef"):
        desk.fold(said(name, minute))
    first = await ask(client, limit="2")
    assert [one["session"] for one in first["data"]] == ["f", "e"]
    desk.fold(said("c", 20, seq=2))
    desk.fold(said("f", 21, seq=2))
    desk.fold(said("new", 22))
    assert await all_names(client, limit="2", cursor=first["next"]) == [["d", "b"], ["a"]]
    assert await names(client, limit="3") == ["new", "f", "c"]


async def test_by_status(client: Client, desk: FakeDesk) -> None:
    desk.fold(said("runs", 1))
    desk.fold(said("done", 2))
    desk.end_turn(SessionId("done"))
    desk.fold(said("failed", 3))
    desk.end_turn(SessionId("failed"), Failed(code="empty-reply"))
    assert await names(client, status="running") == ["runs"]
    assert await names(client, status="waiting") == []
    assert await names(client, status="idle") == ["done"]
    assert await names(client, status="failed") == ["failed"]
    assert await names(client, status="parked") == []
    assert set(await names(client, status="idle,failed")) == {"done", "failed"}
    desk.attempt = None
    assert await names(client, status="waiting") == ["runs"]
    assert await names(client, status="running") == []


async def test_by_user_and_by_the_beginning_of_the_id(client: Client, desk: FakeDesk) -> None:
    desk.fold(said("shop-1", 1, user="ann"))
    desk.fold(said("shop-2", 2, user="bob"))
    desk.fold(said("help-1", 3, user="ann"))
    desk.fold(said("help-2", 4, user="ann/b"))
    assert await names(client, user="ann") == ["help-1", "shop-1"]
    assert await names(client, user="ann/b") == ["help-2"]
    assert await names(client, user="nobody") == []
    assert await names(client, prefix="shop-") == ["shop-2", "shop-1"]
    assert await names(client, prefix="shop-", user="ann") == ["shop-1"]
    assert await names(client, prefix=".") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("wea", ["b", "a"]),
        ("WEATHER", ["b", "a"]),
        ("eather", []),
        ("rainy wea", ["a"]),
        ("wea zz", []),
        ("STRASSE", ["c"]),
        ("?!", ["c", "b", "a"]),
        ("", ["c", "b", "a"]),
    ],
)
async def test_by_the_beginnings_of_words_of_the_title(client: Client, desk: FakeDesk, text: str, found: list[str]) -> None:
    desk.fold(said("a", 1, text="Rainy weather, again"))
    desk.fold(said("b", 2, text="weather?"))
    desk.fold(said("c", 3, text="auf der Straße"))
    assert await names(client, q=text) == found


async def test_an_erased_session_is_not_listed(client: Client, desk: FakeDesk) -> None:
    desk.fold(said("a", 1, user="ann"))
    desk.fold(said("b", 2, user="ann"))
    desk.fold(SessionErased(session=SessionId("b"), seq=Seq(2), time="2026-11-23T11:30:00.000Z"))
    for query in ({}, {"user": "ann"}, {"prefix": "b"}, {"status": "idle,running"}):
        assert "b" not in await names(client, **query)
    assert await names(client) == ["a"]


@pytest.mark.parametrize(("rows", "pages"), [(20, [["last"]]), (19, [[], ["last"]])])
async def test_a_page_ends_early_where_its_rows_are_spent_and_goes_on_from_there(
    desk: FakeDesk, limits: Limits, settings: WebSettings, rows: int, pages: list[list[str]]
) -> None:
    desk.fold(said("last", 0, text="wanted"))
    for minute in range(1, 20):
        desk.fold(said(f"s{minute}", minute))
    async with start(desk, replace(limits, listed_rows=rows), settings) as client:
        assert await all_names(client, q="want") == pages


async def test_where_many_could_fit_the_list_is_walked_along_and_nothing_is_lost(
    desk: FakeDesk, limits: Limits, settings: WebSettings
) -> None:
    for minute in range(30):
        desk.fold(said(f"s{minute:02}", minute, user="ann"))
    async with start(desk, replace(limits, listed_rows=9), settings) as client:
        for query in ({"user": "ann"}, {"prefix": "s"}, {"status": "running"}):
            found = await all_names(client, **query)
            assert [name for page in found for name in page] == [f"s{minute:02}" for minute in reversed(range(30))]
            assert max(map(len, found)) == 1


WRONG = [
    ("status=busy", "bad-parameter"),
    ("status=idle,", "bad-parameter"),
    ("status=idle&status=idle", "bad-parameter"),
    ("user=" + "u" * 201, "bad-parameter"),
    ("prefix=a%2Fb", "bad-parameter"),
    ("prefix=" + "a" * 201, "bad-parameter"),
    ("q=" + "a" * 201, "bad-parameter"),
    ("limit=0", "bad-parameter"),
    ("limit=6", "bad-parameter"),
    ("limit=x", "bad-parameter"),
    ("limit=" + "1" * 5000, "bad-parameter"),
    ("cursor=x", "bad-cursor"),
    ("cursor=%C3%A4", "bad-cursor"),
    ("cursor=YQ", "bad-cursor"),
    ("cursor=YS9h=", "bad-cursor"),
    ("cursor=YS9iL2M", "bad-cursor"),
    ("cursor=" + "A" * 5000, "bad-cursor"),
    ("scope=mine", "bad-parameter"),
]


@pytest.mark.parametrize(("query", "code"), WRONG)
async def test_a_wrong_query_is_refused(client: Client, query: str, code: str) -> None:
    async with client.get(f"{LIST}?{query}") as answer:
        await problem_of(answer, 400, code)


async def test_at_the_limits_a_query_is_taken(client: Client) -> None:
    for query in ("user=" + "u" * 200, "prefix=" + "a" * 200, "q=" + "a" * 200, "limit=5", "cursor=", "more=1&more=2"):
        async with client.get(f"{LIST}?{query}") as answer:
            assert answer.status == 200, await answer.text()


# -- several nodes ----------------------------------------------------------------------------------------------------


@pytest.fixture
def other(limits: Limits) -> FakeDesk:
    """A second node, which serves what the first does not."""
    return FakeDesk(limits)


@asynccontextmanager
async def served(desk: FakeDesk, limits: Limits, settings: WebSettings) -> AsyncIterator[str]:
    """A node that serves meanwhile; its URL."""
    server = HttpServer(make_app(desk, limits, settings), "127.0.0.1", 0)
    await server.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        await server.close()


def _split(desk: FakeDesk, other: FakeDesk, url: str) -> list[str]:
    """Two partitions each; sessions on both. Returns their ids, newest first."""
    desk.elsewhere = {PartitionNo(2): url, PartitionNo(3): url}
    other.elsewhere = {PartitionNo(0): None, PartitionNo(1): None}
    folded = []
    for minute in range(12):
        name = f"s{minute:02}"
        home = other if desk.partition_of(SessionId(name)) >= 2 else desk
        home.fold(said(name, minute, text=f"number {minute}", user="ann" if minute % 2 else ""))
        folded.append(name)
    assert len({desk.partition_of(SessionId(name)) >= 2 for name in folded}) == 2
    return folded[::-1]


async def test_sessions_of_other_nodes_are_among_them(
    desk: FakeDesk, other: FakeDesk, limits: Limits, settings: WebSettings
) -> None:
    async with start(desk, limits, settings) as client, served(other, limits, settings) as url:
        everyone = _split(desk, other, url)
        assert await everything(client, limit="5") == everyone
        assert await everything(client, user="ann", limit="2") == [name for name in everyone if int(name[1:]) % 2]
        assert await names(client, q="number 7") == ["s07"]
        assert (await ask(client))["incomplete"] == []
        alone = await ask(client, scope="node")
        assert alone["incomplete"] == [2, 3]
        assert all(one["partition"] < 2 for one in alone["data"])


async def test_where_one_node_looked_less_far_nothing_is_skipped(
    desk: FakeDesk, other: FakeDesk, limits: Limits, settings: WebSettings
) -> None:
    few = replace(limits, listed_rows=1)
    async with start(desk, limits, settings) as client, served(other, few, settings) as url:
        everyone = _split(desk, other, url)
        assert await everything(client, limit="5") == everyone
        assert await everything(client, q="number", limit="5") == everyone


async def test_partitions_that_nobody_is_known_to_serve_are_said_to_be_missing(client: Client, desk: FakeDesk) -> None:
    desk.elsewhere = {PartitionNo(1): None}
    assert (await ask(client))["incomplete"] == [1]


@pytest.mark.parametrize("kind", ["nothing", "refusal", "text", "wrong", "endless", "bad-cursor", "silence"])
async def test_a_node_that_cannot_be_asked_is_left_out_and_said_to_be(
    desk: FakeDesk, limits: Limits, settings: WebSettings, kind: str
) -> None:
    here = next(name for name in map(str, range(100)) if desk.partition_of(SessionId(name)) < 2)
    asked = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.set()
        match kind:
            case "refusal":
                return web.json_response({"code": "stopping"}, status=503)
            case "text":
                return web.Response(text="hello")
            case "wrong":
                return web.json_response({"data": [{"session": "a"}], "has_more": False, "next": None, "incomplete": []})
            case "bad-cursor":
                return web.json_response({"data": [], "has_more": True, "next": "?", "incomplete": []})
            case "endless":
                answer = web.StreamResponse()
                await answer.prepare(request)
                while True:
                    await answer.write(b" " * 65536)
            case _:
                await asyncio.Event().wait()
                raise AssertionError

    app = web.Application()
    app.router.add_get(LIST, handler)
    theirs = HttpServer(app, "127.0.0.1", 0)
    await theirs.start()
    url = "http://127.0.0.1:1" if kind == "nothing" else f"http://127.0.0.1:{theirs.port}"
    desk.elsewhere = {PartitionNo(2): url, PartitionNo(3): url}
    desk.fold(said(here, 0))
    brief = replace(settings, peers_s=0.2 if kind == "silence" else 10.0)
    try:
        async with start(desk, limits, brief) as client:
            page = await ask(client)
            assert ([one["session"] for one in page["data"]], page["incomplete"]) == ([here], [2, 3])
            assert asked.is_set() or kind == "nothing"
    finally:
        await theirs.close()


async def test_another_node_is_asked_once_for_all_its_partitions_under_the_same_request_id(
    desk: FakeDesk, limits: Limits, settings: WebSettings
) -> None:
    seen: list[tuple[str, str]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.query_string, request.headers["X-Request-Id"]))
        return web.json_response({"data": [], "has_more": False, "next": None, "incomplete": [0, 1]})

    app = web.Application()
    app.router.add_get(LIST, handler)
    theirs = HttpServer(app, "127.0.0.1", 0)
    await theirs.start()
    desk.elsewhere = {PartitionNo(number): f"http://127.0.0.1:{theirs.port}" for number in (1, 2, 3)}
    try:
        async with start(desk, limits, settings) as client:
            query = {"q": "a&b=1", "status": "idle", "limit": "3", "x": "y"}
            async with client.get(LIST, params=query, headers={"X-Request-Id": "r-1"}) as answer:
                assert (await answer.json())["incomplete"] == [1]
    finally:
        await theirs.close()
    assert seen == [("q=a%26b%3D1&status=idle&limit=3&scope=node", "r-1")]
