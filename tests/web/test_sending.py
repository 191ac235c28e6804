"""POST /v1/sessions/{id}/messages."""

import asyncio
from typing import Any

import pytest

from chatstream.core.errors import LogUnavailable, NotOwner, OutcomeUnknown, QueueFull, RecordTooLarge, Restoring
from chatstream.core.ids import SessionId
from chatstream.core.session import Failed
from chatstream.engine.desk import Refused, Unnumbered
from tests.web.conftest import Client, problem_of, send, until
from tests.web.fake_desk import FakeDesk

ALICE = SessionId("alice")
MESSAGES = "/v1/sessions/alice/messages"


async def test_a_first_message_runs_at_once(client: Client) -> None:
    async with client.post(MESSAGES, json={"text": "hello"}) as answer:
        body = await answer.json()
        assert answer.status == 202
    assert {key: body[key] for key in ("session", "seq", "status", "position")} == {
        "session": "alice",
        "seq": 1,
        "status": "running",
        "position": 0,
    }
    assert len(body["message_id"]) == 32
    async with client.get(answer.headers["Location"]) as found:
        assert (await found.json())["data"][0]["text"] == "hello"


async def test_a_second_message_waits_behind_the_first(client: Client) -> None:
    await send(client, "one")
    second = await send(client, "two")
    assert (second["status"], second["position"], second["seq"]) == ("waiting", 1, 2)


async def test_plain_text_is_a_message_even_if_it_looks_like_json(client: Client, desk: FakeDesk) -> None:
    async with client.post(MESSAGES, data=b'{"text": "no"}', headers={"Content-Type": "text/plain"}) as answer:
        assert answer.status == 202
    assert desk.submitted[0].text == '{"text": "no"}'  # type: ignore[union-attr]  # a message was sent


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=UTF-8", None])
async def test_json_is_taken_with_its_type_or_without_any(client: Client, desk: FakeDesk, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    skip = ["Content-Type"] if content_type is None else []
    async with client.post(MESSAGES, data=b' {"text": "hi"}', headers=headers, skip_auto_headers=skip) as answer:
        assert answer.status == 202
    assert desk.submitted[0].text == "hi"  # type: ignore[union-attr]  # a message was sent


async def test_content_blocks_have_their_text_shown(client: Client) -> None:
    blocks = [{"type": "text", "text": "see "}, {"type": "image", "source": {"data": "x"}}]
    async with client.post(MESSAGES, json={"content": blocks, "user": "ann", "metadata": {"a": [1]}}) as answer:
        assert answer.status == 202
    async with client.get(MESSAGES) as found:
        item = (await found.json())["data"][0]
    assert (item["text"], item["content"], item["user"], item["metadata"]) == ("see ", blocks, "ann", {"a": [1]})


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        ({}, {"message_id": "m-1"}),
        ({}, {"command_id": "m-1"}),
        ({"Idempotency-Key": "m-1"}, {}),
        ({"Idempotency-Key": '"m-1"'}, {}),
        ({"Idempotency-Key": "m-1"}, {"message_id": "m-1"}),
    ],
)
async def test_a_message_keeps_the_id_it_was_given(client: Client, headers: dict[str, str], fields: dict[str, str]) -> None:
    async with client.post(MESSAGES, json={"text": "hi", **fields}, headers=headers) as answer:
        assert (await answer.json())["message_id"] == "m-1"


async def test_a_repeat_gets_the_first_answer_again(client: Client, desk: FakeDesk) -> None:
    first = await send(client, "hi", message_id="m-1")
    assert "duplicate" not in first
    again = await send(client, "hi", message_id="m-1")
    assert again == {**first, "duplicate": True}
    desk.end_turn(ALICE)
    answered = await send(client, "hi", message_id="m-1")
    assert (answered["seq"], answered["status"], answered["position"]) == (1, "answered", None)
    assert desk.last_seq("alice") == 2


async def test_a_repeat_that_waits_gets_the_reply_there_is(client: Client, desk: FakeDesk) -> None:
    await send(client, "hi", message_id="m-1")
    desk.end_turn(ALICE, "hello")
    async with client.post(MESSAGES, json={"text": "hi", "message_id": "m-1"}, headers={"Prefer": "wait=30"}) as answer:
        assert answer.status == 200
        body = await answer.json()
    assert (body["duplicate"], body["reply"]["text"]) == (True, "hello")


async def test_an_id_used_for_another_text_is_a_conflict(client: Client, desk: FakeDesk) -> None:
    await send(client, "hi", message_id="m-1")
    async with client.post(MESSAGES, json={"text": "ho", "message_id": "m-1"}) as answer:
        await problem_of(answer, 422, "idempotency-conflict")
    blocks = [{"type": "text", "text": "hi"}]
    async with client.post(MESSAGES, json={"content": blocks, "message_id": "m-1"}) as answer:
        await problem_of(answer, 422, "idempotency-conflict")
    assert desk.last_seq("alice") == 1


async def test_a_busy_session_rejects_when_asked_to_and_frees_the_id(client: Client, desk: FakeDesk) -> None:
    await send(client, "one")
    async with client.post(MESSAGES, json={"text": "two", "on_busy": "reject", "message_id": "m"}) as answer:
        assert (await problem_of(answer, 409, "turn-in-progress"))["retryable"] is True
    desk.end_turn(ALICE)
    assert (await send(client, "two", on_busy="reject", message_id="m"))["status"] == "running"


async def test_a_full_queue_is_429_and_one_less_is_not(client: Client, desk: FakeDesk) -> None:
    for text in ("runs", "waits", "waits too"):
        await send(client, text)
    async with client.post(MESSAGES, json={"text": "one too many", "message_id": "m"}) as answer:
        await problem_of(answer, 429, "queue-full")
        assert answer.headers["Retry-After"] == "1"
    desk.end_turn(ALICE)
    assert (await send(client, "now", message_id="m"))["status"] == "waiting"


async def test_an_interrupting_message_goes_first(client: Client) -> None:
    await send(client, "one")
    await send(client, "two")
    await send(client, "stop", on_busy="interrupt")
    async with client.get("/v1/sessions/alice") as answer:
        assert [waiting["turn"] for waiting in (await answer.json())["queue"]] == [3, 2]


async def test_a_message_nobody_numbered_yet_is_stored(client: Client, desk: FakeDesk) -> None:
    desk.answer_with = Unnumbered()
    body = await send(client, "hi", message_id="m-1")
    assert body == {"session": "alice", "message_id": "m-1", "seq": None, "status": "waiting", "position": None}


TROUBLE: list[tuple[Any, int, str]] = [
    (NotOwner(3, "http://node-2:8080"), 421, "not-owner"),
    (OutcomeUnknown("no ack"), 503, "outcome-unknown"),
    (LogUnavailable("no broker"), 503, "log-unavailable"),
    (QueueFull("buffer"), 503, "overloaded"),
    (RecordTooLarge("too large"), 413, "too-large"),
    (Refused("session-erased"), 410, "session-erased"),
    (Refused("too-large"), 413, "too-large"),
    (Refused("malformed-json"), 400, "malformed-json"),
]


@pytest.mark.parametrize(("trouble", "status", "code"), TROUBLE)
@pytest.mark.parametrize("prefer", ["wait=30", "respond-async"])
async def test_what_the_engine_cannot_do_is_a_problem(
    client: Client, desk: FakeDesk, trouble: Any, status: int, code: str, prefer: str
) -> None:
    desk.answer_with = trouble
    async with client.post(MESSAGES, json={"text": "hi", "message_id": "m-1"}, headers={"Prefer": prefer}) as answer:
        body = await problem_of(answer, status, code)
    assert ("retry_after_s" in body) == (status == 503)
    if code == "outcome-unknown":
        assert body["message_id"] == "m-1"
    if code == "not-owner":
        assert (body["owner"], body["partition"]) == ("http://node-2:8080", 3)
    assert len(desk.feed) == 0


async def test_an_unknown_outcome_tells_the_id_the_server_made(client: Client, desk: FakeDesk) -> None:
    desk.answer_with = OutcomeUnknown("no ack")
    async with client.post(MESSAGES, json={"text": "hi"}) as answer:
        body = await problem_of(answer, 503, "outcome-unknown")
    assert body["message_id"] == desk.submitted[0].command_id


async def test_a_partition_that_stays_in_restore_is_503(client: Client, desk: FakeDesk) -> None:
    desk.table_trouble = Restoring("reading the log")
    async with client.post(MESSAGES, json={"text": "hi"}) as answer:
        await problem_of(answer, 503, "restoring")
    assert desk.submitted == []


async def test_a_request_is_held_until_the_restore_is_done(desk: FakeDesk, client: Client) -> None:
    desk.table_trouble = Restoring("reading the log")

    def restore() -> None:
        desk.table_trouble = None
        desk.restored.set()

    desk.on_hold = restore
    assert (await send(client, "hi"))["seq"] == 1


async def test_a_stopping_node_takes_no_more(client: Client, desk: FakeDesk) -> None:
    desk.stopping = True
    async with client.post(MESSAGES, json={"text": "hi"}) as answer:
        await problem_of(answer, 503, "stopping")
    assert desk.submitted == []


# -- waiting for the reply ----------------------------------------------------------------------------------------


async def test_waiting_brings_message_and_reply(client: Client, desk: FakeDesk) -> None:
    desk.respond = lambda message: f"you said {message.text}"
    async with client.post(MESSAGES, json={"text": "hi"}, headers={"Prefer": "wait=30"}) as answer:
        assert (answer.status, answer.headers["Preference-Applied"]) == (200, "wait=30")
        body = await answer.json()
    assert (body["message"]["seq"], body["message"]["status"], body["message"]["text"]) == (1, "answered", "hi")
    reply = body["reply"]
    assert (reply["seq"], reply["turn"], reply["role"], reply["text"]) == (2, 1, "assistant", "you said hi")
    assert (reply["status"], reply["model"], reply["stop_reason"]) == ("completed", "fake", "end_turn")


async def test_waiting_brings_a_failure_too(client: Client, desk: FakeDesk) -> None:
    desk.respond = lambda _: Failed(code="responder-error", detail="boom", attempts=5)
    async with client.post(MESSAGES, json={"text": "hi"}, headers={"Prefer": "wait=30"}) as answer:
        body = await answer.json()
    assert body["message"]["status"] == "failed"
    reply = body["reply"]
    assert (reply["status"], reply["code"], reply["detail"], reply["attempts"]) == ("failed", "responder-error", "boom", 5)


async def test_a_waiting_message_gets_its_own_reply_not_the_one_before(client: Client, desk: FakeDesk) -> None:
    await send(client, "one")
    waiting = asyncio.create_task(_post_waiting(client, "two"))
    await until(lambda: desk.last_seq("alice") == 2)
    desk.end_turn(ALICE, "first")
    desk.end_turn(ALICE, "second")
    assert (await waiting)["reply"]["text"] == "second"


async def test_a_wait_that_ends_without_a_reply_is_202(client: Client, desk: FakeDesk, monkeypatch: Any) -> None:
    monkeypatch.setattr("chatstream.web.sending.preferred_wait_s", lambda *_: 0.05)
    async with client.post(MESSAGES, json={"text": "hi"}, headers={"Prefer": "wait=1"}) as answer:
        assert answer.status == 202
        assert "Preference-Applied" in answer.headers
        assert (await answer.json())["status"] == "running"
    assert len(desk.feed) == 0


async def test_a_wait_for_an_unnumbered_message_finds_it_when_it_lands(client: Client, desk: FakeDesk) -> None:
    desk.answer_with = Unnumbered()
    waiting = asyncio.create_task(_post_waiting(client, "hi"))
    await until(lambda: len(desk.submitted) == 1)
    command = desk.submitted[0]
    desk.decide(ALICE, command)
    desk.end_turn(ALICE, "late")
    assert (await waiting)["reply"]["text"] == "late"


async def test_a_wait_ends_when_the_partition_moves_away(client: Client, desk: FakeDesk) -> None:
    waiting = asyncio.create_task(_post_waiting(client, "hi"))
    await until(lambda: desk.last_seq("alice") == 1)
    desk.table_trouble = NotOwner(0, None)
    desk.feed.wake_all()
    assert (await waiting)["seq"] == 1


async def test_a_wait_that_nobody_has_room_for_records_nothing(client: Client, desk: FakeDesk) -> None:
    waiting = [asyncio.create_task(_post_waiting(client, "hi", f"s{n}")) for n in range(3)]
    await until(lambda: len(desk.feed) == 3)
    async with client.post(MESSAGES, json={"text": "hi"}, headers={"Prefer": "wait=30"}) as answer:
        await problem_of(answer, 503, "too-many-readers")
    assert desk.last_seq("alice") == 0
    for n in range(3):
        desk.end_turn(SessionId(f"s{n}"))
    await asyncio.gather(*waiting)


async def _post_waiting(client: Client, text: str, session: str = "alice") -> Any:
    async with client.post(f"/v1/sessions/{session}/messages", json={"text": text}, headers={"Prefer": "wait=30"}) as answer:
        return await answer.json()
