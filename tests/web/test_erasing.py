"""DELETE /v1/sessions/{id}, and what is left to read afterwards: 410."""

import asyncio

import pytest
from msgspec.structs import replace

from chatstream.core.ids import SessionId
from chatstream.core.limits import Limits
from chatstream.engine.desk import Refused, Unnumbered
from chatstream.web.settings import WebSettings
from tests.web.conftest import Client, problem_of, send, start, until
from tests.web.fake_desk import FakeDesk

ALICE = SessionId("alice")
SESSION = "/v1/sessions/alice"


@pytest.fixture
async def alice(client: Client, desk: FakeDesk) -> None:
    await send(client, "one", message_id="m-1")
    desk.end_turn(ALICE)
    async with client.put(f"{SESSION}/state/color", json="red") as answer:
        assert answer.status == 200


@pytest.fixture
async def erased(client: Client, alice: None) -> None:  # noqa: ARG001  # it has to be there first
    async with client.delete(SESSION) as answer:
        assert (answer.status, await answer.read()) == (204, b"")


@pytest.mark.usefixtures("erased")
@pytest.mark.parametrize(
    "path",
    ["", "/messages", "/events", "/events?offset=-1", "/events?offset=now", "/events?offset=-1&live=long-poll",
     "/events?offset=-1&live=sse", "/events?offset=0000000000000000_0000000000000001", "/live", "/state",
     "/state/color", "/state/none", "/export"],
)  # fmt: skip
async def test_reading_an_erased_session_is_410(client: Client, path: str) -> None:
    async with client.get(SESSION + path) as answer:
        await problem_of(answer, 410, "session-erased")


@pytest.mark.usefixtures("erased")
async def test_the_end_of_an_erased_session_is_not_told_either(client: Client) -> None:
    async with client.head(SESSION + "/events") as answer:
        assert answer.status == 410


@pytest.mark.usefixtures("erased")
@pytest.mark.parametrize("path", ["/messages", "/cancel", "/fork"])
async def test_asking_something_of_an_erased_session_is_410(client: Client, desk: FakeDesk, path: str) -> None:
    body = {"text": "hi"} if path == "/messages" else {}
    async with client.post(SESSION + path, json=body) as answer:
        await problem_of(answer, 410, "session-erased")
    assert desk.last_seq("alice") == 4


@pytest.mark.usefixtures("erased")
async def test_erasing_again_is_done_already_and_nothing_is_recorded(client: Client, desk: FakeDesk) -> None:
    submitted = len(desk.submitted)
    async with client.delete(SESSION) as answer:
        assert answer.status == 204
    assert (desk.last_seq("alice"), len(desk.submitted)) == (4, submitted)


@pytest.mark.usefixtures("alice")
async def test_of_two_that_erase_at_once_both_have_erased(client: Client, desk: FakeDesk) -> None:
    desk.answer_with = Refused("session-erased")
    async with client.delete(SESSION) as answer:
        assert answer.status == 204


async def test_an_unknown_session_cannot_be_erased(client: Client, desk: FakeDesk) -> None:
    async with client.delete(SESSION) as answer:
        await problem_of(answer, 404, "no-such-session")
    assert desk.last_seq("alice") == 0


@pytest.mark.usefixtures("alice")
async def test_an_id_that_was_a_messages_erases_nothing(client: Client, desk: FakeDesk) -> None:
    async with client.delete(SESSION, headers={"Idempotency-Key": "m-1"}) as answer:
        await problem_of(answer, 422, "idempotency-conflict")
    assert desk.last_seq("alice") == 3


@pytest.mark.usefixtures("alice")
async def test_an_erasure_nobody_decided_yet_is_stored(client: Client, desk: FakeDesk) -> None:
    desk.answer_with = Unnumbered()
    async with client.delete(SESSION, headers={"Idempotency-Key": "e-1"}) as answer:
        assert (answer.status, await answer.json()) == (202, {"session": "alice", "command_id": "e-1"})


@pytest.mark.usefixtures("alice")
async def test_a_wrong_body_erases_nothing(client: Client, desk: FakeDesk) -> None:
    async with client.delete(SESSION, json={"type": "cancel"}) as answer:
        await problem_of(answer, 400, "bad-command")
    assert desk.last_seq("alice") == 3


async def test_who_waits_for_a_reply_or_an_event_is_told_at_once(desk: FakeDesk, limits: Limits, settings: WebSettings) -> None:
    async with start(desk, limits, replace(settings, poll_s=50.0)) as client:
        await _erase_while_others_wait(client, desk)


async def _erase_while_others_wait(client: Client, desk: FakeDesk) -> None:
    async def sent() -> None:
        async with client.post(SESSION + "/messages", json={"text": "one"}, headers={"Prefer": "wait=50"}) as answer:
            await problem_of(answer, 410, "session-erased")

    async def read() -> None:
        offset = "0000000000000000_0000000000000001"
        async with client.get(SESSION + f"/events?offset={offset}&live=long-poll") as answer:
            await problem_of(answer, 410, "session-erased")

    async with asyncio.TaskGroup() as tasks, asyncio.timeout(20):
        tasks.create_task(sent())
        await until(lambda: desk.last_seq("alice") == 1 and len(desk.feed) == 1)
        tasks.create_task(read())
        await until(lambda: len(desk.feed) == 2)
        async with client.delete(SESSION) as answer:
            assert answer.status == 204
