"""A responder for tests with real processes: `--responder tests.scripted:respond`.

It takes 0 to 30 ms, and no two calls say the same, so that a turn answered twice shows. `sleep:SECONDS …` takes that long.
"""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator

from chatstream.respond.port import Turn

LONGEST_S = 0.03


async def respond(turn: Turn) -> AsyncIterator[str]:
    """The message back, with the number of the attempt, what was seen of the history, and a word never said before."""
    yield f"#{turn.attempt} history={len(turn.history)} "
    await asyncio.sleep(_wait_s(turn.text))
    yield f"{uuid.uuid4().hex} {turn.text}"


def _wait_s(text: str) -> float:
    if text.startswith("sleep:"):
        return float(text.removeprefix("sleep:").split()[0])
    return random.uniform(0, LONGEST_S)
