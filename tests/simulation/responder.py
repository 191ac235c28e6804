"""A model that does what the message says, so that every way in which a turn can go is met.

Text: `<number> <script> [<argument>]`. echo: at once; slow S: after S seconds; drip S: three pieces, S between; flaky N:
fails N times first; refuse, raise, empty, never: as they say; note: writes down the session's state.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

from chatstream.core.errors import ResponderError, ResponderRefused
from chatstream.respond.port import Reply, Turn


class Call(NamedTuple):
    """A call that was made: for which turn, with which text."""

    session: str
    turn: int
    text: str


class Scripted:
    """See above. calls: where every call is noted, in order."""

    def __init__(self, calls: list[Call]) -> None:
        self.closed = False
        self._calls = calls

    async def respond(self, turn: Turn) -> AsyncIterator[str | Reply]:
        """See Responder."""
        self._calls.append(Call(turn.session, turn.seq, turn.text))
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
        if what == "note":
            turn.state.set("notes", [*turn.state.get("notes", []), number])
        if what == "drip":
            for _ in range(3):
                yield "drop "
                await asyncio.sleep(float(argument))
        if what != "empty":
            yield f"re {number} after {len(turn.history)}"

    async def close(self) -> None:
        """See Responder."""
        self.closed = True
