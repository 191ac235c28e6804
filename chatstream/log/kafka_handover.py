"""What the consumer's thread hands to the event loop: in order, many per wake-up, and never more than a limit of records."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Final

from chatstream.core.limits import MIB

RECORDS_MAX: Final = 10_000
BYTES_MAX: Final = 64 * MIB
"""Handed over and not yet taken: beyond it the thread does not ask the library for more."""


class Handover:
    """A queue from one thread to the event loop. Its items are called there."""

    def __init__(self, loop: asyncio.AbstractEventLoop, records_max: int = RECORDS_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._loop = loop
        self._records_max = records_max
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._items: list[tuple[Callable[[], object], int, int]] = []
        self._records = 0
        self._bytes = 0
        self._woken = False

    def put(self, item: Callable[[], object], records: int = 0, size_bytes: int = 0) -> None:
        """Have the loop call item. records, size_bytes: what it brings, counted until it was called."""
        with self._lock:
            self._items.append((item, records, size_bytes))
            self._records += records
            self._bytes += size_bytes
            wake = not self._woken
            self._woken = True
        if wake:
            # A closed loop takes nothing any more: the process is ending.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._take)

    @property
    def full(self) -> bool:
        """At the limit: wait until the loop has taken some."""
        return self._records >= self._records_max or self._bytes >= self._bytes_max

    def _take(self) -> None:
        with self._lock:
            items, self._items = self._items, []
            self._woken = False
        for item, records, size_bytes in items:
            item()
            with self._lock:
                self._records -= records
                self._bytes -= size_bytes
