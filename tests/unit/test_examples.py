"""Every example is loaded as the command line loads it, and answers."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chatstream.core.errors import ResponderError
from chatstream.respond.loading import load
from chatstream.respond.port import Approval, Reply, Responder, Said
from tests.fake_messages_api import FakeMessagesApi
from tests.turns import FakeState, FakeTurn, answer

EXAMPLES = Path(__file__).parents[2] / "examples"
SPECS = {
    "plain_function": "plain_function:respond",
    "own_system_prompt": "own_system_prompt:Tutor",
    "with_memory": "with_memory:Rememberer",
    "own_class": "own_class:WithFallback",
    "agent_with_steps": "agent_with_steps:Agent",
    "asks_a_person": "asks_a_person:respond",
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


@pytest.mark.parametrize("name", ["own_system_prompt", "with_memory", "own_class", "agent_with_steps"])
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


TABLES = ("find-tables", "book-table", "ok")


async def test_the_agent_uses_its_two_tools_and_every_call_is_a_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    async with example(monkeypatch, "agent_with_steps", *TABLES) as (api, responder):
        turn = FakeTurn("A table for four, please.")
        text, reply = await answer(responder, turn)
    assert text.startswith("One moment. One moment. You said:")
    assert list(turn.recorded) == ["model#1", "find_tables#1", "model#2", "book_table#1", "model#3"]
    assert reply is not None
    assert reply.usage == {"input_tokens": 75, "output_tokens": 36}
    assert api.calls == 3
    assert [block["tool_use_id"] for block in api.requests[2]["messages"][-1]["content"]] == ["toolu_book_table"]
    assert len((tmp_path / "bookings.jsonl").read_text().splitlines()) == 1


async def test_the_agent_goes_on_behind_what_is_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    async with example(monkeypatch, "agent_with_steps", *TABLES) as (api, responder):
        first = FakeTurn("A table for four, please.")
        await answer(responder, first)
        known = {name: first.recorded[name] for name in ("model#1", "find_tables#1", "model#2")}
        (tmp_path / "bookings.jsonl").unlink()
        monkeypatch.setattr(sys.modules["agent_with_steps"], "find_tables", None)
        again = FakeTurn("A table for four, please.", recorded=known)
        await answer(responder, again)
    assert api.calls == 4
    assert again.recorded["book_table#1"] == "The table at the garden is booked."


async def test_a_booking_that_is_made_again_with_the_same_key_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    async with example(monkeypatch, "agent_with_steps"):
        book_table = sys.modules["agent_with_steps"].book_table
        assert book_table("alice/1/1/book_table#1", "garden") == book_table("alice/1/1/book_table#1", "garden")
    assert len((tmp_path / "bookings.jsonl").read_text().splitlines()) == 1


async def test_a_small_purchase_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async with example(monkeypatch, "asks_a_person") as (_, responder):
        assert (await answer(responder, FakeTurn("hello")))[0].startswith("Write `buy COUNT THING`")
        text, _ = await answer(responder, FakeTurn("buy 2 lamps"))
    assert text == "Bought: 2 × lamp for 70 EUR, order alice-1-1-buy#1-2l."


async def test_a_large_purchase_waits_for_a_person_and_keeps_its_price(monkeypatch: pytest.MonkeyPatch) -> None:
    async with example(monkeypatch, "asks_a_person") as (_, responder):
        turn = FakeTurn("buy 3 chairs", user="ann")
        with pytest.raises(ResponderError, match="TurnOver"):
            await answer(responder, turn)
        assert turn.asked == {"purchase#1": {"what": "3 × chair", "eur": 240, "for": "ann"}}
        monkeypatch.setitem(sys.modules["asks_a_person"].PRICES_EUR, "chair", 8_000)
        decisions = {"purchase#1": Approval("approved")}
        text, _ = await answer(responder, FakeTurn("buy 3 chairs", recorded=turn.recorded, decisions=decisions))
        assert text == "Bought: 3 × chair for 240 EUR, order alice-1-1-buy#1-3c."
        decisions = {"purchase#1": Approval("rejected", "Too dear.")}
        text, _ = await answer(responder, FakeTurn("buy 3 chairs", recorded={"price#1": 240}, decisions=decisions))
        assert text == "I did not buy them. Too dear."
