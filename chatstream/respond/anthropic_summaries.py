"""Summaries by a model of Anthropic: by the API's own compaction where the model has it, else by asking for one.

Importing this module imports the SDK.
"""

from typing import Any, Final, cast

import anthropic
from anthropic.types import MessageParam
from anthropic.types.beta import BetaMessage, BetaMessageParam

from chatstream.core.errors import ResponderError
from chatstream.core.events import Usage
from chatstream.respond import failures
from chatstream.respond.anthropic_errors import STREAM_ERRORS, checked, translated
from chatstream.respond.conversation import messages_of, messages_so_far
from chatstream.respond.message_stream import Answer
from chatstream.respond.port import Past, Reply

SUMMARY_TOKENS: Final = 4096
BETA: Final = "compact-2026-09-04"
MODELS_MOST: Final = 100
"""Models whose abilities are remembered: sessions may name any."""

SYSTEM: Final = "You summarise the beginning of a long conversation, for the assistant who goes on with it and will not see it."
ASKED: Final = (
    "Summarise our conversation up to here in at most 500 words. Keep what the rest may need: who the user is, what they want, "
    "facts, names, numbers and decisions, what was promised and is still open. Leave out greetings and what was settled. "
    "Write only the summary."
)


class Summaries:
    """model: for sessions that have none of their own."""

    def __init__(self, client: anthropic.AsyncAnthropic, model: str) -> None:
        self._client = client
        self._model = model
        self._compacting: dict[str, bool] = {}

    async def make(self, past: Past) -> Reply:
        """A summary. Raises ResponderError."""
        model = past.model or self._model
        try:
            return await (self._compacted(past, model) if await self._can_compact(model) else self._asked(past, model))
        except STREAM_ERRORS as error:
            raise translated(error) from error

    async def _can_compact(self, model: str) -> bool:
        known = self._compacting.get(model)
        if known is not None:
            return known
        try:
            told = (await self._client.beta.models.retrieve(model, betas=[BETA])).capabilities
        except anthropic.NotFoundError:  # a proxy or another service that speaks only of messages
            told = None
        if len(self._compacting) >= MODELS_MOST:
            self._compacting.clear()
        can = told is not None and told.compaction is not None and told.compaction.summarize.supported
        self._compacting[model] = can
        return can

    async def _compacted(self, past: Past, model: str) -> Reply:
        """The API's own compaction. Of its block only the text is used: it has to be readable, and any model's."""
        answer = await self._client.beta.messages.create(
            model=model,
            max_tokens=SUMMARY_TOKENS,
            messages=cast(list[BetaMessageParam], messages_so_far(past.history)),
            compaction={"type": "summarize"},
            betas=[BETA],
        )
        text = "".join(block.content or "" for block in answer.content if block.type == "compaction")
        if not text:
            raise ResponderError("the service gave no summary", failure=failures.EMPTY_REPLY)
        return Reply(text=text, model=answer.model, stop_reason=answer.stop_reason or "", usage=_usage(answer))

    async def _asked(self, past: Past, model: str) -> Reply:
        answer = Answer()
        call = await self._client.messages.create(
            model=model,
            max_tokens=SUMMARY_TOKENS,
            system=SYSTEM,
            messages=cast(list[MessageParam], messages_of(past.history, ASKED, None)),
            stream=True,
        )
        async with call as stream:
            async for sent in stream.raw_events(stream.response):
                if sent.data:
                    answer.take(checked(sent.json()))
        if not answer.finished:
            raise ResponderError("the stream ended in the middle of the summary", failure=failures.TRUNCATED)
        text = "".join(str(block.get("text") or "") for block in answer.content if block.get("type") == "text")
        return Reply(text=text, model=answer.model, stop_reason=answer.stop_reason or "", usage=answer.usage)


def _usage(answer: BetaMessage) -> Usage:
    """What it has cost: the compaction's own tokens are told apart from the rest, and not counted there."""
    usage: dict[str, Any] = answer.usage.to_dict(exclude_none=True)
    for part in usage.get("iterations", ()):
        if part.get("type") == "compaction":
            for name in ("input_tokens", "output_tokens"):
                usage[name] = usage.get(name, 0) + part.get(name, 0)
    return usage
