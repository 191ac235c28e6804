"""What is recorded whatever the model's service does, how often it was called, and that no half answer is taken for a whole."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from aiohttp import ClientSession, ClientTimeout

from chatstream.respond import failures
from chatstream.serve import serving
from chatstream.settings import Settings
from tests.fake_messages_api import BEHAVIOURS, FakeMessagesApi

ATTEMPTS: Final = 3
DEADLINE_S: Final = 60.0
LIMITS: Final = {"attempts": ATTEMPTS, "retry_first_s": 0.01, "retry_most_s": 0.05, "chunk_wait_s": 4.0, "turn_s": 60.0}
TERMINAL: Final = ("reply.completed", "reply.failed", "reply.cancelled")


class Fate(NamedTuple):
    """What became of a turn. code: of a failure; stop_reason: of an answer; calls: how often the service was called."""

    type: str
    calls: int
    code: str = ""
    stop_reason: str = ""


def completed(calls: int = 1, stop_reason: str = "end_turn") -> Fate:
    return Fate("reply.completed", calls, stop_reason=stop_reason)


def failed(code: str, calls: int = ATTEMPTS) -> Fate:
    return Fate("reply.failed", calls, code)


FATES: Final[Mapping[str, Fate]] = {
    # Wrong for ever: one call.
    "status-400": failed(failures.BAD_REQUEST, 1),
    "status-401": failed(failures.MODEL_AUTH, 1),
    "status-402": failed(failures.SPEND_LIMIT, 1),
    "status-403": failed(failures.MODEL_AUTH, 1),
    "status-404": failed(failures.BAD_REQUEST, 1),
    "status-413": failed(failures.BAD_REQUEST, 1),
    "spend-limit": failed(failures.SPEND_LIMIT, 1),
    "spend-limit-own": failed(failures.SPEND_LIMIT, 1),
    "error-event-refused": failed(failures.BAD_REQUEST, 1),
    "refusal": failed(failures.EMPTY_REPLY, 1),
    # It may pass: as many calls as there are attempts.
    "status-429": failed(failures.RATE_LIMITED),
    "status-429-wait": failed(failures.RATE_LIMITED),
    "status-429-wait-day": failed(failures.RATE_LIMITED),
    "status-429-wait-date": failed(failures.RATE_LIMITED),
    "status-500": failed(failures.MODEL_ERROR),
    "status-504": failed(failures.TIMEOUT),
    "status-529": failed(failures.MODEL_OVERLOADED),
    "silent": failed(failures.TIMEOUT),
    "no-bytes": failed(failures.TIMEOUT),
    "stall": failed(failures.TIMEOUT),
    "cut": failed(failures.MODEL_UNREACHABLE),
    "no-stop": failed(failures.TRUNCATED),
    "no-stop-at-all": failed(failures.TRUNCATED),
    "nothing": failed(failures.TRUNCATED),
    "headless": failed(failures.TRUNCATED),
    "error-event": failed(failures.MODEL_OVERLOADED),
    "error-event-unknown": failed(failures.MODEL_ERROR),
    "malformed": failed(failures.MODEL_ERROR),
    "disorder": failed(failures.MODEL_ERROR),
    "empty": failed(failures.EMPTY_REPLY),
    "empty-text": failed(failures.EMPTY_REPLY),
    # Answers.
    "ok": completed(),
    "dribble": completed(),
    "unknown-event": completed(),
    "two-blocks": completed(),
    "thinking": completed(),
    "max-tokens": completed(stop_reason="max_tokens"),
    "only-thinking": completed(stop_reason="max_tokens"),
    "refusal-midway": completed(stop_reason="refusal"),
    # A tool that nobody here has: what was said before it is kept.
    "memory-create": completed(stop_reason="tool_use"),
    "memory-view": completed(stop_reason="tool_use"),
    "find-tables": completed(stop_reason="tool_use"),
    "book-table": completed(stop_reason="tool_use"),
}
LASTING: Final = [name for name, fate in FATES.items() if fate.calls == ATTEMPTS]


@asynccontextmanager
async def node(directory: Path, limits: dict[str, float] = LIMITS) -> AsyncIterator[str]:
    """A node on the embedded log that asks the service of the environment; its URL."""
    settings = Settings(data=directory, listen="127.0.0.1:0", responder="anthropic", partitions=4, limits=limits)
    async with serving(settings) as served:
        yield served.url


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_OPEN_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-of-the-test")


async def told(client: ClientSession, url: str, session: str, text: str) -> list[dict[str, Any]]:
    """The session's events once its message has an end."""
    place = f"{url}/v1/sessions/{session}"
    async with client.post(f"{place}/messages", json={"text": text}) as response:
        assert response.status == 202, await response.text()
    while True:
        async with client.get(f"{place}/events?offset=-1") as response:
            events: list[dict[str, Any]] = json.loads(await response.read())
        if any(event["type"] in TERMINAL for event in events):
            return events
        await asyncio.sleep(0.1)


async def ask_all(url: str, texts: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Name to the events of a session of that name, all asked at once."""
    async with asyncio.timeout(DEADLINE_S), ClientSession(timeout=ClientTimeout(total=DEADLINE_S)) as client:
        found = await asyncio.gather(*(told(client, url, name, text) for name, text in texts.items()))
    return dict(zip(texts, found, strict=True))


def ends_of(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] in TERMINAL]


def fate_of(events: list[dict[str, Any]], calls: int) -> Fate:
    (end,) = ends_of(events)
    assert end.get("attempts", 1) == calls, end
    return Fate(end["type"], calls, end.get("code", ""), end.get("stop_reason", ""))


def test_every_behaviour_has_a_fate() -> None:
    assert set(FATES) == set(BEHAVIOURS)


async def test_each_fault_is_recorded_as_what_it_is_after_as_many_calls_as_it_is_worth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = FakeMessagesApi()
    async with api.serve() as service:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", service)
        async with node(tmp_path) as url:
            found = await ask_all(url, {name: f"fake:{name}" for name in FATES})
    assert {name: fate_of(events, api.calls_with(f"fake:{name}")) for name, events in found.items()} == FATES
    for name, events in found.items():
        if FATES[name].type == "reply.failed":
            assert "You said" not in json.dumps(events), f"{name}: a half answer was recorded"
        elif name != "only-thinking":
            assert ends_of(events)[0]["text"].strip(), f"{name}: an answer without words"


async def test_what_passes_is_answered_whole_at_the_second_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the first attempt is left in the answer."""
    api = FakeMessagesApi()
    async with api.serve() as service:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", service)
        async with node(tmp_path) as url:
            found = await ask_all(url, {name: f"fake:{name},ok" for name in LASTING})
    for name, events in found.items():
        assert fate_of(events, api.calls_with(f"fake:{name},ok")) == completed(2), name
        assert ends_of(events)[0]["text"] == f"You said: fake:{name},ok ✓ "


async def test_slow_bytes_are_no_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each word comes in time, the whole answer takes longer than silence may."""
    api = FakeMessagesApi(word_delay_s=0.4)
    async with api.serve() as service:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", service)
        async with node(tmp_path, {"attempts": 2, "chunk_wait_s": 2.0}) as url:
            found = await ask_all(url, {"slow": "one two three four five six"})
    assert fate_of(found["slow"], api.calls) == completed()


@pytest.mark.parametrize("trouble", ["refused", "no such name", "no TLS"])
async def test_a_service_that_cannot_be_reached_is_tried_again_and_then_said_so(
    trouble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = FakeMessagesApi()
    async with api.serve() as service:
        with socket.socket() as bound:  # bound, but not listening
            bound.bind(("127.0.0.1", 0))
            places = {
                "refused": f"http://127.0.0.1:{bound.getsockname()[1]}",
                "no such name": "http://nobody.invalid",
                "no TLS": service.replace("http:", "https:"),
            }
            monkeypatch.setenv("ANTHROPIC_BASE_URL", places[trouble])
            async with node(tmp_path) as url:
                found = await ask_all(url, {"alone": "hello"})
    assert fate_of(found["alone"], ATTEMPTS) == failed(failures.MODEL_UNREACHABLE)
    assert api.calls == 0
