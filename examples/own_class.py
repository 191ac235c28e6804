"""A responder made of others: when the first model cannot answer, a second one does.

    cd examples
    ANTHROPIC_API_KEY=… chatstream up --responder own_class:WithFallback

Any class with `respond` will do; it is made once, when the node starts, and `close` is called when it stops.
"""

from collections.abc import AsyncIterator

from chatstream.core.errors import ResponderError
from chatstream.respond.anthropic import AnthropicResponder
from chatstream.respond.failures import MODEL_OVERLOADED, RATE_LIMITED
from chatstream.respond.port import Reply, Turn

SYSTEM = "Answer in one paragraph."


class WithFallback:
    def __init__(self) -> None:
        self.first = AnthropicResponder(model="claude-opus-5-5", system=SYSTEM)
        self.second = AnthropicResponder(model="claude-haiku-5-5", system=SYSTEM)

    async def respond(self, turn: Turn) -> AsyncIterator[str | Reply]:
        spoken = False
        try:
            async for piece in self.first.respond(turn):
                spoken = spoken or piece != ""
                yield piece
        except ResponderError as error:
            # Half an answer of one model must not go on as half an answer of another: leave that to the next attempt.
            if spoken or error.failure not in (MODEL_OVERLOADED, RATE_LIMITED):
                raise
            async for piece in self.second.respond(turn):
                yield piece

    async def close(self) -> None:
        await self.first.close()
        await self.second.close()
