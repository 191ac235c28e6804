"""Models that cost nothing: what is measured is chatstream."""

import asyncio
from collections.abc import AsyncIterator

from chatstream.respond.port import Turn

ANSWER = "A stub's answer of two hundred characters. " * 5


async def respond(_: Turn) -> AsyncIterator[str]:
    """At once."""
    yield ANSWER[:200]


async def one_second(_: Turn) -> AsyncIterator[str]:
    """After a second, as a real model would at best."""
    await asyncio.sleep(1)
    yield ANSWER[:200]


async def with_history(turn: Turn) -> AsyncIterator[str]:
    """At once, but having read all that the prompt window holds."""
    yield f"{len(turn.history)} messages before this one".ljust(200)
