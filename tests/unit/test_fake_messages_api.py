"""The fake service as a process of its own, as tests of whole nodes use it."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from chatstream.core.errors import ResponderError
from chatstream.respond.anthropic import AnthropicResponder
from chatstream.respond.port import Said
from tests.fake_messages_api import FakeMessagesApi
from tests.turns import FakeTurn, answer

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def url() -> AsyncIterator[str]:
    command = [sys.executable, "-m", "tests.fake_messages_api", "--port", "0"]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    yield (await process.stdout.readline()).decode().strip()
    process.kill()
    await process.communicate()


async def test_it_runs_as_a_process_and_does_what_it_is_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-of-the-test")
    responder = AnthropicResponder(base_url=url)
    async with aiohttp.ClientSession(url) as client:
        await (await client.post("/script", json=["status-500"])).read()
        with pytest.raises(ResponderError):
            await answer(responder, FakeTurn())
        assert (await answer(responder, FakeTurn()))[0] == "You said: hello ✓ "
        assert await (await client.get("/calls")).json() == {"calls": 2}
    await responder.close()


async def test_a_message_may_say_how_its_own_calls_behave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-of-the-test")
    api = FakeMessagesApi()
    async with api.serve() as url:
        responder = AnthropicResponder(base_url=url)
        with pytest.raises(ResponderError):
            await answer(responder, FakeTurn("fake:status-529,ok please"))
        assert (await answer(responder, FakeTurn("other")))[0].startswith("You said: other")
        for _ in range(2):  # the last one stays
            assert (await answer(responder, FakeTurn("fake:status-529,ok please")))[0].startswith("You said: fake")
        await responder.close()
    assert api.calls == 4


async def test_a_message_of_a_failed_turn_does_not_tell_the_next_call_how_to_behave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-of-the-test")
    async with FakeMessagesApi().serve() as url:
        responder = AnthropicResponder(base_url=url)
        turn = FakeTurn("hello", history=[Said(role="user", text="fake:status-400")])
        assert (await answer(responder, turn))[0] == "You said: hello ✓ "
        await responder.close()
