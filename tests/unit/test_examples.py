"""Every example is loaded as the command line loads it, and answers."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chatstream.core.errors import ResponderError
from chatstream.respond.loading import load
from chatstream.respond.port import Reply, Responder, Said
from tests.fake_messages_api import FakeMessagesApi
from tests.turns import FakeState, FakeTurn, answer

EXAMPLES = Path(__file__).parents[2] / "examples"
SPECS = {
    "plain_function": "plain_function:respond",
    "own_system_prompt": "own_system_prompt:Tutor",
    "with_memory": "with_memory:Rememberer",
    "own_class": "own_class:WithFallback",
}


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-of-the-test")


@asynccontextmanager
async def example(monkeypatch: pytest.MonkeyPatch, name: str, *script: str) -> AsyncIterator[tuple[FakeMessagesApi, Responder]]:
    api = FakeMessagesApi(*script)
    async with api.serve() as url:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        responder = load(SPECS[name], directory=EXAMPLES)()
        try:
            yield api, responder
        finally:
            await responder.close()


def test_every_example_is_run_here_and_says_how_it_is_started() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(SPECS)
    for name, spec in SPECS.items():
        assert f"--responder {spec}" in (EXAMPLES / f"{name}.py").read_text()


async def test_the_plain_function_answers_what_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    async with example(monkeypatch, "plain_function") as (_, responder):
        assert await answer(responder, FakeTurn("When are you open?")) == ("Monday to Friday, 9 to 17.", None)


async def test_the_plain_function_counts_in_the_sessions_state(monkeypatch: pytest.MonkeyPatch) -> None:
    state = FakeState({})
    async with example(monkeypatch, "plain_function") as (_, responder):
        answers = [await answer(responder, FakeTurn("Sing!", state=state, user="Ann")) for _ in range(3)]
    assert state.values == {"missed": 3}
    assert [("a person will write" in text) for text, _ in answers] == [False, False, True]


async def test_the_tutor_speaks_with_its_own_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    state = FakeState({})
    history = [Said(role="user", text="/subject algebra"), Said(role="assistant", text="Good, let us do some algebra.")]
    async with example(monkeypatch, "own_system_prompt") as (api, responder):
        assert (await answer(responder, FakeTurn("/subject algebra", state=state)))[0] == history[1].text
        text, reply = await answer(responder, FakeTurn("What is x?", state=state, history=history, user="Ann"))
    assert text == "You said: What is x? ✓ "
    assert reply is not None
    assert reply.stop_reason == "end_turn"
    assert api.calls == 1
    assert "tutor of algebra" in api.requests[0]["system"]
    assert "Ann" in api.requests[0]["system"]
    assert [message["role"] for message in api.requests[0]["messages"]] == ["user", "assistant", "user"]


@pytest.mark.parametrize("name", ["own_system_prompt", "with_memory", "own_class"])
async def test_an_example_gives_no_half_answer_as_a_whole(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    async with example(monkeypatch, name, "no-stop") as (_, responder):
        with pytest.raises(ResponderError):
            await answer(responder, FakeTurn("hello"))


async def test_the_memory_of_one_turn_is_there_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    state = FakeState({})
    async with example(monkeypatch, "with_memory", "memory-create", "ok", "memory-view", "ok") as (api, responder):
        text, reply = await answer(responder, FakeTurn("My cat is called Miez.", state=state))
        assert text.startswith("One moment. You said:")
        assert isinstance(reply, Reply)
        await answer(responder, FakeTurn("What is my cat called?", state=state))
    assert state.values == {"memory": {"/memories/notes.txt": "My cat is called Miez."}}
    assert api.calls == 4
    assert "Miez" not in str(api.requests[2])
    assert "Miez" in str(api.requests[3]["messages"][-1])


async def test_the_second_model_answers_when_the_first_is_overloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    async with example(monkeypatch, "own_class", "status-529", "ok") as (api, responder):
        text, reply = await answer(responder, FakeTurn("hello"))
    assert text == "You said: hello ✓ "
    assert reply is not None
    assert [request["model"] for request in api.requests] == ["claude-opus-5-5", "claude-haiku-5-5"]


async def test_the_second_model_does_not_go_on_with_the_firsts_half(monkeypatch: pytest.MonkeyPatch) -> None:
    async with example(monkeypatch, "own_class", "error-event", "ok") as (api, responder):
        with pytest.raises(ResponderError):
            await answer(responder, FakeTurn("hello"))
    assert api.calls == 1
