"""The Anthropic SDK as a responder: one streamed call for each attempt, and no retries below ours.

Importing this module imports the SDK (1.5 s and 84 MB), so loading.py does it only for who asks for this responder.
"""

import logging
import re
from collections.abc import AsyncIterator
from typing import Any, Final, cast

import anthropic
import httpx2
from anthropic.lib.streaming import AsyncMessageStream, AsyncMessageStreamManager
from anthropic.types import Message, MessageParam

from chatstream.core.errors import BadSettings, ResponderError, ResponderRefused
from chatstream.core.events import Blocks, Usage
from chatstream.respond import failures
from chatstream.respond.anthropic_errors import STREAM_ERRORS, translated
from chatstream.respond.conversation import messages_of
from chatstream.respond.port import Reply, Turn

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

    max_tokens: of one answer. base_url: None for ANTHROPIC_BASE_URL or the service itself. calls: at once, at most;
    further ones wait for a connection. Raises BadSettings when there is no key.
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

    async def respond(self, turn: Turn) -> AsyncIterator[str | Reply]:
        """The answer's text as it comes, then its Reply. Raises ResponderError and ResponderRefused, nothing else."""
        messages = messages_of(turn.history, turn.text, turn.content)
        try:
            # Leaving the block closes the stream, when the turn is cancelled too: nothing more is generated or charged.
            async with self._call(cast(list[MessageParam], messages)) as stream:
                finished = False
                async for event in stream:
                    if event.type == "text":
                        yield event.text
                    elif event.type == "thinking":
                        yield ""  # a sign of life: thinking may take longer than silence is allowed to
                    elif event.type in ("message_start", "message_delta"):
                        turn.report_usage(_usage(stream.current_message_snapshot))
                    finished = finished or event.type == "message_stop"
                yield _reply(stream, finished)
        except STREAM_ERRORS as error:
            raise translated(error) from error

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def _call(self, messages: list[MessageParam]) -> AsyncMessageStreamManager[None]:
        return self._client.messages.stream(
            model=self._model,
            max_tokens=self._max_tokens,
            system=self._system or anthropic.omit,
            messages=messages,
            # The conversation so far is the same at every turn: the service need not read it again.
            cache_control={"type": "ephemeral"},
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


def _reply(stream: AsyncMessageStream[None], finished: bool) -> Reply:
    # A stream that just ends raises nothing in the SDK: what came so far looks like an answer and is none.
    if not finished or stream.current_message_snapshot.stop_reason is None:
        raise ResponderError("the stream ended in the middle of the answer", failure=failures.TRUNCATED)
    message = stream.current_message_snapshot
    content = [block.to_dict() for block in message.content]
    if message.stop_reason == "refusal" and not content:
        raise ResponderRefused("the model declined to answer (stop_reason refusal)", failure=failures.EMPTY_REPLY)
    return Reply(
        content=None if _is_one_text(content) else content,
        model=message.model,
        stop_reason=str(message.stop_reason),
        usage=_usage(message),
    )


def _is_one_text(content: Blocks) -> bool:
    """Whether the text says it all. An empty list does, too."""
    return len(content) <= 1 and all(
        block.get("type") == "text" and not (block.keys() - {"type", "text"} - {key for key in block if block[key] is None})
        for block in content
    )


def _usage(message: Message) -> Usage:
    usage: dict[str, Any] = message.usage.to_dict(exclude_none=True)
    return usage
