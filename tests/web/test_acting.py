"""Retry, regenerate, edit, PATCH and approvals: commands over HTTP."""

from typing import Any

import pytest

from chatstream.core.events import ApprovalRequested
from chatstream.core.ids import MessageId, Seq, SessionId
from chatstream.core.session import Failed, Parked, step
from chatstream.engine.desk import Unnumbered
from chatstream.table import rows
from tests.web.conftest import Client, problem_of, send
from tests.web.fake_desk import NOW, FakeDesk

ALICE = SessionId("alice")
URL = "/v1/sessions/alice"


async def act(client: Client, path: str, status: int = 200, method: str = "POST", **fields: Any) -> Any:
    """Ask for something; the answer's body."""
    async with client.request(method, URL + path, json=fields) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


async def items(client: Client) -> list[Any]:
    async with client.get(URL + "/messages") as answer:
        return list((await answer.json())["data"])


def park(desk: FakeDesk, name: str, detail: object = None) -> None:
    """The running turn asks for an approval."""
    head = rows.read_head(desk.rows(ALICE), ALICE)
    assert head.running is not None
    event = step(head, head.running, Parked(name=name, detail=detail), NOW)
    assert isinstance(event, ApprovalRequested)
    desk.fold(event)


async def test_a_failed_turn_runs_again_under_a_new_version(client: Client, desk: FakeDesk) -> None:
    await send(client, "one")
    desk.end_turn(ALICE, Failed(code="responder-error"))
    done = await act(client, "/retry", turn=1)
    assert (done["type"], done["turn"], done["version"], done["position"], done["seq"]) == ("turn.restarted", 1, 2, 0, 3)
    desk.end_turn(ALICE, "better")
    assert [(one["version"], one["status"], one.get("superseded", False)) for one in await items(client)] == [
        (1, "answered", False), (1, "failed", True), (2, "completed", False),
    ]  # fmt: skip


async def test_only_what_failed_or_was_cancelled_is_retried(client: Client, desk: FakeDesk) -> None:
    await send(client, "one")
    for turn in (1, 0):
        async with client.post(URL + "/retry", json={"turn": turn}) as answer:
            await problem_of(answer, 409, ("turn-in-progress" if turn else "not-ended"))
    desk.end_turn(ALICE)
    for turn in (1, 2, 10**30):
        async with client.post(URL + "/retry", json={"turn": turn}) as answer:
            await problem_of(answer, 409, "not-ended")
    await send(client, "two")
    await act(client, "/cancel")
    assert (await act(client, "/retry"))["turn"] == 3


async def test_the_last_answer_is_given_again_and_the_old_one_stays(client: Client, desk: FakeDesk) -> None:
    async with client.post(URL + "/regenerate") as answer:
        await problem_of(answer, 409, "not-ended")
    await send(client, "one")
    desk.end_turn(ALICE, "first")
    assert (await act(client, "/regenerate"))["version"] == 2
    desk.end_turn(ALICE, "second")
    shown = [(one["text"], one.get("superseded", False)) for one in await items(client) if one["role"] == "assistant"]
    assert shown == [("first", True), ("second", False)]


async def test_an_edit_takes_back_what_was_said_from_there_on(client: Client, desk: FakeDesk) -> None:
    await send(client, "one")
    desk.end_turn(ALICE, "1")
    await send(client, "two")
    desk.end_turn(ALICE, "2")
    done = await act(client, "/edit", seq=3, text="two, better", message_id="e-1")
    assert (done["type"], done["turn"], done["command_id"]) == ("message.accepted", 5, "e-1")
    shown = [(one["text"], one.get("rewound", False), one.get("replaces", 0)) for one in await items(client)]
    assert shown == [("one", False, 0), ("1", False, 0), ("two", True, 0), ("2", True, 0), ("two, better", False, 3)]
    for seq, code, status in ((3, "rewound", 409), (2, "no-such-message", 404), (99, "no-such-message", 404)):
        async with client.post(URL + "/edit", json={"seq": seq, "text": "x"}) as answer:
            await problem_of(answer, status, code)


async def test_a_turn_that_was_taken_back_is_not_run_again(client: Client, desk: FakeDesk) -> None:
    await send(client, "one")
    desk.end_turn(ALICE, Failed(code="x"))
    await act(client, "/edit", seq=1, text="other")
    async with client.post(URL + "/retry", json={"turn": 1}) as answer:
        await problem_of(answer, 409, "rewound")


async def test_what_is_known_of_a_session_is_set_and_cleared(client: Client) -> None:
    done = await act(client, "", method="PATCH", title="Party", system="Be brief", model="m-1", metadata={"a": 1})
    assert (done["type"], done["seq"]) == ("session.updated", 1)
    async with client.get(URL) as answer:
        found = await answer.json()
    assert (found["title"], found["system"], found["model"], found["metadata"]) == ("Party", "Be brief", "m-1", {"a": 1})
    await act(client, "", method="PATCH", system=None, metadata=None)
    async with client.get(URL) as answer:
        found = await answer.json()
    assert (found["title"], found["system"], found["model"], found["metadata"]) == ("Party", "", "m-1", None)
    async with client.patch(URL, json={}) as answer:
        await problem_of(answer, 400, "empty")
    async with client.patch(URL, json={"system": "x" * 65_537}) as answer:
        await problem_of(answer, 413, "too-large")


async def test_a_parked_turn_is_approved_once(client: Client, desk: FakeDesk) -> None:
    async with client.post(URL + "/approvals/pay", json={"decision": "approved"}) as answer:
        await problem_of(answer, 409, "no-such-approval")
    await send(client, "buy it")
    park(desk, "pay#1", {"sum": 3})
    async with client.post(URL + "/approvals/other", json={"decision": "approved"}) as answer:
        await problem_of(answer, 409, "no-such-approval")
    done = await act(client, "/approvals/pay", decision="rejected", comment="too much", command_id="a-1")
    assert (done["type"], done["turn"]) == ("approval.decided", 1)
    again = await act(client, "/approvals/pay", decision="rejected", comment="too much", command_id="a-1")
    assert again == {"session": "alice", "command_id": "a-1", "seq": 3, "type": "approval.decided", "turn": 1, "version": 1,
                     "duplicate": True}  # fmt: skip
    async with client.post(URL + "/approvals/pay", json={"decision": "maybe"}) as answer:
        await problem_of(answer, 400, "bad-command")


@pytest.mark.parametrize(
    ("path", "first", "other"),
    [
        ("/edit", {"seq": 1, "text": "a"}, {"seq": 1, "text": "b"}),
        ("/retry", {"turn": 1}, {"turn": 2}),
    ],
)
async def test_an_id_stands_for_one_request(client: Client, desk: FakeDesk, path: str, first: Any, other: Any) -> None:
    await send(client, "one")
    desk.end_turn(ALICE, Failed(code="x"))
    done = await act(client, path, **first, command_id="c-1")
    assert await act(client, path, **first, command_id="c-1") == {
        **{name: value for name, value in done.items() if name != "position"}, "duplicate": True,
    }  # fmt: skip
    async with client.post(URL + path, json={**other, "command_id": "c-1"}) as answer:
        await problem_of(answer, 422, "idempotency-conflict")


async def test_what_is_only_stored_is_202(client: Client, desk: FakeDesk) -> None:
    desk.answer_with = Unnumbered()
    done = await act(client, "/regenerate", 202, command_id="c-1")
    assert done == {"session": "alice", "command_id": "c-1", "seq": None}
    assert desk.submitted[0].command_id == MessageId("c-1")
    assert desk.last_seq("alice") == Seq(0)
