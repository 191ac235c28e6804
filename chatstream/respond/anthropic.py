"""The Anthropic SDK as a responder: one streamed call for each attempt, and no retries below ours.

Importing this module imports the SDK (1.5 s and 84 MB), so loading.py does it only for who asks for this responder.
"""

import logging
import re
from collections.abc import AsyncIterator
from typing import Final, cast

import anthropic
import httpx2
from anthropic.types import MessageParam, RawMessageStreamEvent

from chatstream.core.errors import BadSettings, ResponderError, ResponderRefused
from chatstream.core.events import Blocks
from chatstream.respond import failures
from chatstream.respond.anthropic_errors import STREAM_ERRORS, checked, translated
from chatstream.respond.anthropic_summaries import Summaries
from chatstream.respond.conversation import messages_of
from chatstream.respond.message_stream import Answer
from chatstream.respond.port import Past, Reply, Turn

DEFAULT_MODEL: Final = "claude-haiku-5-5"
MAX_TOKENS: Final = 8192
CONNECT_S: Final = 10.0
READ_S: Final = 900.0
"""Silence between two reads. The engine ends a silent attempt long before (Limits.chunk_wait_s); this is for callers that
do not watch, and no shorter than a turn may run (Limits.turn_s)."""
IDLE_CONNECTIONS: Final = 100
IDLE_S: Final = 30.0


class AnthropicResponder:
    """Answers with a model of Anthropic, or whatever speaks its Messages API at base_url.

    model, system: for sessions that have none of their own. max_tokens: of one answer. base_url: None for
    ANTHROPIC_BASE_URL or the service itself. calls: at once, at most; further ones wait for a connection. Raises
    BadSettings when there is no key.
    """

    def __init__(
        self,
        *,
        model: str = DEFAULT_MODEL,
        system: str = "",
        max_tokens: int = MAX_TOKENS,
        base_url: str | None = None,
        calls: int = 256,
    ) -> None:
        self._model = model
        self._system = system
        self._max_tokens = max_tokens
        self._client = _client(base_url, calls)
        self._summaries = Summaries(self._client, model)

    async def respond(self, turn: Turn) -> AsyncIterator[str | Reply]:
        """The answer's text as it comes, then its Reply. Raises ResponderError and ResponderRefused, nothing else."""
        messages = messages_of(turn.history, turn.text, turn.content)
        answer = Answer()
        try:
            # Leaving the block closes the stream, when the turn is cancelled too: nothing more is generated or charged.
            async with await self._call(turn, cast(list[MessageParam], messages)) as stream:
                async for sent in stream.raw_events(stream.response):
                    if not sent.data:
                        continue
                    usage, text = answer.usage, answer.take(checked(sent.json()))
                    if answer.usage is not usage:
                        turn.report_usage(answer.usage)
                    if text is not None:
                        yield text  # an empty one is a sign of life: thinking may take longer than silence is allowed to
        except STREAM_ERRORS as error:
            raise translated(error) from error
        yield _reply(answer)

    async def compact(self, past: Past) -> Reply:
        """The conversation's beginning in short. Raises ResponderError and ResponderRefused, nothing else."""
        return await self._summaries.make(past)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def _call(self, turn: Turn, messages: list[MessageParam]) -> anthropic.AsyncStream[RawMessageStreamEvent]:
        return await self._client.messages.create(
            model=turn.model or self._model,
            max_tokens=self._max_tokens,
            system=turn.system or self._system or anthropic.omit,
            messages=messages,
            # The conversation so far is the same at every turn: the service need not read it again.
            cache_control={"type": "ephemeral"},
            stream=True,
        )


def _client(base_url: str | None, calls: int) -> anthropic.AsyncAnthropic:
    # At level info it logs a line for every call, which says no more than the engine's own.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    timeout = httpx2.Timeout(connect=CONNECT_S, read=READ_S, write=READ_S, pool=READ_S)
    # The transport takes no limit at all for aiohttp's default of 100, so it is always told.
    limits = httpx2.Limits(max_connections=calls, max_keepalive_connections=IDLE_CONNECTIONS, keepalive_expiry=IDLE_S)
    try:
        client = anthropic.AsyncAnthropic(
            base_url=base_url,
            timeout=timeout,
            max_retries=0,
            http_client=anthropic.DefaultAioHttpClient(timeout=timeout, limits=limits, follow_redirects=True),
        )
    except (anthropic.AnthropicError, ValueError) as error:
        raise BadSettings(f"the Anthropic SDK cannot start: {error}") from error
    _check(client)
    return client


def _check(client: anthropic.AsyncAnthropic) -> None:
    """Raises BadSettings for what the SDK itself would complain of at the first call only, and as a broken connection."""
    key = client.api_key or client.auth_token
    if key is None and client.credentials is None:
        raise BadSettings("the responder `anthropic` needs a key: set ANTHROPIC_API_KEY, or take `offline`")
    if key is not None and re.fullmatch(r"[!-~]+", key) is None:
        raise BadSettings("the key in ANTHROPIC_API_KEY has a blank, a line end or a foreign character in it")
    if client.base_url.scheme not in ("http", "https") or not client.base_url.host:
        raise BadSettings(f"{str(client.base_url)!r} is no base URL: it begins with https:// or http:// and a host")


def _reply(answer: Answer) -> Reply:
    # A stream that just ends raises nothing: what came so far looks like an answer and is none.
    if not answer.finished:
        raise ResponderError("the stream ended in the middle of the answer", failure=failures.TRUNCATED)
    content = answer.content
    if answer.stop_reason == "refusal" and not content:
        raise ResponderRefused("the model declined to answer (stop_reason refusal)", failure=failures.EMPTY_REPLY)
    return Reply(
        content=None if _is_one_text(content) else content,
        model=answer.model,
        stop_reason=answer.stop_reason or "",
        usage=answer.usage,
    )


def _is_one_text(content: Blocks) -> bool:
    """Whether the text says it all. An empty list does, too."""
    return len(content) <= 1 and all(
        block.get("type") == "text" and not (block.keys() - {"type", "text"} - {key for key in block if block[key] is None})
        for block in content
    )
