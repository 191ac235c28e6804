"""What a responder is given and what it gives back: the interface that users write their model code against."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

import msgspec

from chatstream.core.events import Blocks, Usage
from chatstream.core.ids import SessionId
from chatstream.core.prompt import Said

__all__ = ["Reply", "Responder", "ResponderFactory", "Said", "State", "Turn"]


class Reply(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A responder's last word; yield it last, or leave it out: then the reply is the text yielded so far.

    text: None means the text yielded so far. content: blocks as the model gave them, kept as they are.
    usage: as the model told, `input_tokens` and `output_tokens` at least.
    """

    text: str | None = None
    content: Blocks | None = None
    model: str = ""
    stop_reason: str = ""
    usage: Usage | None = None


class State(Protocol):
    """The session's durable K/V state, as this turn sees and changes it. Changes are recorded with the reply, or not at all."""

    def get(self, key: str, default: Any = None) -> Any:
        """The value under key: any JSON value."""

    def set(self, key: str, value: Any) -> None:
        """Put a JSON value. Raises BadInput above 64 KiB for a value or 1 MiB for the session, or for an ill-formed key."""

    def clear(self, key: str) -> None:
        """Remove a key; no error when it is not there."""

    def keys(self) -> Sequence[str]:
        """All keys, sorted."""


class Turn(Protocol):
    """One user message to be answered.

    attempt: 1 for the first call of the model for this turn. The history is read when first asked for, in order,
    without this turn's own message; it fits the prompt window (Limits.prompt_tokens). Reading it costs: leave it alone
    where it is not needed. A responder that is not async uses its turn in a thread, so reads must be safe there.
    """

    @property
    def session(self) -> SessionId: ...
    @property
    def seq(self) -> int: ...
    @property
    def version(self) -> int: ...
    @property
    def attempt(self) -> int: ...
    @property
    def user(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def content(self) -> Blocks | None: ...
    @property
    def metadata(self) -> dict[str, Any]: ...
    @property
    def history(self) -> Sequence[Said]: ...
    @property
    def state(self) -> State: ...

    def report_usage(self, usage: Usage) -> None:
        """Tell what has been charged so far, so that a cancelled turn's cost is recorded too."""


class Responder(Protocol):
    """The model's side, as the engine calls it.

    `respond` yields text in pieces and may end with a Reply. An empty piece is a sign of life. It raises ResponderError
    (worth another attempt) or ResponderRefused (not), with one of failures.FAILURES; anything else it raises counts as
    ResponderError. Its iterator is closed when the turn is cancelled. A stream that ends without text and without
    content is `empty-reply`.
    """

    def respond(self, turn: Turn) -> AsyncIterator[str | Reply]: ...

    async def close(self) -> None:
        """Free connections. Called once, when the node stops."""


ResponderFactory = Callable[[], Responder]
