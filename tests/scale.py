"""How much of it: tests with real processes have a quick form, and a full one with CHATSTREAM_CHAOS=full."""

import os
import random
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import pytest

from tests.until import until


class Scale(NamedTuple):
    """messages, kills: in one test. limit_s: the longest that one test may take."""

    messages: int
    kills: int
    limit_s: int


FULL: Final = os.environ.get("CHATSTREAM_CHAOS") == "full"
full_only: Final = pytest.mark.skipif(not FULL, reason="part of `make chaos` alone")
"""For what the quick form has no time for: others attack it there too, if not with as much around it."""
SCALE: Final = Scale(messages=4_000, kills=10, limit_s=600) if FULL else Scale(messages=600, kills=3, limit_s=120)


async def spread(times: int, messages: int, done: Callable[[], int], act: Callable[[int], Awaitable[None]]) -> None:
    """Act so many times while messages are answered: each time at a random moment of the next part of them.

    done: how many are answered by now; act: gets 0, 1, 2, …
    """
    for number in range(times):
        moment = round((number + random.random()) / times * messages * 0.9)
        await _reached(done, moment)
        await act(number)


async def _reached(done: Callable[[], int], count: int) -> None:
    await until(lambda: done() >= count, SCALE.limit_s, f"{count} messages are answered", lambda: f"there are {done()}")
