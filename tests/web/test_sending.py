"""POST /v1/sessions/{id}/messages."""



from chatstream.core.ids import SessionId
from tests.web.conftest import Client, send
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
