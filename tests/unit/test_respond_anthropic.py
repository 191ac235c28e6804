import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest

from chatstream.core.errors import BadSettings, ResponderError, ResponderRefused
from chatstream.core.events import Blocks
from chatstream.respond import failures
from chatstream.respond.anthropic import DEFAULT_MODEL, AnthropicResponder
from chatstream.respond.loading import load
from chatstream.respond.port import Reply, Responder, Said
from tests.fake_messages_api import BEHAVIOURS, REFUSALS, FakeMessagesApi
from tests.turns import FakeTurn, answer

DEADLINE_S = 30.0


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_OPEN_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-of-the-test")


@asynccontextmanager
async def serving(*script: str, system: str = "", calls: int = 256) -> AsyncIterator[tuple[FakeMessagesApi, Responder]]:
    api = FakeMessagesApi(*script)
    async with api.serve() as url:
        responder = AnthropicResponder(base_url=url, system=system, calls=calls)
        try:
            yield api, responder
        finally:
            await responder.close()


async def test_an_answer_streams_word_by_word_and_ends_with_the_models_reply() -> None:
    async with serving() as (api, responder):
        turn = FakeTurn("good morning")
        pieces = [piece async for piece in responder.respond(turn)]
    assert [str(piece).strip() for piece in pieces[:-1]] == ["You", "said:", "good", "morning", "✓"]
    assert pieces[-1] == Reply(
        model=DEFAULT_MODEL,
        stop_reason="end_turn",
        usage={"input_tokens": 25, "output_tokens": 12, "cache_read_input_tokens": 0},
    )
    assert api.calls == 1
    assert turn.usages[0]["input_tokens"] == 25  # known before the first word: a cancelled turn's cost is recorded, too
    assert turn.usages[-1]["output_tokens"] == 12


async def test_the_request_is_what_the_service_expects() -> None:
    history = [Said(role="user", text="one"), Said(role="assistant", text="two")]
    async with serving(system="Be brief.") as (api, responder):
        await answer(responder, FakeTurn("three", history=history))
    assert api.requests[0] == {
        "model": DEFAULT_MODEL,
        "max_tokens": 8192,
        "system": "Be brief.",
        "stream": True,
        "cache_control": {"type": "ephemeral"},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "one"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "two"}]},
            {"role": "user", "content": [{"type": "text", "text": "three"}]},
        ],
    }
    assert api.headers[0]["authorization"] == "Bearer a-key-of-the-test"


async def test_a_sessions_own_system_prompt_and_model_come_before_the_settings() -> None:
    async with serving(system="Be brief.") as (api, responder):
        await answer(responder, FakeTurn("three", system="Be long.", model="another-model"))
    assert (api.requests[0]["system"], api.requests[0]["model"]) == ("Be long.", "another-model")


async def test_without_a_system_prompt_none_is_sent() -> None:
    async with serving() as (api, responder):
        await answer(responder, FakeTurn())
    assert "system" not in api.requests[0]


async def test_the_service_is_found_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeMessagesApi()
    async with api.serve() as url:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        responder = load("anthropic:claude-of-the-test")()
        await answer(responder, FakeTurn())
        await responder.close()
    assert api.requests[0]["model"] == "claude-of-the-test"


REFUSED = [
    ("status-400", failures.BAD_REQUEST),
    ("status-401", failures.MODEL_AUTH),
    ("status-402", failures.SPEND_LIMIT),
    ("status-403", failures.MODEL_AUTH),
    ("status-404", failures.BAD_REQUEST),
    ("status-413", failures.BAD_REQUEST),
    ("spend-limit", failures.SPEND_LIMIT),
    ("spend-limit-own", failures.SPEND_LIMIT),
    ("error-event-refused", failures.BAD_REQUEST),
    ("refusal", failures.EMPTY_REPLY),
]
RETRYABLE = [
    ("status-429", failures.RATE_LIMITED),
    ("status-429-wait", failures.RATE_LIMITED),
    ("status-429-wait-day", failures.RATE_LIMITED),
    ("status-429-wait-date", failures.RATE_LIMITED),
    ("status-500", failures.MODEL_ERROR),
    ("status-504", failures.TIMEOUT),
    ("status-529", failures.MODEL_OVERLOADED),
    ("cut", failures.MODEL_UNREACHABLE),
    ("no-stop", failures.TRUNCATED),
    ("no-stop-at-all", failures.TRUNCATED),
    ("nothing", failures.TRUNCATED),
    ("error-event", failures.MODEL_OVERLOADED),
    ("error-event-unknown", failures.MODEL_ERROR),
    ("malformed", failures.MODEL_ERROR),
    ("disorder", failures.MODEL_ERROR),
    ("headless", failures.TRUNCATED),
]
ANSWERED = ["ok", "dribble", "unknown-event", "empty", "empty-text", "refusal-midway", "max-tokens", "two-blocks", "thinking"]
HELD = ["silent", "no-bytes", "stall"]
USED_ELSEWHERE = ["only-thinking", "memory-create", "memory-view", "find-tables", "book-table"]


def test_every_behaviour_of_the_service_is_tried_below() -> None:
    tried = {*(name for name, _ in REFUSED), *(name for name, _ in RETRYABLE), *ANSWERED, *HELD, *USED_ELSEWHERE}
    assert tried == set(BEHAVIOURS)
    assert set(REFUSALS) < set(BEHAVIOURS)


async def failure_of(responder: Responder) -> ResponderError:
    """What an attempt raised; what it gave before that is no whole answer."""
    pieces: list[str | Reply] = []
    with pytest.raises(ResponderError) as failed:
        await noted(responder.respond(FakeTurn()), pieces)
    assert not any(isinstance(piece, Reply) for piece in pieces)
    return failed.value


async def noted(given: AsyncIterator[str | Reply], pieces: list[str | Reply]) -> None:
    async for piece in given:
        pieces.append(piece)


@pytest.mark.parametrize(("behaviour", "failure"), REFUSED)
async def test_what_cannot_get_better_is_refused_after_one_call(behaviour: str, failure: str) -> None:
    async with serving(behaviour) as (api, responder):
        refused = await failure_of(responder)
        assert api.calls == 1
    assert isinstance(refused, ResponderRefused)
    assert refused.failure == failure


@pytest.mark.parametrize(("behaviour", "failure"), RETRYABLE)
async def test_what_may_get_better_is_left_to_the_retries_after_one_call(behaviour: str, failure: str) -> None:
    async with serving(behaviour) as (api, responder):
        failed = await failure_of(responder)
        assert api.calls == 1
        assert (failed.retryable, failed.failure) == (True, failure)
        text, reply = await answer(responder, FakeTurn())  # the connection pool is fit for the next attempt
        assert text.startswith("You said: hello")
        assert reply is not None
        assert api.calls == 2


def test_every_failure_has_its_sentence() -> None:
    assert {failure for _, failure in REFUSED + RETRYABLE} <= failures.FAILURES.keys()


@pytest.mark.parametrize(
    ("behaviour", "retry_after_s"),
    [("status-429", None), ("status-429-wait", 7.0), ("status-429-wait-day", 86_400.0), ("status-429-wait-date", None)],
)
async def test_the_wait_that_the_service_asks_for_is_passed_on(behaviour: str, retry_after_s: float | None) -> None:
    async with serving(behaviour) as (_, responder):
        with pytest.raises(ResponderError) as failed:
            await answer(responder, FakeTurn())
    assert failed.value.retry_after_s == retry_after_s


async def test_nobody_listening_is_worth_another_attempt() -> None:
    with socket.socket() as bound:  # bound, but not listening: connections are refused
        bound.bind(("127.0.0.1", 0))
        responder = AnthropicResponder(base_url=f"http://127.0.0.1:{bound.getsockname()[1]}")
        with pytest.raises(ResponderError) as failed:
            await answer(responder, FakeTurn())
        await responder.close()
    assert (failed.value.retryable, failed.value.failure) == (True, failures.MODEL_UNREACHABLE)


@pytest.mark.parametrize("behaviour", ["dribble", "unknown-event"])
async def test_an_unusual_but_good_stream_is_a_good_answer(behaviour: str) -> None:
    async with serving(behaviour) as (_, responder):
        text, reply = await answer(responder, FakeTurn("grüße"))
    assert text == "You said: grüße ✓ "
    assert reply is not None
    assert reply.stop_reason == "end_turn"


@pytest.mark.parametrize(("behaviour", "stop_reason"), [("max-tokens", "max_tokens"), ("refusal-midway", "refusal")])
async def test_the_reason_why_the_model_stopped_is_kept(behaviour: str, stop_reason: str) -> None:
    async with serving(behaviour) as (_, responder):
        text, reply = await answer(responder, FakeTurn())
    assert text
    assert reply is not None
    assert reply.stop_reason == stop_reason


@pytest.mark.parametrize("behaviour", ["empty", "empty-text"])
async def test_an_empty_answer_has_neither_text_nor_content(behaviour: str) -> None:
    async with serving(behaviour) as (_, responder):
        text, reply = await answer(responder, FakeTurn())
    assert text == ""
    assert reply is not None
    assert reply.content is None


THINKING: Blocks = [
    {"type": "thinking", "thinking": "Let me think.", "signature": "c2lnbmVk"},
    {"type": "redacted_thinking", "data": "aGlkZGVu"},
    {"type": "text", "text": "You said: hello ✓ "},
]


async def test_thinking_is_kept_as_received_and_is_not_part_of_the_text() -> None:
    async with serving("thinking") as (_, responder):
        text, reply = await answer(responder, FakeTurn())
    assert text == "You said: hello ✓ "
    assert reply is not None
    assert reply.content == THINKING


async def test_thinking_gives_signs_of_life_before_the_text() -> None:
    async with serving("thinking") as (_, responder):
        pieces = [piece async for piece in responder.respond(FakeTurn())]
    assert pieces[:3] == ["", "", "You "]


async def test_thinking_goes_back_to_the_model_as_it_came() -> None:
    history = [Said(role="user", text="hello"), Said(role="assistant", text="You said: hello ✓ ", content=THINKING)]
    async with serving() as (api, responder):
        await answer(responder, FakeTurn("and now?", history=history))
    assert api.requests[0]["messages"][1] == {"role": "assistant", "content": THINKING}


async def test_an_answer_that_ended_while_thinking_has_content_but_no_text() -> None:
    async with serving("only-thinking") as (_, responder):
        text, reply = await answer(responder, FakeTurn())
    assert text == ""
    assert reply is not None
    assert reply.content == THINKING[:1]
    assert reply.stop_reason == "max_tokens"


async def test_several_blocks_are_kept_beside_their_joined_text() -> None:
    async with serving("two-blocks") as (_, responder):
        text, reply = await answer(responder, FakeTurn())
    assert text == "one two three"
    assert reply is not None
    assert reply.content == [{"type": "text", "text": "one two "}, {"type": "text", "text": "three"}]


async def test_cancelling_closes_the_stream_at_the_service() -> None:
    async with serving("stall") as (api, responder):
        pieces = responder.respond(FakeTurn())
        assert str(await anext(pieces)).strip() == "You"
        await pieces.aclose()  # type: ignore[attr-defined]  # it is an async generator, which the interface does not promise
        await soon(api.abandoned.wait())


@pytest.mark.parametrize("behaviour", HELD)
async def test_a_silent_service_is_left_when_the_task_is_cancelled(behaviour: str) -> None:
    async with serving(behaviour) as (api, responder):
        task = asyncio.create_task(answer(responder, FakeTurn()))
        await soon(api.until_calls(1))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await soon(api.abandoned.wait())


async def test_a_blank_message_is_refused_without_a_call() -> None:
    async with serving() as (api, responder):
        with pytest.raises(ResponderRefused, match="blank"):
            await answer(responder, FakeTurn(" \n"))
        assert api.calls == 0


async def test_as_many_calls_run_at_once_as_are_allowed() -> None:
    # 120 is more than the 100 connections that the HTTP client below the SDK allows unless it is told.
    async with serving(*["silent"] * 121, calls=120) as (api, responder):
        tasks = [asyncio.create_task(answer(responder, FakeTurn())) for _ in range(121)]
        await soon(api.until_calls(120))
        assert api.calls == 120
        first, *others = tasks
        first.cancel()
        await soon(api.until_calls(121))
        for task in others:
            task.cancel()
        await asyncio.wait(tasks)


def test_no_key_is_told_when_the_node_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(BadSettings, match="ANTHROPIC_API_KEY"):
        load("anthropic")()


@pytest.mark.parametrize("key", ["a key", "a-key\n", "schlüssel"])
def test_a_key_that_was_pasted_badly_is_told_when_the_node_starts(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    with pytest.raises(BadSettings, match="ANTHROPIC_API_KEY") as told:
        load("anthropic")()
    assert key not in str(told.value)


@pytest.mark.parametrize("url", ["localhost:9090", "nonsense", "ftp://example.org", "http://"])
def test_a_base_url_that_is_none_is_told_when_the_node_starts(url: str) -> None:
    with pytest.raises(BadSettings, match="base URL"):
        load("anthropic", base_url=url)()


def test_the_sdk_is_not_imported_by_those_who_do_not_use_it() -> None:
    code = "import sys; from chatstream.respond.loading import load; load('offline')(); sys.exit('anthropic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def soon(event: Awaitable[object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        await event
