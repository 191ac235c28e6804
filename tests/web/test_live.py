"""GET /v1/sessions/{id}/live: what a window is shown, from whatever moment on it looks."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiohttp import ClientResponse
from msgspec.structs import replace

from chatstream.core.errors import NotOwner, ResponderError, Restoring, TableBroken
from chatstream.core.events import SessionErased
from chatstream.core.ids import Seq, SessionId, Version
from chatstream.core.limits import Limits
from chatstream.engine.live import LiveAttempt
from chatstream.web.app import make_app
from chatstream.web.live import TEXT_CHARS_MOST
from chatstream.web.server import HttpServer
from chatstream.web.settings import SseTimes, WebSettings
from tests.web.conftest import Client, port_of, problem_of, send, start, until
from tests.web.fake_desk import NOW, FakeDesk
from tests.web.frames import Frames

ALICE = SessionId("alice")
LIVE = "/v1/sessions/alice/live"


def token(seq: int) -> str:
    return f"{0:016d}_{seq:016d}"


@pytest.fixture
def settings(settings: WebSettings) -> WebSettings:
    """Streams that live longer than any test."""
    return replace(settings, sse=SseTimes(shortest_s=3600.0, longest_s=3600.0, heartbeat_s=3600.0))


class Model:
    """Speaks as the engine does while a call is made: parts into the attempt, and whoever watches is told."""

    def __init__(self, desk: FakeDesk) -> None:
        self._live = desk.feed.live
        self.attempt: LiveAttempt

    def begin(self, turn: int = 1, number: int = 1, version: int = 1) -> None:
        self.attempt = LiveAttempt(Seq(turn), Version(version), number)
        self._live.start(ALICE, self.attempt)

    def say(self, *parts: str) -> None:
        for part in parts:
            self.attempt.parts.append(part)
            self._live.said(ALICE)

    def fail(self, after_s: float) -> None:
        error = ResponderError("too many requests", failure="overloaded")
        self._live.failed(ALICE, self.attempt, error, asyncio.get_running_loop().time() + after_s)

    def end(self) -> None:
        self._live.finish(ALICE)


@pytest.fixture
def model(desk: FakeDesk) -> Model:
    return Model(desk)


def window(client: Client, offset: str = "-1", **headers: str) -> Any:
    return client.get(LIVE, params={"offset": offset}, headers=headers)


async def shown(frames: Frames) -> list[dict[str, Any]]:
    """What a window is shown until it is told that this was all there is."""
    told = [await frames.data()]
    while told[-1]["type"] != "stream.ready":
        told.append(await frames.data())
    return told


def kinds(told: list[dict[str, Any]]) -> list[str]:
    return [each["type"] for each in told]


async def test_a_window_is_shown_events_one_by_one_and_then_text_as_it_comes(
    client: Client, desk: FakeDesk, model: Model
) -> None:
    async with window(client) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
        assert (answer.headers["Cache-Control"], answer.headers["X-Accel-Buffering"]) == ("no-cache", "no")
        assert answer.headers["X-Request-Id"]
        frames = Frames(answer)
        assert await shown(frames) == [{"type": "stream.ready", "offset": token(0)}]
        await send(client, "hello")
        event, data, event_id = await frames.next()
        assert (event, data["type"], data["text"], event_id) == ("", "message.accepted", "hello", token(1))
        model.begin()
        assert await frames.next() == ("", {"type": "attempt.started", "turn": 1, "version": 1, "attempt": 1}, "")
        model.say("Hel")
        delta = {"type": "text.delta", "turn": 1, "version": 1, "attempt": 1, "index": 0, "text": "Hel"}
        assert await frames.next() == ("", delta, "")
        model.say("lo")
        assert await frames.data() == {**delta, "index": 1, "text": "lo"}
        model.end()
        desk.end_turn(ALICE, "Hello")
        event, data, event_id = await frames.next()
        assert (data["type"], data["text"], event_id) == ("reply.completed", "Hello", token(2))


async def test_a_window_that_joins_in_mid_answer_gets_the_text_so_far_first(client: Client, model: Model) -> None:
    await send(client, "hello")
    model.begin()
    model.say("one ", "two ", "three")
    async with window(client) as answer:
        frames = Frames(answer)
        told = await shown(frames)
        assert kinds(told) == ["message.accepted", "attempt.started", "text.delta", "stream.ready"]
        assert (told[2]["text"], told[2]["index"]) == ("one two three", 0)
        model.say(" four")
        following = await frames.data()
        assert (following["text"], following["index"]) == (" four", 1)


async def test_a_window_that_joins_after_the_last_word_and_before_the_record_sees_the_text(
    client: Client, desk: FakeDesk, model: Model
) -> None:
    await send(client, "hello")
    model.begin()
    model.say("all of it")
    model.end()
    async with window(client) as answer:
        frames = Frames(answer)
        assert (await shown(frames))[2]["text"] == "all of it"
        desk.end_turn(ALICE, "all of it")
        assert (await frames.data())["type"] == "reply.completed"
    async with window(client) as answer:
        assert kinds(await shown(Frames(answer))) == ["message.accepted", "reply.completed", "stream.ready"]


async def test_text_is_shown_only_behind_the_events_that_led_to_it(client: Client, desk: FakeDesk, model: Model) -> None:
    for number in range(4):
        await send(client, f"question {number}")
        desk.end_turn(ALICE)
    await send(client, "the last one")
    model.begin(turn=9)
    model.say("well")
    async with window(client) as answer:
        told = await shown(Frames(answer))
    assert kinds(told[-4:]) == ["message.accepted", "attempt.started", "text.delta", "stream.ready"]
    assert [event["seq"] for event in told[:9]] == list(range(1, 10))


async def test_a_newer_attempt_replaces_the_text_of_the_older_one(client: Client, model: Model) -> None:
    await send(client, "hello")
    model.begin()
    model.say("this goes wro")
    async with window(client) as answer:
        frames = Frames(answer)
        await shown(frames)
        model.fail(after_s=3.0)
        retrying = await frames.data()
        assert 2.0 < retrying.pop("after_s") <= 3.0
        assert retrying == {
            "type": "turn.retrying",
            "turn": 1,
            "version": 1,
            "attempt": 1,
            "reason": "overloaded",
            "detail": "too many requests",
        }
        model.begin(number=2)
        model.say("right")
        first, second = await frames.told(2)
        assert (first["type"], first["attempt"]) == ("attempt.started", 2)
        assert (second["text"], second["index"], second["attempt"]) == ("right", 0, 2)


async def test_a_window_that_joins_between_two_attempts_is_told_when_the_next_one_begins(client: Client, model: Model) -> None:
    await send(client, "hello")
    model.begin()
    model.say("half")
    model.fail(after_s=3.0)
    async with window(client) as answer:
        frames = Frames(answer)
        told = await shown(frames)
        assert kinds(told) == ["message.accepted", "attempt.started", "text.delta", "turn.retrying", "stream.ready"]


async def test_the_same_turn_under_a_new_version_begins_anew(client: Client, model: Model) -> None:
    await send(client, "hello")
    model.begin(version=1)
    async with window(client) as answer:
        frames = Frames(answer)
        await shown(frames)
        model.begin(version=2)
        model.say("better")
        first, second = await frames.told(2)
        assert (first["type"], first["version"], first["attempt"]) == ("attempt.started", 2, 1)
        assert (second["version"], second["index"]) == (2, 0)


async def test_a_flood_of_pieces_reaches_each_window_whole_and_in_few_frames(client: Client, model: Model) -> None:
    await send(client, "hello")
    model.begin()
    words = [f"word{number} " for number in range(1000)]
    async with window(client, "now") as one, window(client, "now") as other:
        both = [Frames(one), Frames(other)]
        for frames in both:
            await shown(frames)
        for word in words:
            model.say(word)
            await asyncio.sleep(0)
        for frames in both:
            heard: list[dict[str, Any]] = []
            while sum(len(each["text"]) for each in heard) < len("".join(words)):
                heard.append(await frames.data())
            assert "".join(each["text"] for each in heard) == "".join(words)
            assert [each["index"] for each in heard] == list(range(len(heard)))
            assert len(heard) < len(words) / 10


async def test_a_long_text_comes_in_pieces_of_bounded_size(client: Client, model: Model) -> None:
    await send(client, "hello")
    model.begin()
    parts = ["x" * 1000] * 100 + ["y" * (2 * TEXT_CHARS_MOST)] + ["z" * TEXT_CHARS_MOST, "z"]
    model.say(*parts)
    async with window(client) as answer:
        told = [each for each in await shown(Frames(answer)) if each["type"] == "text.delta"]
    assert "".join(each["text"] for each in told) == "".join(parts)
    assert [len(each["text"]) for each in told] == [32_000, 32_000, 32_000, 4_000, 65_536, 32_768, 1]


async def test_now_begins_at_the_end_and_says_where_that_is(client: Client, desk: FakeDesk) -> None:
    await send(client, "hello")
    desk.end_turn(ALICE)
    async with window(client, "now") as answer:
        _, data, event_id = await Frames(answer).next()
        # Without an id a browser that connects again would ask for `now` once more, and miss what came in between.
        assert (data, event_id) == ({"type": "stream.ready", "offset": token(2)}, token(2))


@pytest.mark.parametrize("headers", [{"Last-Event-ID": token(2)}, {}])
async def test_a_window_goes_on_where_it_was(client: Client, desk: FakeDesk, headers: dict[str, str]) -> None:
    for _ in range(2):
        await send(client, "hello")
        desk.end_turn(ALICE)
    async with window(client, "now" if headers else token(2), **headers) as answer:
        told = await shown(Frames(answer))
    assert [event.get("seq") for event in told] == [3, 4, None]


async def test_a_window_may_look_before_the_first_message(client: Client) -> None:
    async with client.get(LIVE) as answer:
        frames = Frames(answer)
        await shown(frames)
        await send(client, "first")
        assert (await frames.data())["seq"] == 1


async def test_a_window_that_was_elsewhere_first_never_goes_back(client: Client, desk: FakeDesk) -> None:
    await send(client, "hello")
    async with window(client, token(3)) as answer:
        frames = Frames(answer)
        assert await shown(frames) == [{"type": "stream.ready", "offset": token(3)}]
        desk.end_turn(ALICE)
        await send(client, "three")
        desk.end_turn(ALICE)
        assert (await frames.data())["seq"] == 4


@pytest.mark.parametrize("query", ["offset=1", "offset=", "offset=-1&offset=-1", f"offset={token(1)}x"])
async def test_what_is_no_offset_is_refused(client: Client, query: str) -> None:
    async with client.get(f"{LIVE}?{query}") as answer:
        assert answer.status == 400
        assert (await answer.json())["errors"][0]["field"] == "offset"


async def test_head_is_no_way_to_hold_a_connection(client: Client) -> None:
    async with client.head(LIVE) as answer:
        assert answer.status == 405


# -- how it ends --------------------------------------------------------------------------------------------------


@contextmanager
def failing(desk: FakeDesk, error: Exception) -> Iterator[None]:
    """Rows cannot be had, and everyone looks."""
    desk.table_trouble = error
    desk.feed.wake_all()
    yield
    desk.table_trouble = None


@pytest.mark.parametrize(
    ("error", "reason", "retry_ms"),
    [(NotOwner(1, "http://other"), "moved", []), (TableBroken("disk"), "trouble", [2000])],
)
async def test_the_last_frame_says_why_it_is_the_last(
    client: Client, desk: FakeDesk, error: Exception, reason: str, retry_ms: list[int]
) -> None:
    async with window(client) as answer:
        frames = Frames(answer)
        await shown(frames)
        with failing(desk, error):
            assert await frames.data() == {"type": "stream.ended", "reason": reason}
            assert await frames.data() is None
        assert frames.retries == [250, *retry_ms]


async def test_a_stream_ends_by_itself(desk: FakeDesk, limits: Limits, settings: WebSettings) -> None:
    settings = replace(settings, sse=SseTimes(shortest_s=0.05, longest_s=0.06, heartbeat_s=0.01))
    async with start(desk, limits, settings) as client, window(client) as answer:
        frames = Frames(answer)
        await shown(frames)
        assert (await frames.next())[:2] == ("", None)
        assert await frames.data() == {"type": "stream.ended", "reason": "time"}
        assert len(desk.feed) == 0


async def test_shutdown_ends_it_and_asks_for_patience(desk: FakeDesk, limits: Limits, settings: WebSettings) -> None:
    server = HttpServer(make_app(desk, limits, settings), "127.0.0.1", 0)
    await server.start()
    async with Client(f"http://127.0.0.1:{server.port}") as client, window(client) as answer:
        frames = Frames(answer)
        await shown(frames)
        await server.close()
        assert await frames.data() == {"type": "stream.ended", "reason": "stopping"}
        assert frames.retries == [250, 2000]


async def test_erasure_ends_it_and_there_is_no_other(client: Client, desk: FakeDesk) -> None:
    await send(client, "hello")
    async with window(client) as answer:
        frames = Frames(answer)
        await shown(frames)
        desk.fold(SessionErased(session=ALICE, seq=Seq(2), time=NOW))
        assert await frames.data() == {"type": "stream.ended", "reason": "erased"}
    async with window(client) as answer:
        await problem_of(answer, 410, "session-erased")


async def test_it_outlasts_a_restore(client: Client, desk: FakeDesk) -> None:
    async with window(client) as answer:
        frames = Frames(answer)
        await shown(frames)
        looks = desk.looks
        with failing(desk, Restoring("claiming again")):
            await until(lambda: desk.looks > looks)
        await send(client, "hello")
        assert (await frames.data())["seq"] == 1


async def test_a_window_that_closes_frees_its_place(client: Client, desk: FakeDesk) -> None:
    answer: ClientResponse = await window(client)
    await shown(Frames(answer))
    assert len(desk.feed) == 1
    answer.close()
    await until(lambda: len(desk.feed) == 0)


async def test_one_window_more_than_there_may_be_is_refused(client: Client, limits: Limits) -> None:
    answers = [await window(client) for _ in range(limits.readers)]
    async with window(client) as answer:
        await problem_of(answer, 503, "too-many-readers")
    for each in answers:
        each.close()


async def test_a_slow_window_is_told_so_and_goes_on_where_it_was(
    desk: FakeDesk, limits: Limits, settings: WebSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    settings = replace(settings, sse=replace(settings.sse, write_s=1.0, write_grace_s=30.0))
    async with start(desk, limits, settings) as client:
        model = Model(desk)
        await send(client, "hello")
        reader, writer = await asyncio.open_connection("127.0.0.1", await port_of(client), limit=2**16)
        writer.write(f"GET {LIVE}?offset=-1 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await reader.readuntil(b"stream.ready")
        model.begin()
        model.say(*["x" * 100_000] * 300)  # more than the sockets between us hold
        await until(lambda: "has not taken" in caplog.text)
        received = 0
        rest = b""
        while not rest.endswith(b"0\r\n\r\n"):
            chunk = await reader.read(2**16)
            received += len(chunk)
            rest = (rest + chunk)[-200:]
        assert b'{"type":"stream.ended","reason":"slow"}' in rest
        assert received < 300 * 100_000
        writer.close()
        async with window(client) as answer:
            told = await shown(Frames(answer))
            assert sum(len(each["text"]) for each in told if each["type"] == "text.delta") == 300 * 100_000
