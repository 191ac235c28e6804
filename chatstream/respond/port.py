"""What a responder is given and what it gives back: the interface that users write their model code against."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

import msgspec

from chatstream.core.commands import Verdict
from chatstream.core.events import Blocks, Usage
from chatstream.core.ids import SessionId
from chatstream.core.prompt import Said

__all__ = [
    "Approval", "CompactingResponder", "Past", "PlainTurn", "Reply", "Responder", "ResponderFactory", "Said", "State", "Step",
    "Turn",
]  # fmt: skip


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


class Step(msgspec.Struct, frozen=True):
    """What a step's function is told, if it takes an argument.

    key: `session/turn/version/name#n`, the same at every attempt. Hand it on as an idempotency key: a process may die
    after the function did its work and before its result was recorded, and then the function runs again.
    """

    key: str


class Approval(msgspec.Struct, frozen=True):
    """What somebody decided, with what they said to it."""

    decision: Verdict
    comment: str = ""

    @property
    def approved(self) -> bool:
        """Was it approved?"""
        return self.decision == "approved"


class Asked(Protocol):
    """One user message to be answered: what async and plain responders are told of it.

    session, seq and version name the turn for ever; seq is the message's number in its session, version is one more with
    every retry and regenerate. attempt counts calls of the responder for the turn, from 1, and again from 1 after a
    restart of the node or somebody's decision. system, model: the session's own, empty when nobody set them; a responder
    should put them before its settings. history is what was said before, oldest first, without this turn's own message,
    as much as fits the prompt window (Limits.prompt_tokens). It is read when first asked for, and reading costs: leave it
    alone where it is not needed. A plain function uses its turn in a thread, so reads must be safe there.
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
    def system(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def history(self) -> Sequence[Said]: ...
    @property
    def state(self) -> State: ...

    def report_usage(self, usage: Usage) -> None:
        """Tell what has been charged so far, so that a cancelled turn's cost is recorded too."""


class Turn(Asked, Protocol):
    """A user message to be answered, as async responders have it."""

    async def step(self, name: str, fn: Callable[..., Any]) -> Any:
        """Do something once: fn's result, recorded before it is returned.

        Every later attempt at this turn, on whatever node, gets the recorded result and does not call fn. So a responder
        whose process dies goes on where it was, if it does in steps what costs, what must not happen twice, and what
        gives something else each time (a call of a model, a purchase, the time). Between its steps it has to do the same
        at every attempt.

        name: of your choice, characters of an id; using one again in an attempt makes a further step (`#2`). fn: async
        or not, called without arguments, or with a Step when it takes one argument. An async responder's plain fn
        blocks the event loop, a plain responder's does not. Its result is any JSON value of up to Limits.step_bytes,
        and comes back as JSON has it: a tuple as a list. What fn raises is raised here and not recorded.
        Raises BadInput for a name that is none, ResponderRefused (which fails the turn) for a result that cannot be
        recorded, after Limits.steps of them, or where another kind of step is recorded under the name.
        """

    async def approval(self, name: str, detail: Any = None) -> Approval:
        """Wait for a person: what was decided, now or days ago.

        The first time, this call does not return: the question is recorded and the turn is `parked`. Nothing of it stays
        in memory, no time of it is counted and no attempt; it can be cancelled and interrupted. When somebody decided
        (`approve` on chat.messages or POST …/approvals/{name}), the responder runs again from the top, gets the results of
        its steps, and this call returns.

        name: as in step, and counted together with steps. detail: any JSON value that tells people what they decide on.
        Raises as step does. It ends the attempt by a cancellation, which has to pass: do not catch it.
        """


class PlainTurn(Asked, Protocol):
    """A user message to be answered, as plain functions have it: they run in a thread, which step and approval block."""

    def step(self, name: str, fn: Callable[..., Any]) -> Any:
        """As Turn.step; fn runs in the same thread."""

    def approval(self, name: str, detail: Any = None) -> Approval:
        """As Turn.approval. It ends the attempt by blocking.TurnOver, which has to pass."""


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


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """The beginning of a conversation that no longer fits the prompt window, to be told in short.

    system, model: as in Turn. history: oldest first; it may begin with the summary before this one.
    """

    session: SessionId
    system: str
    model: str
    history: Sequence[Said]


class CompactingResponder(Responder, Protocol):
    """A responder that can tell long conversations in short.

    When a turn's history filled its window (Limits.compact_share), `compact` is called in the background, and from then
    on turns are shown its text in place of the messages it was given. These stay in the log and readable. It returns the
    text, or a Reply that tells model and usage, too: at most one byte for each of Limits.prompt_tokens. If it raises, or
    takes longer than Limits.compact_s, it is called again later; the conversation goes on without its oldest messages.
    """

    async def compact(self, past: Past) -> str | Reply: ...


ResponderFactory = Callable[[], Responder]
