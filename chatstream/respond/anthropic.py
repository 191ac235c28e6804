"""The Anthropic SDK as a responder."""

from collections.abc import AsyncIterator
from typing import Final

from chatstream.core.errors import ResponderRefused
from chatstream.respond.port import Reply, Turn

DEFAULT_MODEL: Final = "claude-haiku-5-5"


class AnthropicResponder:
    """Answers with a model of Anthropic."""

    def __init__(
        self, *, model: str = DEFAULT_MODEL, system: str = "", max_tokens: int = 8192, base_url: str | None = None
    ) -> None:
        self._asked = (model, system, max_tokens, base_url)

    async def respond(self, turn: Turn) -> AsyncIterator[str | Reply]:
        """Raises ResponderRefused."""
        raise ResponderRefused(f"not able to answer turn {turn.seq} yet")
        yield ""

    async def close(self) -> None:
        """Nothing is held."""
