"""POST /v1/sessions/{id}/fork."""

from typing import Any

import pytest

from chatstream.core.copying import fork_name
from chatstream.core.ids import SessionId
from chatstream.core.partitioner import partition_of
from chatstream.engine.desk import Unnumbered
from tests.web.conftest import Client, problem_of, send
from tests.web.fake_desk import FakeDesk

ALICE = SessionId("alice")
FORK = "/v1/sessions/alice/fork"


def _home(name: str) -> int:
    return partition_of(name.encode(), FakeDesk.partitions)


NEAR = next(name for name in (f"near{n}" for n in range(99)) if _home(name) == _home("alice"))
FAR = next(name for name in (f"far{n}" for n in range(99)) if _home(name) != _home("alice"))


@pytest.fixture
async def alice(client: Client, desk: FakeDesk) -> None:
    await send(client, "one", message_id="m-1")
    desk.end_turn(ALICE)


@pytest.mark.usefixtures("alice")
async def test_a_fork_tells_the_new_session_and_how_far_it_goes(client: Client) -> None:
    async with client.post(FORK, json={"id": NEAR, "seq": 1, "command_id": "f-1"}) as answer:
        body = await answer.json()
        assert (answer.status, answer.headers["Location"]) == (201, f"/v1/sessions/{NEAR}")
    assert body == {"session": NEAR, "from": "alice", "command_id": "f-1", "seq": 1, "through_seq": 1}


@pytest.mark.usefixtures("alice")
async def test_without_a_name_the_server_makes_one_of_the_same_partition(client: Client, desk: FakeDesk) -> None:
    async with client.post(FORK, headers={"Idempotency-Key": "f-1"}) as answer:
        body = await answer.json()
        assert (answer.status, body["session"]) == (201, fork_name(ALICE, "f-1", desk.partitions))
    assert _home(body["session"]) == _home("alice")
    assert body["through_seq"] == 2


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize("named", [{}, {"id": NEAR}, {"id": NEAR, "seq": 1}])
async def test_a_repeated_fork_gets_the_first_answer(client: Client, desk: FakeDesk, named: dict[str, Any]) -> None:
    async with client.post(FORK, json=named, headers={"Idempotency-Key": "f-1"}) as answer:
        first = await answer.json()
    async with client.post(FORK, json=named, headers={"Idempotency-Key": "f-1"}) as answer:
        assert (answer.status, await answer.json()) == (201, {**first, "duplicate": True})
    assert desk.last_seq(first["session"]) == 1


@pytest.mark.usefixtures("alice")
async def test_a_forks_id_stands_for_that_fork_only(client: Client) -> None:
    async with client.post(FORK, json={"id": NEAR, "seq": 1, "command_id": "f-1"}) as answer:
        assert answer.status == 201
    for fields in ({"id": NEAR, "seq": 2, "command_id": "f-1"}, {"command_id": "m-1"}):
        async with client.post(FORK, json=fields) as answer:
            await problem_of(answer, 422, "idempotency-conflict")


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"id": "alice"}, 409, "session-exists"),
        ({"id": NEAR, "seq": 3}, 404, "no-such-message"),
        ({"id": FAR}, 422, "other-partition"),
        ({"id": "a b"}, 400, "bad-id"),
        ({"id": 7}, 400, "bad-command"),
        ({"seq": -1}, 400, "bad-command"),
        ({"seq": "1"}, 400, "bad-command"),
        ({"type": "message", "text": "hi"}, 400, "bad-command"),
        ({"command_id": "k-1"}, 400, "bad-id"),
    ],
)
async def test_what_cannot_be_forked_is_refused(client: Client, fields: dict[str, Any], status: int, code: str) -> None:
    async with client.post(FORK, json=fields) as answer:
        await problem_of(answer, status, code)


async def test_an_unknown_session_cannot_be_forked(client: Client) -> None:
    async with client.post(FORK) as answer:
        await problem_of(answer, 404, "no-such-session")


@pytest.mark.usefixtures("alice")
async def test_a_fork_nobody_decided_yet_is_stored(client: Client, desk: FakeDesk) -> None:
    desk.answer_with = Unnumbered()
    async with client.post(FORK, json={"id": NEAR, "command_id": "f-1"}) as answer:
        assert answer.status == 202
        assert await answer.json() == {
            "session": NEAR,
            "from": "alice",
            "command_id": "f-1",
            "seq": None,
            "through_seq": None,
        }
