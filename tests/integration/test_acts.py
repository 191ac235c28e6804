"""Every action of the contract on a whole node: over HTTP, through the log, into the table, and over a restart."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from chatstream.serve import serving
from chatstream.settings import Settings

DEADLINE_S = 30.0
ALICE = "/v1/sessions/alice"
WAIT = {"Prefer": "wait=20"}


class User:
    """Somebody who asks a node for things."""

    def __init__(self, client: ClientSession) -> None:
        self._client = client

    async def ask(self, method: str, path: str, status: int = 200, body: Any = None, **headers: str) -> Any:
        """A request that has to be answered with this status; the answer's body."""
        while True:
            async with self._client.request(method, path, json=body, headers=headers) as answer:
                if answer.status == 503:
                    continue  # the node has only just started
                assert answer.status == status, (answer.status, await answer.text())
                return await answer.json() if answer.content_type.endswith("json") else None

    async def shown(self, path: str = ALICE) -> list[tuple[str, str]]:
        """Who said what, as far as it was not taken back or answered anew."""
        page = await self.ask("GET", f"{path}/messages")
        return [(one["role"], one["text"]) for one in page["data"] if not one.get("superseded") and not one.get("rewound")]

    async def until_shown(self, text: str, path: str = ALICE) -> None:
        """Wait until the conversation's last words are these."""
        async with asyncio.timeout(DEADLINE_S):
            while (await self.shown(path))[-1][1] != text:  # noqa: ASYNC110  # the node is another party
                await asyncio.sleep(0.02)


def settings(data: Path) -> Settings:
    return Settings(data=data, listen="127.0.0.1:0", responder="offline", partitions=2)


@pytest.fixture
async def user(tmp_path: Path) -> AsyncIterator[User]:
    async with serving(settings(tmp_path)) as served, ClientSession(served.url) as client:
        yield User(client)


def echo(text: str) -> str:
    return f"I am the offline model. You said: {text}"


async def test_a_message_for_later_is_sent_when_it_is_due(user: User) -> None:
    sent = await user.ask("POST", f"{ALICE}/messages", 202, {"text": "later", "delay_s": 0.3})
    assert (sent["status"], sent["seq"]) == ("scheduled", 1)
    await user.until_shown(echo("later"))
    assert await user.shown() == [("user", "later"), ("assistant", echo("later"))]


async def test_a_message_for_later_can_be_taken_back(user: User) -> None:
    sent = await user.ask("POST", f"{ALICE}/messages", 202, {"text": "later", "delay_s": 3600, "message_id": "m-1"})
    done = await user.ask("POST", f"{ALICE}/cancel", 200, {"message_id": "m-1"})
    assert done["turn"] == sent["seq"]
    assert (await user.ask("GET", ALICE))["scheduled"] == []


async def test_an_edit_a_new_answer_and_a_fork_of_it(user: User) -> None:
    for text in ("one", "two"):
        await user.ask("POST", f"{ALICE}/messages", 200, {"text": text}, **WAIT)
    await user.ask("POST", f"{ALICE}/edit", 200, {"seq": 3, "text": "second"})
    await user.until_shown(echo("second"))
    await user.ask("POST", f"{ALICE}/regenerate")
    async with asyncio.timeout(DEADLINE_S):
        while (await user.ask("GET", ALICE))["replies"] < 4:  # noqa: ASYNC110  # the node is another party
            await asyncio.sleep(0.02)
    shown = [("user", "one"), ("assistant", echo("one")), ("user", "second"), ("assistant", echo("second"))]
    assert await user.shown() == shown
    fork = await user.ask("POST", f"{ALICE}/fork", 201, {})
    await user.until_shown(echo("second"), f"/v1/sessions/{fork['session']}")
    assert await user.shown(f"/v1/sessions/{fork['session']}") == shown


async def test_state_profile_and_the_list_are_there_after_a_restart(tmp_path: Path) -> None:
    async with serving(settings(tmp_path)) as served, ClientSession(served.url) as client:
        user = User(client)
        await user.ask("POST", f"{ALICE}/messages", 200, {"text": "/remember colour green"}, **WAIT)
        await user.ask("PATCH", ALICE, 200, {"title": "Colours", "system": "be brief"})
        await user.ask("PUT", f"{ALICE}/state/shape", 200, {"round": True})
    async with serving(settings(tmp_path)) as served, ClientSession(served.url) as client:
        user = User(client)
        assert (await user.ask("GET", f"{ALICE}/state"))["shape"] == {"round": True}
        found = await user.ask("GET", ALICE)
        assert (found["title"], found["system"]) == ("Colours", "be brief")
        listed = await user.ask("GET", "/v1/sessions?q=col")
        assert [one["session"] for one in listed["data"]] == ["alice"]


async def test_an_erased_session_is_gone_also_after_a_restart_and_its_fork_stays(tmp_path: Path) -> None:
    async with serving(settings(tmp_path)) as served, ClientSession(served.url) as client:
        user = User(client)
        await user.ask("POST", f"{ALICE}/messages", 200, {"text": "secret"}, **WAIT)
        fork = (await user.ask("POST", f"{ALICE}/fork", 201, {}))["session"]
        await user.ask("DELETE", ALICE, 204)
        await user.ask("DELETE", ALICE, 204)
    async with serving(settings(tmp_path)) as served, ClientSession(served.url) as client:
        user = User(client)
        for method, path in [
            ("GET", ALICE),
            ("GET", f"{ALICE}/messages"),
            ("GET", f"{ALICE}/events"),
            ("POST", f"{ALICE}/messages"),
        ]:
            await user.ask(method, path, 410, {"text": "again"} if method == "POST" else None)
        await user.until_shown(echo("secret"), f"/v1/sessions/{fork}")
        listed = await user.ask("GET", "/v1/sessions")
        assert [one["session"] for one in listed["data"]] == [fork]


async def test_what_rested_too_long_is_erased_and_what_waits_for_its_time_is_not(tmp_path: Path) -> None:
    async with serving(settings(tmp_path)) as served, ClientSession(served.url) as client:
        user = User(client)
        await user.ask("POST", f"{ALICE}/messages", 200, {"text": "secret"}, **WAIT)
        await user.ask("POST", "/v1/sessions/bob/messages", 202, {"text": "later", "delay_s": 3600})
    idle = settings(tmp_path).model_copy(update={"erase_idle_days": 1e-6})
    async with serving(idle) as served, ClientSession(served.url) as client:
        user = User(client)
        async with asyncio.timeout(DEADLINE_S):
            while [one["session"] for one in (await user.ask("GET", "/v1/sessions"))["data"]] != ["bob"]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await user.ask("GET", ALICE, 410)
        assert (await user.ask("GET", "/v1/sessions/bob"))["scheduled"]
    async with serving(settings(tmp_path)) as served, ClientSession(served.url) as client:
        await User(client).ask("GET", f"{ALICE}/messages", 410)
