"""Messages that are sent later, over HTTP: what is answered, and where they are seen until they are sent."""

from typing import Any

import pytest

from chatstream.core import codec
from chatstream.core.events import MessageScheduled
from chatstream.core.ids import SessionId
from chatstream.core.session import send_due
from chatstream.core.times import at_ms, rfc3339
from chatstream.engine.desk import Unnumbered
from chatstream.table import rows
from chatstream.web import sending
from tests.web.conftest import Client, problem_of, send
from tests.web.fake_desk import NOW, FakeDesk

ALICE = SessionId("alice")
SESSION = "/v1/sessions/alice"
MESSAGES = f"{SESSION}/messages"
SOON, LATE = "2026-11-23T12:30:00.000Z", "2026-11-24T12:00:00.000Z"


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "now_ms", lambda: at_ms(NOW))


async def page(client: Client) -> list[dict[str, Any]]:
    async with client.get(MESSAGES) as found:
        data: list[dict[str, Any]] = (await found.json())["data"]
        return data


async def overview(client: Client) -> dict[str, Any]:
    async with client.get(SESSION) as found:
        body: dict[str, Any] = await found.json()
        return body


def send_it(desk: FakeDesk, seq: int, now: str, waiting_turns: int = 10) -> None:
    """Its time has come."""
    view = desk.rows(ALICE)
    entry = rows.read_entry(view, ALICE, seq)
    assert entry is not None
    scheduled = codec.read_event(entry.value)
    assert isinstance(scheduled, MessageScheduled)
    desk.fold(send_due(rows.read_head(view, ALICE), scheduled, now, waiting_turns))


async def test_a_message_for_later_is_told_as_such(client: Client) -> None:
    answer = await send(client, "hi", message_id="m-1", at=SOON)
    assert answer == {
        "session": "alice",
        "message_id": "m-1",
        "seq": 1,
        "status": "scheduled",
        "position": None,
        "due": SOON,
    }


async def test_a_delay_counts_from_the_request(client: Client, desk: FakeDesk) -> None:
    answer = await send(client, "hi", delay_s=1800)
    assert answer["due"] == SOON
    command = desk.submitted[0]
    assert (command.delay_s, command.at) == (0, SOON)  # type: ignore[union-attr]  # a message was sent


async def test_a_time_that_has_come_is_now(client: Client) -> None:
    answer = await send(client, "hi", at=NOW)
    assert (answer["status"], "due" in answer) == ("running", False)


async def test_nobody_waits_for_a_message_that_is_sent_later(client: Client) -> None:
    async with client.post(MESSAGES, json={"text": "hi", "at": SOON}, headers={"Prefer": "wait=30"}) as answer:
        assert (answer.status, (await answer.json())["status"]) == (202, "scheduled")
        assert "Preference-Applied" not in answer.headers


async def test_nobody_waits_for_it_either_when_nobody_has_numbered_it(client: Client, desk: FakeDesk) -> None:
    desk.answer_with = Unnumbered()
    async with client.post(MESSAGES, json={"text": "hi", "at": SOON}, headers={"Prefer": "wait=30"}) as answer:
        assert (answer.status, (await answer.json())["seq"]) == (202, None)


async def test_it_is_seen_in_the_conversation_until_it_is_sent(client: Client, desk: FakeDesk) -> None:
    await send(client, "later", message_id="m-1", user="ann", at=SOON)
    await send(client, "now", message_id="m-2")
    items = await page(client)
    assert [(one["seq"], one["role"], one["text"], one["status"], one.get("due")) for one in items] == [
        (1, "user", "later", "scheduled", SOON),
        (2, "user", "now", "running", None),
    ]
    send_it(desk, 1, SOON)
    items = await page(client)
    assert [(one["seq"], one["text"], one["status"], one.get("due")) for one in items] == [
        (2, "now", "running", None),
        (3, "later", "waiting", None),
    ]


async def test_the_session_tells_what_is_sent_next_first(client: Client) -> None:
    await send(client, "late", message_id="m-1", at=LATE)
    await send(client, "soon", message_id="m-2", at=SOON)
    found = await overview(client)
    assert found["scheduled"] == [
        {"seq": 2, "message_id": "m-2", "due": SOON},
        {"seq": 1, "message_id": "m-1", "due": LATE},
    ]
    assert (found["status"], found["messages"]) == ("idle", 0)


async def test_what_is_taken_back_stays_in_sight_as_cancelled(client: Client) -> None:
    await send(client, "later", message_id="m-1", at=SOON)
    async with client.post(f"{SESSION}/cancel", json={"message_id": "m-1"}) as answer:
        assert (answer.status, (await answer.json())["turn"]) == (200, 1)
    assert [(one["role"], one["status"], one["turn"]) for one in await page(client)] == [
        ("user", "cancelled", 1),
        ("assistant", "cancelled", 1),
    ]
    assert (await overview(client))["scheduled"] == []


async def test_what_is_turned_away_when_it_is_due_stays_in_sight_as_refused(client: Client, desk: FakeDesk) -> None:
    await send(client, "later", at=SOON)
    await send(client, "now")
    send_it(desk, 1, SOON, waiting_turns=0)
    assert [(one["text"], one["status"]) for one in await page(client)] == [("later", "refused"), ("now", "running")]


@pytest.mark.parametrize("wait", ["", "wait=30"])
async def test_a_repeat_is_told_the_first_time_for_it(client: Client, wait: str) -> None:
    first = await send(client, "later", message_id="m-1", at=SOON)
    headers = {"Prefer": wait} if wait else {}
    async with client.post(MESSAGES, json={"text": "later", "message_id": "m-1", "at": LATE}, headers=headers) as answer:
        assert (answer.status, await answer.json()) == (202, {**first, "duplicate": True})


async def test_a_repeat_of_what_was_taken_back_is_told_so(client: Client) -> None:
    await send(client, "later", message_id="m-1", at=SOON)
    async with client.post(f"{SESSION}/cancel", json={"message_id": "m-1"}):
        pass
    assert (await send(client, "later", message_id="m-1", at=SOON))["status"] == "cancelled"


async def test_a_repeat_of_what_was_sent_is_told_of_its_turn(client: Client, desk: FakeDesk) -> None:
    await send(client, "later", message_id="m-1", at=SOON)
    send_it(desk, 1, SOON)
    again = await send(client, "later", message_id="m-1", at=SOON)
    assert (again["seq"], again["status"], "due" in again) == (2, "running", False)


async def test_its_id_stands_for_its_text_only(client: Client) -> None:
    await send(client, "later", message_id="m-1", at=SOON)
    async with client.post(MESSAGES, json={"text": "other", "message_id": "m-1"}) as answer:
        await problem_of(answer, 422, "idempotency-conflict")


@pytest.mark.parametrize("days", [366, 367])
async def test_a_message_is_scheduled_for_a_year_ahead_and_no_longer(client: Client, days: int) -> None:
    at = rfc3339((at_ms(NOW) or 0) + days * 86_400_000)
    async with client.post(MESSAGES, json={"text": "hi", "at": at}) as answer:
        if days == 366:
            assert answer.status == 202
        else:
            await problem_of(answer, 400, "too-far")
