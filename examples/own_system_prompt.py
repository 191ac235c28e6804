"""The Anthropic SDK as you know it, with a system prompt of your own for every turn.

    cd examples
    ANTHROPIC_API_KEY=… chatstream up --responder own_system_prompt:Tutor

(A fixed prompt needs no code at all: `chatstream up --responder anthropic --system @prompt.txt`.)
"""

from collections.abc import AsyncIterator
from typing import Any

from anthropic import AsyncAnthropic, DefaultAioHttpClient

from chatstream.core.errors import ResponderError
from chatstream.respond.port import Reply, Turn

PROMPT = "You are a patient tutor of {subject}. Ask back before you explain. Your pupil's name is {name}."


class Tutor:
    def __init__(self) -> None:
        # chatstream does the retries, across restarts too; with the SDK's own below them each one would be several.
        self.client = AsyncAnthropic(http_client=DefaultAioHttpClient(), max_retries=0)

    async def respond(self, turn: Turn) -> AsyncIterator[str | Reply]:
        if turn.text.startswith("/subject "):
            turn.state.set("subject", turn.text.removeprefix("/subject "))
            yield f"Good, let us do some {turn.state.get('subject')}."
            return
        system = PROMPT.format(subject=turn.state.get("subject", "everything"), name=turn.user or "unknown")
        messages: list[Any] = [{"role": said.role, "content": said.text} for said in turn.history]
        messages.append({"role": "user", "content": turn.text})
        async with self.client.messages.stream(
            model="claude-haiku-5-5", max_tokens=4096, system=system, messages=messages, cache_control={"type": "ephemeral"}
        ) as stream:
            async for text in stream.text_stream:
                yield text
            answer = await stream.get_final_message()
        if answer.stop_reason is None:  # the SDK does not complain about a stream that ends too early
            raise ResponderError("the answer was cut off")
        yield Reply(model=answer.model, stop_reason=answer.stop_reason, usage=answer.usage.to_dict(exclude_none=True))

    async def close(self) -> None:
        await self.client.close()
