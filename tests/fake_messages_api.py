"""A Messages API that behaves as it is told, for tests: inside the process, or as one of its own.

What the next calls get is a list of behaviours (see BEHAVIOURS): given to `script`, POSTed to `/script` as a JSON list,
or written in the user's last message as `fake:NAME` or `fake:NAME,NAME,…` (the first call with that text gets the first
one, later calls the next, and the last one stays). Without any, every call is `ok`: it repeats the message, word by word.
`GET /calls` tells how many there were.

    python -m tests.fake_messages_api --port 9090
"""

import argparse
import asyncio
import json
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from aiohttp import web

Json = dict[str, Any]


class Refusal(NamedTuple):
    """An answer that is an error from the start."""

    status: int
    type: str
    retry_after: str | None = None
    details: Json | None = None
    message: str = "as the test asked"


REFUSALS: Final[dict[str, Refusal]] = {
    "status-400": Refusal(400, "invalid_request_error"),
    "status-401": Refusal(401, "authentication_error"),
    "status-402": Refusal(402, "billing_error"),
    "status-403": Refusal(403, "permission_error"),
    "status-404": Refusal(404, "not_found_error"),
    "status-413": Refusal(413, "request_too_large"),
    "status-429": Refusal(429, "rate_limit_error"),
    "status-429-wait": Refusal(429, "rate_limit_error", retry_after="7"),
    "status-429-wait-day": Refusal(429, "rate_limit_error", retry_after="86400"),
    "status-429-wait-date": Refusal(429, "rate_limit_error", retry_after="Wed, 21 Oct 2026 07:28:00 GMT"),
    "spend-limit": Refusal(429, "rate_limit_error", details={"error_code": "enforced_spend_limit_reached"}),
    "spend-limit-own": Refusal(400, "invalid_request_error", message="You have reached your specified API usage limits."),
    "status-500": Refusal(500, "api_error"),
    "status-504": Refusal(504, "timeout_error"),
    "status-529": Refusal(529, "overloaded_error"),
}


class FakeMessagesApi:
    """calls: how many there were. requests: the last 1,000 bodies. abandoned: streams whose reader left before their end.
    compacts: can its models summarise by themselves? None: it does not speak of models at all."""

    def __init__(self, *script: str, word_delay_s: float = 0.0, compacts: bool | None = None) -> None:
        self.calls = 0
        self.compacts = compacts
        self.asked_models: list[str] = []
        self.requests: deque[Json] = deque(maxlen=1000)
        self.headers: deque[dict[str, str]] = deque(maxlen=1000)
        self.abandoned = asyncio.Event()
        self.script = list(script)
        self.word_delay_s = word_delay_s
        self._calls_by_text: Counter[str] = Counter()
        self._called = asyncio.Condition()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/messages", self._messages)
        app.router.add_get("/v1/models/{model}", self._model)
        app.router.add_post("/script", self._set_script)
        app.router.add_get("/calls", self._tell_calls)
        return app

    @asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator[str]:
        """The base URL, as long as the block runs."""
        runner = web.AppRunner(self.app(), handler_cancellation=True, shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    def calls_with(self, text: str) -> int:
        """How often it was asked with that text, of those that say `fake:`."""
        return self._calls_by_text[text]

    async def until_calls(self, calls: int) -> None:
        """Waits until there were that many; the caller sets the deadline."""
        async with self._called:
            await self._called.wait_for(lambda: self.calls >= calls)

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.calls += 1
        async with self._called:
            self._called.notify_all()
        self.requests.append(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        text = _last_text(body)
        name = self._next(text)
        if name in REFUSALS:
            return _refusal(REFUSALS[name])
        if "compaction" in body:
            return _compaction(body, name)
        try:
            return await _Stream(request, body["model"], text, self.word_delay_s).send(name)
        except asyncio.CancelledError:
            self.abandoned.set()
            raise
        except ConnectionError:
            self.abandoned.set()
            return web.Response()

    async def _model(self, request: web.Request) -> web.Response:
        model = request.match_info["model"]
        self.asked_models.append(model)
        if self.compacts is None:
            return _refusal(REFUSALS["status-404"])
        support = {"supported": self.compacts}
        capabilities = {"compaction": {**support, "summarize": support}}
        return web.json_response({"type": "model", "id": model, "display_name": model, "capabilities": capabilities})

    def _next(self, text: str) -> str:
        if text.startswith("fake:"):
            names = text.split()[0].removeprefix("fake:").split(",")
            self._calls_by_text[text] += 1
            return names[min(self._calls_by_text[text], len(names)) - 1]
        return self.script.pop(0) if self.script else "ok"

    async def _set_script(self, request: web.Request) -> web.Response:
        self.script = list(await request.json())
        return web.json_response(self.script)

    async def _tell_calls(self, _request: web.Request) -> web.Response:
        return web.json_response({"calls": self.calls})


class _Stream:
    """One answer as server-sent events. `send` knows the behaviours; each is a method of that name with `_`."""

    def __init__(self, request: web.Request, model: str, text: str, word_delay_s: float) -> None:
        self._request = request
        self._model = model
        self._text = text
        self._word_delay_s = word_delay_s
        self._response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "request-id": "req_fake"})

    async def send(self, name: str) -> web.StreamResponse:
        behave: Callable[[], Awaitable[None]] = getattr(self, f"_{name.replace('-', '_')}")
        if name != "silent":
            await self._response.prepare(self._request)
        await behave()
        return self._response

    async def _ok(self) -> None:
        await self._message([self._words()])

    async def _dribble(self) -> None:
        """The whole answer, three bytes at a time: cuts through lines and through characters."""
        events = [*self._start(), *_block(0, self._words()), *_end("end_turn")]
        raw = b"".join(_sse(event) for event in events)
        for start in range(0, len(raw), 3):
            await self._response.write(raw[start : start + 3])
            await asyncio.sleep(0)

    async def _silent(self) -> None:
        """Takes the request and does not even send a status."""
        await asyncio.Event().wait()

    async def _no_bytes(self) -> None:
        """A status and no byte of a body."""
        await asyncio.Event().wait()

    async def _stall(self) -> None:
        """Begins well, then is silent."""
        await self._half()
        await asyncio.Event().wait()

    async def _cut(self) -> None:
        """The connection breaks in the middle."""
        await self._half()
        transport = self._request.transport
        assert transport is not None
        transport.abort()

    async def _no_stop(self) -> None:
        """The body ends cleanly in the middle of the answer."""
        await self._half()

    async def _no_stop_at_all(self) -> None:
        """Everything but the last event."""
        await self._events([*self._start(), *_block(0, self._words()), *_end("end_turn")[:-1]])

    async def _nothing(self) -> None:
        """A body that is empty."""

    async def _error_event(self) -> None:
        await self._half()
        await self._events([_error("overloaded_error")])

    async def _error_event_refused(self) -> None:
        await self._half()
        await self._events([_error("invalid_request_error")])

    async def _error_event_unknown(self) -> None:
        await self._half()
        await self._events([_error("a_new_error")])

    async def _malformed(self) -> None:
        await self._half()
        await self._response.write(b"event: content_block_delta\ndata: {not json\n\n")
        await self._events([{"type": "content_block_stop", "index": 0}, *_end("end_turn")])

    async def _disorder(self) -> None:
        """A delta for a block that never began."""
        await self._events([*self._start(), _delta(5, {"type": "text_delta", "text": "lost"}), *_end("end_turn")])

    async def _headless(self) -> None:
        """An end without a beginning."""
        await self._events(_end("end_turn"))

    async def _unknown_event(self) -> None:
        """Events and a delta of kinds that do not exist yet, in a good answer."""
        new = {"type": "a_new_event", "index": 0, "what": "ever"}
        block = _block(0, self._words())
        block.insert(2, _delta(0, {"type": "a_new_delta", "what": "ever"}))
        await self._events([{"type": "ping"}, *self._start(), new, *block, new, *_end("end_turn")])

    async def _empty(self) -> None:
        await self._message([])

    async def _empty_text(self) -> None:
        await self._message([[]])

    async def _refusal(self) -> None:
        await self._message([], "refusal")

    async def _refusal_midway(self) -> None:
        await self._message([self._words()], "refusal")

    async def _max_tokens(self) -> None:
        await self._message([self._words()], "max_tokens")

    async def _two_blocks(self) -> None:
        await self._message([["one ", "two "], ["three"]])

    async def _thinking(self) -> None:
        """A block of thinking with its signature, a redacted one, then the answer."""
        await self._events([*self._start(), *_thinking(0), *_redacted(1), *_block(2, self._words()), *_end("end_turn")])

    async def _only_thinking(self) -> None:
        await self._events([*self._start(), *_thinking(0), *_end("max_tokens")])

    async def _memory_create(self) -> None:
        """Asks for its memory tool: writes the message down."""
        await self._tool_use({"command": "create", "path": "/memories/notes.txt", "file_text": self._text})

    async def _memory_view(self) -> None:
        await self._tool_use({"command": "view", "path": "/memories/notes.txt"})

    async def _find_tables(self) -> None:
        await self._tool_use({"people": 4}, "find_tables")

    async def _book_table(self) -> None:
        await self._tool_use({"table": "garden"}, "book_table")

    async def _tool_use(self, asked: Json, name: str = "memory") -> None:
        block = {"type": "tool_use", "id": f"toolu_{name}", "name": name, "input": {}}
        parts = [json.dumps(asked)[:10], json.dumps(asked)[10:]]
        deltas = [_delta(1, {"type": "input_json_delta", "partial_json": part}) for part in parts]
        start = {"type": "content_block_start", "index": 1, "content_block": block}
        stop = {"type": "content_block_stop", "index": 1}
        await self._events([*self._start(), *_block(0, ["One moment. "]), start, *deltas, stop, *_end("tool_use")])

    def _words(self) -> list[str]:
        return [f"{word} " for word in f"You said: {self._text} ✓".split(" ")]

    def _start(self) -> list[Json]:
        usage = {"input_tokens": 25, "output_tokens": 1, "cache_read_input_tokens": 0, "cache_creation": None}
        message = {"id": "msg_fake", "type": "message", "role": "assistant", "model": self._model, "content": []}
        return [{"type": "message_start", "message": {**message, "stop_reason": None, "stop_sequence": None, "usage": usage}}]

    async def _half(self) -> None:
        await self._events([*self._start(), *_block(0, self._words())[:3]])

    async def _message(self, blocks: list[list[str]], stop_reason: str = "end_turn") -> None:
        await self._events(self._start())
        for index, words in enumerate(blocks):
            await self._events(_block(index, words))
        await self._events(_end(stop_reason))

    async def _events(self, events: Iterable[Json]) -> None:
        for event in events:
            if self._word_delay_s and event["type"] == "content_block_delta":
                await asyncio.sleep(self._word_delay_s)
            await self._response.write(_sse(event))


BEHAVIOURS: Final = (
    *REFUSALS,
    *("ok", "dribble", "silent", "no-bytes", "stall", "cut", "no-stop", "no-stop-at-all", "nothing"),
    *("error-event", "error-event-refused", "error-event-unknown", "malformed", "disorder", "headless", "unknown-event"),
    *("empty", "empty-text", "refusal", "refusal-midway", "max-tokens", "two-blocks", "thinking", "only-thinking"),
    *("memory-create", "memory-view", "find-tables", "book-table"),
)


def _sse(event: Json) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()


def _delta(index: int, delta: Json) -> Json:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def _block(index: int, words: list[str]) -> list[Json]:
    start = {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}}
    deltas = [_delta(index, {"type": "text_delta", "text": word}) for word in words]
    return [start, *deltas, {"type": "content_block_stop", "index": index}]


def _thinking(index: int) -> list[Json]:
    block = {"type": "thinking", "thinking": "", "signature": ""}
    return [
        {"type": "content_block_start", "index": index, "content_block": block},
        _delta(index, {"type": "thinking_delta", "thinking": "Let me "}),
        _delta(index, {"type": "thinking_delta", "thinking": "think."}),
        _delta(index, {"type": "signature_delta", "signature": "c2lnbmVk"}),
        {"type": "content_block_stop", "index": index},
    ]


def _redacted(index: int) -> list[Json]:
    block = {"type": "redacted_thinking", "data": "aGlkZGVu"}
    start = {"type": "content_block_start", "index": index, "content_block": block}
    return [start, {"type": "content_block_stop", "index": index}]


def _end(stop_reason: str) -> list[Json]:
    delta = {"stop_reason": stop_reason, "stop_sequence": None}
    return [{"type": "message_delta", "delta": delta, "usage": {"output_tokens": 12}}, {"type": "message_stop"}]


def _error(kind: str) -> Json:
    return {"type": "error", "error": {"type": kind, "message": "as the test asked"}}


def _refusal(refusal: Refusal) -> web.Response:
    error = {"type": refusal.type, "message": refusal.message, **({"details": refusal.details} if refusal.details else {})}
    headers = {"retry-after": refusal.retry_after} if refusal.retry_after is not None else {}
    return web.json_response({"type": "error", "error": error}, status=refusal.status, headers=headers)


def _compaction(body: Json, name: str) -> web.Response:
    """The conversation in short, as the API's own compaction gives it; `empty` is one that failed."""
    text = None if name == "empty" else f"compacted: {len(body['messages'])} messages"
    spent = {"type": "compaction", "input_tokens": 40, "output_tokens": 9}
    usage = {"input_tokens": 1, "output_tokens": 0, "iterations": [spent]}
    message = {"id": "msg_fake", "type": "message", "role": "assistant", "model": body["model"], "stop_sequence": None}
    block = {"type": "compaction", "content": text, "signature": "c2lnbmVk"}
    return web.json_response({**message, "content": [block], "stop_reason": "compaction", "usage": usage})


def _last_text(body: Json) -> str:
    """The message to be answered. Messages of failed turns stand as blocks of their own before it."""
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    return next((str(block["text"]) for block in reversed(content) if block["type"] == "text"), "")


async def _serve(port: int, word_delay_s: float) -> None:
    async with FakeMessagesApi(word_delay_s=word_delay_s).serve(port) as url:
        print(url, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Prints its base URL on one line when it is ready, and runs until it is stopped."""
    parser = argparse.ArgumentParser(description="A Messages API that behaves as it is told.")
    parser.add_argument("--port", type=int, default=0, help="0: any free one; it is printed")
    parser.add_argument("--word-delay", type=float, default=0.0, metavar="SECONDS")
    options = parser.parse_args()
    try:
        asyncio.run(_serve(options.port, options.word_delay))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
