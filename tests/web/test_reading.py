"""GET messages and GET of a session."""

from typing import Any

import pytest

from chatstream.core.commands import Cancel
from chatstream.core.errors import NotOwner, PartitionRefused, Restoring, TableBroken
from chatstream.core.ids import MessageId, SessionId
from chatstream.core.session import Failed
from tests.web.conftest import Client, problem_of, send
from tests.web.fake_desk import FakeDesk

ALICE = SessionId("alice")
MESSAGES = "/v1/sessions/alice/messages"


async def _get(client: Client, path: str) -> Any:
    async with client.get(path) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def _talk(client: Client, desk: FakeDesk, turns: int) -> None:
    for number in range(1, turns + 1):
        await send(client, f"question {number}")
        desk.end_turn(ALICE, f"answer {number}")


async def test_a_conversation_is_shown_in_order_with_what_became_of_each_message(client: Client, desk: FakeDesk) -> None:
    await send(client, "one", message_id="m-1")
    await send(client, "two")
    await send(client, "three", message_id="m-3")
    page = await _get(client, MESSAGES)
    assert [(item["text"], item["status"]) for item in page["data"]] == [
        ("one", "running"),
        ("two", "waiting"),
        ("three", "waiting"),
    ]
    desk.end_turn(ALICE, "first answer")
    desk.end_turn(ALICE, Failed(code="empty-reply", detail="nothing", attempts=5))
    desk.decide(ALICE, Cancel(command_id=MessageId("c-1")))
    page = await _get(client, MESSAGES + "?limit=3&after=0")
    assert [item["status"] for item in page["data"]] == ["answered", "failed", "cancelled"]
    page = await _get(client, MESSAGES + "?limit=3&after=3")
    replies = page["data"]
    assert [(item["role"], item["turn"], item["status"], item["text"]) for item in replies] == [
        ("assistant", 1, "completed", "first answer"),
        ("assistant", 2, "failed", ""),
        ("assistant", 3, "cancelled", ""),
    ]
    assert (replies[0]["message_id"], replies[0]["version"]) == ("m-1", 1)
    assert (replies[1]["code"], replies[1]["detail"], replies[1]["attempts"]) == ("empty-reply", "nothing", 5)
    assert replies[2]["by"] == "c-1"


async def test_the_newest_page_comes_first_and_leads_back_to_the_start(client: Client, desk: FakeDesk) -> None:
    await _talk(client, desk, 4)
    newest = await _get(client, MESSAGES + "?limit=3")
    assert [item["seq"] for item in newest["data"]] == [6, 7, 8]
    assert (newest["has_more"], newest["previous"], newest["next"]) == (True, 6, None)
    middle = await _get(client, MESSAGES + "?limit=3&before=6")
    assert [item["seq"] for item in middle["data"]] == [3, 4, 5]
    assert (middle["has_more"], middle["previous"], middle["next"]) == (True, 3, 5)
    oldest = await _get(client, MESSAGES + "?limit=3&before=3")
    assert [item["seq"] for item in oldest["data"]] == [1, 2]
    assert (oldest["has_more"], oldest["previous"], oldest["next"]) == (False, None, 2)


async def test_pages_lead_forward_to_the_end(client: Client, desk: FakeDesk) -> None:
    await _talk(client, desk, 4)
    seen = []
    after = 0
    while True:
        page = await _get(client, f"{MESSAGES}?limit=3&after={after}")
        seen += [item["seq"] for item in page["data"]]
        if page["next"] is None:
            break
        assert page["has_more"]
        after = page["next"]
    assert seen == [1, 2, 3, 4, 5, 6, 7, 8]
    assert not page["has_more"]


@pytest.mark.parametrize("query", ["after=8", "after=99", "before=0", "before=1"])
async def test_beyond_either_end_the_page_is_empty(client: Client, desk: FakeDesk, query: str) -> None:
    await _talk(client, desk, 4)
    page = await _get(client, f"{MESSAGES}?{query}")
    assert (page["data"], page["has_more"]) == ([], False)


async def test_before_a_seq_that_is_not_there_yet_is_the_newest_page(client: Client, desk: FakeDesk) -> None:
    await _talk(client, desk, 1)
    page = await _get(client, MESSAGES + "?before=9999999999999999")
    assert [item["seq"] for item in page["data"]] == [1, 2]


async def test_a_page_has_five_messages_at_most_and_by_default_here(client: Client, desk: FakeDesk) -> None:
    await _talk(client, desk, 4)
    assert len((await _get(client, MESSAGES))["data"]) == 5
    assert len((await _get(client, MESSAGES + "?limit=5"))["data"]) == 5


async def test_a_long_run_of_refusals_ends_a_page_early_and_loses_nothing(client: Client, desk: FakeDesk) -> None:
    await send(client, "one")
    for _ in range(12):
        async with client.post(MESSAGES, json={"text": "no", "on_busy": "reject"}) as answer:
            assert answer.status == 409
    desk.end_turn(ALICE)
    back = await _pages(client, "before", "previous", "limit=2")
    assert [item["seq"] for item in back] == [14, 1]
    assert [item["seq"] for item in await _pages(client, "after", "next", "limit=2&after=0")] == [1, 14]


async def _pages(client: Client, name: str, link: str, query: str) -> list[Any]:
    items: list[Any] = []
    for _ in range(10):
        page = await _get(client, f"{MESSAGES}?{query}")
        items += reversed(page["data"]) if name == "before" else page["data"]
        assert page["has_more"] == (page[link] is not None)
        if page[link] is None:
            return items
        query = f"limit=2&{name}={page[link]}"
    raise AssertionError("the pages do not end")


async def test_following_events_from_the_pages_offset_misses_nothing(client: Client, desk: FakeDesk) -> None:
    await _talk(client, desk, 1)
    offset = (await _get(client, MESSAGES))["offset"]
    await send(client, "two")
    events = await _get(client, f"/v1/sessions/alice/events?offset={offset}")
    assert [event["seq"] for event in events] == [3]


async def test_an_unchanged_conversation_is_304_and_a_changed_one_is_not(client: Client, desk: FakeDesk) -> None:
    await send(client, "one")
    async with client.get(MESSAGES) as answer:
        etag = answer.headers["ETag"]
        assert answer.headers["Cache-Control"] == "private, no-cache"
    for sent in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        async with client.get(MESSAGES, headers={"If-None-Match": sent}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")
    desk.end_turn(ALICE)
    async with client.get(MESSAGES, headers={"If-None-Match": etag}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("path", [MESSAGES, "/v1/sessions/alice"])
async def test_a_session_nobody_has_heard_of_is_404(client: Client, path: str) -> None:
    async with client.get(path) as answer:
        await problem_of(answer, 404, "no-such-session")


@pytest.mark.parametrize("path", [MESSAGES, "/v1/sessions/alice", "/v1/sessions/alice/events"])
@pytest.mark.parametrize(
    ("trouble", "status", "code"),
    [
        (NotOwner(1, "http://node-2:8080"), 421, "not-owner"),
        (NotOwner(1, None), 421, "not-owner"),
        (Restoring("reading"), 503, "restoring"),
        (PartitionRefused("chat.events was made again"), 503, "partition-refused"),
        (TableBroken("closed"), 503, "table-broken"),
    ],
)
async def test_reading_where_it_cannot_be_read_is_a_problem(
    client: Client, desk: FakeDesk, path: str, trouble: Exception, status: int, code: str
) -> None:
    desk.table_trouble = trouble
    async with client.get(path) as answer:
        body = await problem_of(answer, status, code)
    if isinstance(trouble, NotOwner):
        assert body["owner"] == trouble.url


async def test_an_idle_session(client: Client, desk: FakeDesk) -> None:
    await send(client, "x" * 100, user="ann")
    desk.end_turn(ALICE)
    overview = await _get(client, "/v1/sessions/alice")
    assert overview == {
        "session": "alice",
        "status": "idle",
        "title": "x" * 80,
        "user": "ann",
        "metadata": None,
        "system": "",
        "model": "",
        "running": None,
        "queue": [],
        "waiting": 0,
        "scheduled": [],
        "approval": None,
        "messages": 1,
        "replies": 1,
        "usage": {"input_tokens": 0, "output_tokens": 0},
        "state_bytes": 0,
        "created": "2026-11-23T12:00:00.000Z",
        "updated": "2026-11-23T12:00:00.000Z",
        "last_seq": 2,
        "offset": "0000000000000000_0000000000000002",
        "partition": desk.partition_of(ALICE),
        "owner": "node-1",
    }


async def test_a_busy_session_shows_its_running_turn_and_its_queue(client: Client, desk: FakeDesk) -> None:
    await send(client, "one", message_id="m-1")
    await send(client, "two", message_id="m-2")
    desk.attempt = 3
    overview = await _get(client, "/v1/sessions/alice")
    assert overview["status"] == "running"
    assert overview["running"] == {"turn": 1, "version": 1, "message_id": "m-1", "attempt": 3}
    assert overview["queue"] == [{"turn": 2, "message_id": "m-2", "position": 1}]
    desk.attempt = None
    overview = await _get(client, "/v1/sessions/alice")
    assert (overview["status"], overview["running"]["attempt"]) == ("waiting", None)


async def test_a_session_whose_last_turn_failed_says_so(client: Client, desk: FakeDesk) -> None:
    await send(client, "one")
    desk.end_turn(ALICE, Failed(code="empty-reply"))
    assert (await _get(client, "/v1/sessions/alice"))["status"] == "failed"


@pytest.mark.parametrize("path", [MESSAGES, "/v1/sessions/alice"])
async def test_head_has_the_headers_and_no_body(client: Client, path: str) -> None:
    await send(client, "one")
    async with client.head(path) as answer:
        assert (answer.status, answer.content_type, await answer.read()) == (200, "application/json", b"")
