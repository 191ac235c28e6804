"""Nobody answers a reader that goes on for ever: it tries again, less and less often, and in the end says so."""

import asyncio
from collections.abc import Callable

from chatstream.client.patience import Patience
from chatstream.core.errors import ChatstreamError

Told = Callable[[ChatstreamError | None], None]
"""Is called with the reason when a reader has lost its node, and with None when it reads again."""


class Absence:
    """How long a reader has been without its node. told: is called when that begins and when it is over."""

    def __init__(self, patience: Patience, told: Told | None) -> None:
        self._patience = patience
        self._told = told
        self._since_s: float | None = None
        self._failures = 0

    def over(self) -> None:
        """Something came. Repeatable."""
        if self._since_s is None:
            return
        self._since_s, self._failures = None, 0
        if self._told is not None:
            self._told(None)

    async def wait(self, error: ChatstreamError) -> None:
        """Wait before the next try. Raises the error where no try helps, and where it has lasted too long."""
        now_s = asyncio.get_running_loop().time()
        if not error.retryable:
            raise error
        if self._since_s is None:
            self._since_s = now_s
            if self._told is not None:
                self._told(error)
        if now_s - self._since_s >= self._patience.away_s:
            raise error
        self._failures += 1
        await asyncio.sleep(self._patience.pause_s(self._failures, error.retry_after_s))

    async def rest(self) -> None:
        """Between two rounds of which the first brought nothing: a node that ends each at once is not asked without pause."""
        await asyncio.sleep(self._patience.pause_s(1))
