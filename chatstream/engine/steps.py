"""The steps and approvals that an attempt's code asks for: answered from the rows, or recorded before they are answered."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from chatstream.core.errors import BadInput, ResponderRefused
from chatstream.core.events import ApprovalDecided, ApprovalRequested, StepCompleted
from chatstream.core.ids import Seq, SessionId, Version, name_of
from chatstream.core.limits import Limits
from chatstream.core.session import Parked, Stepped
from chatstream.engine.outcomes import checked_json
from chatstream.respond import steps
from chatstream.respond.failures import RESPONDER_ERROR, TOO_MANY_STEPS
from chatstream.respond.port import Approval, Step
from chatstream.table import rows
from chatstream.table.port import View
from chatstream.table.reads import event_of

E = TypeVar("E", StepCompleted, ApprovalDecided)


Alive = Callable[[], bool]
"""Notes a sign of life of a call; False when the call is over."""


class Recording(Protocol):
    """The partition's side of a step."""

    @property
    def table(self) -> View:
        """The confirmed rows."""

    def record(self, session: SessionId, turn: Seq, version: Version, what: Stepped | Parked) -> asyncio.Future[None]:
        """Append a step of the running turn. Completes when it is confirmed, and is cancelled when the turn is over."""


class Steps:
    """The steps and approvals of one attempt. refused: what its code was refused, and may have caught."""

    def __init__(
        self, recording: Recording, session: SessionId, turn: Seq, version: Version, limits: Limits, alive: Alive
    ) -> None:
        self.refused: ResponderRefused | None = None
        self._recording = recording
        self._session = session
        self._turn = turn
        self._version = version
        self._table = recording.table
        self._limits = limits
        self._alive = alive
        self._used: dict[str, int] = {}
        self._count = 0

    async def step(self, name: str, fn: Callable[..., Any]) -> Any:
        """See respond.port.Turn."""
        numbered = self._next(name)
        found = self._found(numbered, StepCompleted)
        if found is not None:
            return found.result
        result = steps.call(fn, Step(f"{self._session}/{self._turn}/{self._version}/{numbered}"))
        if inspect.isawaitable(result):
            result = await result
        plain = self._checked(f"the result of step {name!r}", result)
        await self._record(Stepped(name=numbered, result=plain))
        recorded = self._found(numbered, StepCompleted)
        return plain if recorded is None else recorded.result  # an attempt before this may have been first

    async def approval(self, name: str, detail: Any) -> Approval:
        """See respond.port.Turn."""
        numbered = self._next(name)
        found = self._found(numbered, ApprovalDecided)
        if found is not None:
            return Approval(found.decision, found.comment)
        plain = self._checked(f"the detail of approval {name!r}", detail)
        await self._record(Parked(name=numbered, detail=plain))
        raise asyncio.CancelledError  # the turn is parked: its call was stopped with the confirmation

    def _checked(self, what: str, value: Any) -> Any:
        try:
            return checked_json(what, value, self._limits.step_bytes)
        except BadInput as error:
            # Not worth another attempt: what the step does would be done again.
            raise self._refusal(str(error)) from error

    def _refusal(self, why: str, failure: str = RESPONDER_ERROR) -> ResponderRefused:
        self.refused = ResponderRefused(why, failure=failure)
        return self.refused

    async def _record(self, what: Stepped | Parked) -> None:
        self._check_alive()
        await self._recording.record(self._session, self._turn, self._version, what)
        self._check_alive()

    def _check_alive(self) -> None:
        if not self._alive():
            raise asyncio.CancelledError  # its code caught the first one, and goes on

    def _next(self, name: str) -> str:
        """The name with its number in this attempt."""
        self._check_alive()
        if self._count >= self._limits.steps:
            raise self._refusal(f"the turn takes more than {self._limits.steps} steps", TOO_MANY_STEPS)
        number = self._used[name] = self._used.get(name_of(name), 0) + 1
        self._count += 1
        return f"{name}#{number}"

    def _found(self, numbered: str, kind: type[E]) -> E | None:
        """What is recorded under the name, if anything is that was decided. Raises ResponderRefused for another kind."""
        seq = rows.read_step(self._table, self._session, self._turn, self._version, numbered)
        entry = None if seq is None else rows.read_entry(self._table, self._session, seq)
        if entry is None:
            return None
        event = event_of(entry)
        if isinstance(event, kind):
            return event
        if isinstance(event, ApprovalRequested) and kind is ApprovalDecided:
            return None
        raise self._refusal(f"{numbered} is another kind of step than it was when the turn began: was the code changed?")
