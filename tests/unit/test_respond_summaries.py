"""The summaries that the responders of the package make."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chatstream.core.errors import ResponderError
from chatstream.core.ids import SessionId
from chatstream.respond import anthropic_summaries
from chatstream.respond.anthropic import DEFAULT_MODEL, AnthropicResponder
from chatstream.respond.anthropic_summaries import ASKED, BETA, MODELS_MOST, SYSTEM
from chatstream.respond.offline import OfflineResponder
from chatstream.respond.port import Past, Said
from tests.fake_messages_api import FakeMessagesApi

HISTORY = [
    Said(role="user", text="What was said before, in short:\n\nnothing"),
    Said(role="user", text="one"),
    Said(role="assistant", text="two"),
]


def past(model: str = "") -> Past:
    return Past(session=SessionId("alice"), system="Be brief.", model=model, history=HISTORY)


async def test_the_offline_model_tells_the_same_of_the_same() -> None:
    first, again = await OfflineResponder().compact(past()), await OfflineResponder().compact(past())
    assert first == again
    assert first.text == "3 messages, from “nothing” to “two”."
    assert first.model == "offline"


@asynccontextmanager
async def serving(
    monkeypatch: pytest.MonkeyPatch, *script: str, compacts: bool | None
) -> AsyncIterator[tuple[FakeMessagesApi, AnthropicResponder]]:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-of-the-test")
    api = FakeMessagesApi(*script, compacts=compacts)
    async with api.serve() as url:
        responder = AnthropicResponder(base_url=url)
        try:
            yield api, responder
        finally:
            await responder.close()


@pytest.mark.parametrize("compacts", [None, False])
async def test_a_model_without_compaction_is_asked_for_a_summary(
    monkeypatch: pytest.MonkeyPatch, compacts: bool | None
) -> None:
    async with serving(monkeypatch, compacts=compacts) as (api, responder):
        made = await responder.compact(past())
    assert made.text == f"You said: {ASKED} ✓ "
    assert (made.model, made.usage) == (
        DEFAULT_MODEL,
        {"input_tokens": 25, "output_tokens": 12, "cache_read_input_tokens": 0},
    )
    (request,) = api.requests
    assert (request["model"], request["system"], request["stream"]) == (DEFAULT_MODEL, SYSTEM, True)
    assert [message["role"] for message in request["messages"]] == ["user", "assistant", "user"]
    assert request["messages"][-1]["content"] == [{"type": "text", "text": ASKED}]


async def test_a_model_that_compacts_does_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(monkeypatch, compacts=True) as (api, responder):
        made = await responder.compact(past(model="small"))
    assert (made.text, made.model, made.stop_reason) == ("compacted: 2 messages", "small", "compaction")
    assert made.usage is not None
    assert (made.usage["input_tokens"], made.usage["output_tokens"]) == (41, 9)
    (request,) = api.requests
    assert (request["compaction"], request["model"]) == ({"type": "summarize"}, "small")
    assert [message["role"] for message in request["messages"]] == ["user", "assistant"]
    assert api.headers[0]["anthropic-beta"] == BETA


async def test_what_a_model_can_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(monkeypatch, compacts=True) as (api, responder):
        for _ in range(3):
            await responder.compact(past())
        await responder.compact(past(model="small"))
    assert api.asked_models == [DEFAULT_MODEL, "small"]


@pytest.mark.parametrize(("models", "asked"), [(MODELS_MOST, MODELS_MOST), (MODELS_MOST + 1, MODELS_MOST + 2)])
async def test_what_so_many_models_can_is_remembered(monkeypatch: pytest.MonkeyPatch, models: int, asked: int) -> None:
    async with serving(monkeypatch, compacts=True) as (api, responder):
        for number in [*range(models), 0]:
            await responder.compact(past(model=f"m{number}"))
    assert len(api.asked_models) == asked


@pytest.mark.parametrize("behaviour", ["status-529", "cut", "no-stop", "error-event", "malformed"])
async def test_a_summary_that_fails_is_a_responders_error(monkeypatch: pytest.MonkeyPatch, behaviour: str) -> None:
    async with serving(monkeypatch, behaviour, compacts=None) as (_, responder):
        with pytest.raises(ResponderError):
            await responder.compact(past())


@pytest.mark.parametrize("behaviour", ["status-400", "status-529", "empty"])
async def test_a_compaction_that_fails_is_a_responders_error(monkeypatch: pytest.MonkeyPatch, behaviour: str) -> None:
    async with serving(monkeypatch, behaviour, compacts=True) as (_, responder):
        with pytest.raises(ResponderError):
            await responder.compact(past())


async def test_a_service_that_cannot_be_asked_what_its_model_can_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(monkeypatch, compacts=True) as (_, responder):
        await responder._client.close()
        with pytest.raises(ResponderError):
            await responder.compact(past())
        assert responder._summaries._compacting == {}


def test_a_summary_fits_what_the_engine_takes() -> None:
    # Four bytes a token, against one byte for each token of the window.
    assert anthropic_summaries.SUMMARY_TOKENS * 4 < 100_000
