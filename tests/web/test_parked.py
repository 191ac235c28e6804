"""A turn that waits for a person, over HTTP."""

from typing import Any

from chatstream.core.commands import Approve
from chatstream.core.ids import MessageId, SessionId
from chatstream.core.session import Parked, step
from chatstream.table import rows
from tests.web.conftest import Client, send
from tests.web.fake_desk import NOW, FakeDesk

ALICE = SessionId("alice")


async def overview(client: Client) -> dict[str, Any]:
    async with client.get("/v1/sessions/alice") as found:
        body: dict[str, Any] = await found.json()
        return body


def park(desk: FakeDesk) -> None:
    """Alice's running turn asks somebody."""
    head = rows.read_head(desk.rows(ALICE), ALICE)
    assert head.running is not None
    desk.fold(step(head, head.running, Parked(name="pay#1", detail={"eur": 5}), NOW))
    desk.attempt = None


async def test_a_session_tells_what_it_is_parked_for(client: Client, desk: FakeDesk) -> None:
    await send(client, "buy it", message_id="m-1")
    park(desk)
    found = await overview(client)
    assert (found["status"], found["approval"]) == ("parked", {"name": "pay", "detail": {"eur": 5}, "since": NOW})
    assert found["running"] == {"turn": 1, "version": 1, "message_id": "m-1", "attempt": None}


async def test_once_it_is_decided_nothing_is_asked_any_more(client: Client, desk: FakeDesk) -> None:
    await send(client, "buy it")
    park(desk)
    desk.decide(ALICE, Approve(command_id=MessageId("a"), name="pay", decision="approved"))
    found = await overview(client)
    assert (found["status"], found["approval"]) == ("waiting", None)
