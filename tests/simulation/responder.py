"""A model that does what the message says, so that every way in which a turn can go is met.

Text: `<number> <script> [<argument>]`. echo: at once; slow S: after S seconds; drip S: three pieces, S between; flaky N:
fails N times first; refuse, raise, empty, never: as they say; note: adds to a list in the session's state; swap: sets one
key of it and clears another; steps S: takes three steps of S seconds; ask: asks somebody; deal S: a step of S seconds, a
question, and another step.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

from chatstream.core.errors import ResponderError, ResponderRefused
from chatstream.respond.port import Past, Reply, Turn
from tests.simulation.values import NOTES, SWAPPED, noted
from tests.simulation.waiting import Got


class Call(NamedTuple):
    """A call that was made: for which turn, with which text. shown: what users had said before, as the model saw it."""

    session: str
    turn: int
    text: str
    shown: tuple[str, ...] = ()


class Scripted:
    """See above. calls, gets: where every call is noted, and everything that a step or a decision gave. name: of this life."""

    def __init__(self, calls: list[Call], gets: list[Got], name: str) -> None:
        self.closed = False
        self._calls = calls
        self._gets = gets
        self._name = name
        self._done = 0
        self._summaries = 0

    async def respond(self, turn: Turn) -> AsyncIterator[str | Reply]:
        """See Responder."""
        shown = tuple(said.text for said in turn.history if said.role == "user")
        self._calls.append(Call(turn.session, turn.seq, turn.text, shown))
        number, what, argument = (*turn.text.split(), "", "")[:3]
        if what == "never":
            await asyncio.Event().wait()
        if what == "slow":
            await asyncio.sleep(float(argument))
        if what == "refuse":
            raise ResponderRefused("no", failure="refused")
        if what == "raise":
            raise ValueError("the user's code has a fault")
        if what == "flaky" and turn.attempt <= int(argument):
            yield "half a"
            raise ResponderError("try again", failure="overloaded")
        self._keep(turn, number, what)
        if what == "drip":
            for _ in range(3):
                yield "drop "
                await asyncio.sleep(float(argument))
        await self._on_the_way(turn, number, what, argument)
        if what != "empty":
            yield f"re {number} after {len(turn.history)}"

    def _keep(self, turn: Turn, number: str, what: str) -> None:
        if what == "note":
            turn.state.set(NOTES, noted(turn.state.get(NOTES, []), number))
        if what == "swap":
            turn.state.set(SWAPPED[0], number)
            turn.state.clear(SWAPPED[1])

    async def _on_the_way(self, turn: Turn, number: str, what: str, argument: str) -> None:
        if what in ("steps", "deal"):
            await self._step(turn, "one", float(argument))
        if what in ("ask", "deal"):
            decided = await turn.approval("ok", {"number": number})
            self._gets.append(Got(turn.session, turn.seq, turn.version, "ok#1", decided.decision))
        if what == "steps":
            await self._step(turn, "one", float(argument), 2)
        if what in ("steps", "deal"):
            await self._step(turn, "two", float(argument))

    async def _step(self, turn: Turn, name: str, seconds: float, use: int = 1) -> None:
        value = await turn.step(name, lambda step: self._do(step.key, seconds))
        self._gets.append(Got(turn.session, turn.seq, turn.version, f"{name}#{use}", value))

    async def _do(self, key: str, seconds: float) -> str:
        """Never the same twice, so that it shows which doing was recorded."""
        await asyncio.sleep(seconds)
        self._done += 1
        return f"{key} by {self._name} as its {self._done}."

    async def compact(self, past: Past) -> str:
        """Every third time it fails."""
        self._summaries += 1
        await asyncio.sleep(0.3)
        if self._summaries % 3 == 0:
            raise ResponderError("no summary this time")
        return f"{len(past.history)} in short"

    async def close(self) -> None:
        """See Responder."""
        self.closed = True
