"""Models that cost nothing: what is measured is chatstream."""

import asyncio
from collections.abc import AsyncIterator

from chatstream.respond.port import Turn

RECALLING = "m"
ANSWER = "A stub's answer of two hundred characters. " * 5


async def respond(_: Turn) -> AsyncIterator[str]:
    """At once."""
    yield ANSWER[:200]


async def one_second(_: Turn) -> AsyncIterator[str]:
    """After a second, as a real model would at best."""
    await asyncio.sleep(1)
    yield ANSWER[:200]


async def pieces(turn: Turn) -> AsyncIterator[str]:
    """Markdown in 8,000 pieces, 1,000 a second, to who asks for pieces; else a short answer at once."""
    if turn.text != "pieces":
        yield f"**An answer** of some words, with `code` in it.\n\n- {ANSWER[:80]}\n- and another point\n"
        return
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for number in range(8_000):
        await asyncio.sleep(max(0.0, began_s + number / 1_000 - loop.time()))
        yield "\n\n" if number % 80 == 79 else f"word{number} "


async def with_history(turn: Turn) -> AsyncIterator[str]:
    """At once; for a message that begins so, having read all that the prompt window holds."""
    if not turn.text.startswith(RECALLING):
        yield ANSWER[:200]
        return
    yield f"{len(turn.history)} messages before this one".ljust(200)
