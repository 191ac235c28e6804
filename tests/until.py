"""Waiting in tests: for a condition, with a deadline, and with what there was to see when it passed."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

LOOK_S: Final = 0.05


async def until(condition: Callable[[], bool], wait_s: float, what: str, seen: Callable[[], str] | None = None) -> None:
    """Wait until the condition holds. It may block for a moment: it runs in a thread. Raises AssertionError at the deadline."""
    deadline = time.monotonic() + wait_s
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, f"not within {wait_s:g} s: {what}\n{seen() if seen else ''}"
        await asyncio.sleep(LOOK_S)
