"""A turn and its state as a responder sees them: read from the table when asked for, changed only with the reply."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

import msgspec

from chatstream.core import codec, prompt
from chatstream.core.errors import BadInput, ResponderRefused
from chatstream.core.events import AnyEvent, Blocks, MessageAccepted, Usage
from chatstream.core.ids import Seq, SessionId, Version
from chatstream.core.ids import state_key as checked_key
from chatstream.core.limits import Limits
from chatstream.core.prompt import Said
from chatstream.core.state import cost_bytes
from chatstream.engine.outcomes import checked_usage
from chatstream.engine.steps import Alive, Recording, Steps
from chatstream.respond.port import Approval
from chatstream.table import rows
from chatstream.table.port import View
from chatstream.table.reads import event_of


class UnderWay(Protocol):
    """The call that a turn belongs to."""

    attempt: int
    usage: Usage | None


class LiveTurn:
    """One attempt at one turn: respond.port.Turn.

    asker: records its steps, and has the confirmed rows. alive: as in Steps. fill: how full the prompt window is, 0 as
    long as nobody asked for the history.
    """

    def __init__(
        self, call: UnderWay, message: MessageAccepted, asker: Recording, limits: Limits, version: Version, alive: Alive
    ) -> None:
        self._asker = asker
        self._alive = alive
        self._call = call
        self._message = message
        self._table = asker.table
        self._limits = limits
        self._history: list[Said] | None = None
        self.fill = 0.0
        self._state: LiveState | None = None
        self._profile: rows.Profile | None = None
        self._steps: Steps | None = None
        self.session: Final = message.session
        self.seq: Final = message.seq
        self.version: Final = version
        self.attempt: Final = call.attempt

    @property
    def user(self) -> str:
        return self._message.user

    @property
    def text(self) -> str:
        return self._message.text

    @property
    def content(self) -> Blocks | None:
        return self._message.content

    @property
    def metadata(self) -> dict[str, Any]:
        return self._message.metadata or {}

    @property
    def system(self) -> str:
        return self._told_of_session().system or ""

    @property
    def model(self) -> str:
        return self._told_of_session().model or ""

    def _told_of_session(self) -> rows.Profile:
        if self._profile is None:
            self._profile = rows.read_profile(self._table, self.session)
        return self._profile

    @property
    def history(self) -> Sequence[Said]:
        if self._history is None:
            table, session = self._table, self.session
            self._history, self.fill = prompt.window(
                events_back(table, session),
                self._message,
                self._limits.prompt_tokens,
                lambda seq: read_message(table, session, seq),
                rows.read_rewinds(table, session),
            )
        return self._history

    @property
    def state(self) -> "LiveState":
        if self._state is None:
            self._state = LiveState(self._table, self.session, self._limits)
        return self._state

    async def step(self, name: str, fn: Callable[..., Any]) -> Any:
        return await self._its_steps().step(name, fn)

    async def approval(self, name: str, detail: Any = None) -> Approval:
        return await self._its_steps().approval(name, detail)

    def _its_steps(self) -> Steps:
        if self._steps is None:  # few turns have any
            self._steps = Steps(self._asker, self.session, self.seq, self.version, self._limits, self._alive)
        return self._steps

    @property
    def refused(self) -> ResponderRefused | None:
        """What its code was refused and may have caught: the turn fails all the same."""
        return None if self._steps is None else self._steps.refused

    def report_usage(self, usage: Usage) -> None:
        self._call.usage = checked_usage(usage, self._limits.usage_bytes)

    def state_changes(self) -> tuple[dict[str, Any] | None, int | None]:
        """What the reply is to record: key to value, None clears; and the session's state size afterwards, in bytes."""
        return (None, None) if self._state is None else self._state.changes()


class LiveState:
    """The session's K/V state with this attempt's changes on top: respond.port.State."""

    def __init__(self, table: View, session: SessionId, limits: Limits) -> None:
        self._table = table
        self._session = session
        self._limits = limits
        self._changes: dict[str, bytes | None] = {}
        self._size_bytes = rows.read_head(table, session).state_bytes

    def get(self, key: str, default: Any = None) -> Any:
        raw = self._raw(key)
        return default if raw is None else msgspec.json.decode(raw)

    def _raw(self, key: str) -> bytes | None:
        if key in self._changes:
            return self._changes[key]
        return self._table.get(rows.state_key(self._session, key))

    def set(self, key: str, value: Any) -> None:
        checked_key(key)
        if value is None:
            self.clear(key)
            return
        raw = codec.write_json(value)
        if b"null" in raw and codec.loses_a_number(value):
            raise BadInput(f"the value of {key!r} has a number that JSON does not know (nan or inf)")
        if len(raw) > self._limits.state_value_bytes:
            raise BadInput(f"the value of {key!r} has {len(raw)} bytes, at most {self._limits.state_value_bytes} are allowed")
        size_bytes = self._size_bytes + cost_bytes(key, raw) - cost_bytes(key, self._raw(key))
        if size_bytes > self._limits.state_bytes:
            raise BadInput(f"the session's state would have {size_bytes} bytes, at most {self._limits.state_bytes} are allowed")
        self._size_bytes = size_bytes
        self._changes[key] = raw

    def clear(self, key: str) -> None:
        checked_key(key)
        self._size_bytes -= cost_bytes(key, self._raw(key))
        self._changes[key] = None

    def keys(self) -> Sequence[str]:
        prefix = rows.state_key(self._session, "")
        stored = {key[len(prefix) :].decode() for key, _ in self._table.scan(prefix, rows.after_prefix(prefix))}
        set_now = {key for key, raw in self._changes.items() if raw is not None}
        cleared = {key for key, raw in self._changes.items() if raw is None}
        return sorted((stored | set_now) - cleared)

    def changes(self) -> tuple[dict[str, Any] | None, int | None]:
        if not self._changes:
            return None, None
        changed = {key: None if raw is None else msgspec.json.decode(raw) for key, raw in self._changes.items()}
        return changed, self._size_bytes


def events_back(table: View, session: SessionId) -> Iterator[AnyEvent]:
    """A session's events from the newest back, read as they are asked for."""
    start = rows.entry_key(session, 0)
    for _, raw in table.scan_back(start, start[:-8] + b"\xff" * 8):
        yield event_of(rows.entry_of(raw))


def read_message(table: View, session: SessionId, seq: Seq) -> MessageAccepted | None:
    """The user's message with that seq, None when the event is another or missing."""
    entry = rows.read_entry(table, session, seq)
    event = None if entry is None else event_of(entry)
    return event if isinstance(event, MessageAccepted) else None
