"""A turn as a responder sees it, without an engine."""

import asyncio
import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from chatstream.core.errors import BadInput
from chatstream.core.events import Blocks, Usage
from chatstream.core.ids import SessionId
from chatstream.respond import steps
from chatstream.respond.port import Approval, Reply, Responder, Said, Step

STATE_VALUE_CHARS = 64 * 1024


class FakeState:
    """State in a dict. Refuses long strings as the real one does."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def set(self, key: str, value: Any) -> None:
        if isinstance(value, str) and len(value) > STATE_VALUE_CHARS:
            raise BadInput("a state value is at most 64 KiB")
        self.values[key] = value

    def clear(self, key: str) -> None:
        self.values.pop(key, None)

    def keys(self) -> Sequence[str]:
        return sorted(self.values)


class FakeTurn:
    """One user message. history_reads counts how often the history was asked for: it costs.

    recorded: results of steps by their numbered names, those of earlier attempts first of all; decisions: the same of
    approvals. A question without a decision ends the attempt by a cancellation, as a real one does; it stands in `asked`.
    """

    def __init__(
        self,
        text: str = "hello",
        *,
        content: Blocks | None = None,
        history: Sequence[Said] = (),
        state: FakeState | None = None,
        attempt: int = 1,
        user: str = "",
        system: str = "",
        model: str = "",
        recorded: dict[str, Any] | None = None,
        decisions: dict[str, Approval] | None = None,
    ) -> None:
        self.session = SessionId("alice")
        self.seq = 2 * len(history) + 1
        self.version = 1
        self.attempt = attempt
        self.user = user
        self.text = text
        self.content = content
        self.system = system
        self.model = model
        self.recorded = recorded or {}
        self.decisions = decisions or {}
        self.asked: dict[str, Any] = {}
        self._used: Counter[str] = Counter()
        self.metadata: dict[str, Any] = {}
        self.state = state or FakeState({})
        self.usages: list[Usage] = []
        self.history_reads = 0
        self._history = history

    @property
    def history(self) -> Sequence[Said]:
        self.history_reads += 1
        return self._history

    async def step(self, name: str, fn: Callable[..., Any]) -> Any:
        numbered = self._numbered(name)
        if numbered not in self.recorded:
            result = steps.call(fn, Step(f"alice/{self.seq}/1/{numbered}"))
            self.recorded[numbered] = await result if inspect.isawaitable(result) else result
        return self.recorded[numbered]

    async def approval(self, name: str, detail: Any = None) -> Approval:
        numbered = self._numbered(name)
        if numbered not in self.decisions:
            self.asked[numbered] = detail
            raise asyncio.CancelledError
        return self.decisions[numbered]

    def _numbered(self, name: str) -> str:
        self._used[name] += 1
        return f"{name}#{self._used[name]}"

    def report_usage(self, usage: Usage) -> None:
        self.usages.append(usage)


async def answer(responder: Responder, turn: FakeTurn) -> tuple[str, Reply | None]:
    """The text and the Reply of one whole attempt."""
    pieces = [piece async for piece in responder.respond(turn)]
    replies = [piece for piece in pieces if isinstance(piece, Reply)]
    return "".join(piece for piece in pieces if isinstance(piece, str)), replies[-1] if replies else None
