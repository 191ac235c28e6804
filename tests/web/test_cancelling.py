"""POST /v1/sessions/{id}/cancel."""

from typing import Any

import pytest

from chatstream.core.errors import OutcomeUnknown
from chatstream.core.ids import SessionId
from chatstream.engine.desk import Unnumbered
from tests.web.conftest import Client, problem_of, send
from tests.web.fake_desk import FakeDesk

ALICE = SessionId("alice")
CANCEL = "/v1/sessions/alice/cancel"


async def _cancel(client: Client, **fields: Any) -> Any:
    async with client.post(CANCEL, json=fields) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def test_the_running_turn_is_cancelled_without_naming_it(client: Client, desk: FakeDesk) -> None:
    await send(client, "one", message_id="m-1")
    async with client.post(CANCEL) as answer:
        body = await answer.json()
        assert answer.status == 200
    assert (body["turn"], body["seq"], body["reply"]["status"], body["reply"]["message_id"]) == (1, 2, "cancelled", "m-1")
    assert body["reply"]["by"] == body["command_id"]
    async with client.get("/v1/sessions/alice") as found:
        assert (await found.json())["status"] == "idle"
    assert desk.last_seq("alice") == 2


@pytest.mark.parametrize("named", [{"turn": 2}, {"message_id": "m-2"}])
async def test_a_waiting_turn_is_cancelled_by_its_name(client: Client, named: dict[str, Any]) -> None:
    await send(client, "one")
    await send(client, "two", message_id="m-2")
    assert (await _cancel(client, **named))["turn"] == 2
    async with client.get("/v1/sessions/alice") as found:
        overview = await found.json()
    assert (overview["running"]["turn"], overview["queue"]) == (1, [])


async def test_a_message_with_an_id_of_the_servers_making_can_be_named(client: Client) -> None:
    sent = await send(client, "one")
    assert (await _cancel(client, message_id=sent["message_id"]))["turn"] == 1


async def test_a_repeated_cancel_gets_the_first_answer_and_ends_nothing_else(client: Client, desk: FakeDesk) -> None:
    await send(client, "one")
    await send(client, "two")
    first = await _cancel(client, command_id="c-1")
    async with client.post(CANCEL, headers={"Idempotency-Key": "c-1"}) as answer:
        assert await answer.json() == {**first, "duplicate": True}
    assert desk.last_seq("alice") == 3


async def test_a_cancels_id_stands_for_that_cancel_only(client: Client) -> None:
    await send(client, "one", message_id="m-1")
    await send(client, "two", message_id="m-2")
    await _cancel(client, turn=1, command_id="c-1")
    for fields in ({"turn": 2, "command_id": "c-1"}, {"message_id": "m-2", "command_id": "c-1"}, {"command_id": "m-1"}):
        async with client.post(CANCEL, json=fields) as answer:
            await problem_of(answer, 422, "idempotency-conflict")
    async with client.post("/v1/sessions/alice/messages", json={"text": "hi", "message_id": "c-1"}) as answer:
        await problem_of(answer, 422, "idempotency-conflict")


@pytest.mark.parametrize("fields", [{}, {"turn": 1}, {"turn": 7}, {"message_id": "m-1"}, {"message_id": "nobody"}])
async def test_what_does_not_run_cannot_be_cancelled(client: Client, desk: FakeDesk, fields: dict[str, Any]) -> None:
    await send(client, "one", message_id="m-1")
    desk.end_turn(ALICE)
    async with client.post(CANCEL, json=fields) as answer:
        await problem_of(answer, 409, "not-running")
    assert desk.last_seq("alice") == 2


async def test_a_cancel_nobody_decided_yet_is_stored(client: Client, desk: FakeDesk) -> None:
    desk.answer_with = Unnumbered()
    async with client.post(CANCEL, json={"turn": 1, "command_id": "c-1"}) as answer:
        assert answer.status == 202
        assert await answer.json() == {"session": "alice", "command_id": "c-1", "seq": None, "turn": None, "reply": None}


async def test_a_cancel_with_an_unknown_outcome_tells_its_id(client: Client, desk: FakeDesk) -> None:
    desk.answer_with = OutcomeUnknown("no ack")
    async with client.post(CANCEL) as answer:
        body = await problem_of(answer, 503, "outcome-unknown")
    assert body["message_id"] == desk.submitted[0].command_id


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "malformed-json"),
        (b"\xff", "application/json", 400, "malformed-json"),
        (b"[" * 10_000, "application/json", 400, "bad-command"),
        (b'{"a":' + b"[" * 10_000, "application/json", 400, "malformed-json"),
        (b"[]", "application/json", 400, "bad-command"),
        (b'{"turn": "1"}', "application/json", 400, "bad-command"),
        (b'{"turn": 1.5}', "application/json", 400, "bad-command"),
        (b'{"type": "message", "text": "hi"}', "application/json", 400, "bad-command"),
        (b'{"message_id": "a b"}', "application/json", 400, "bad-id"),
        (b'{"command_id": "k-1"}', "application/json", 400, "bad-id"),
        (b"stop", "text/plain", 415, "unsupported-media-type"),
        (b" " * (16 * 1024 + 1), "application/json", 413, "too-large"),
    ],
)
async def test_a_wrong_cancel_is_refused(
    client: Client, desk: FakeDesk, body: bytes, content_type: str, status: int, code: str
) -> None:
    async with client.post(CANCEL, data=body, headers={"Content-Type": content_type}) as answer:
        await problem_of(answer, status, code)
    assert desk.submitted == []
