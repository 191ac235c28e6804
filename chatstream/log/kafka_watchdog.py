"""Ends a process whose consumer thread is stuck: it would keep its partitions by heartbeats and answer nobody."""

import logging
import os
import threading
from collections.abc import Callable
from typing import Final

LOOKS: Final = 20
"""How many looks in a row must find no turn. Looks are counted, not seconds: a process that was stopped (SIGSTOP, a
suspended laptop) and goes on has not been stuck."""

logger = logging.getLogger(__name__)


def end_process(sentence: str) -> None:
    """The default action: say why and end, as kill -9 would."""
    logger.critical("%s: ending the process", sentence)
    for handler in logging.getLogger().handlers:
        handler.flush()
    os._exit(70)


class Watchdog:
    """Watches a counter that has to move. limit_s: how long it may stand still."""

    def __init__(
        self, what: str, turns: Callable[[], int], limit_s: float, action: Callable[[str], None] = end_process
    ) -> None:
        self._what = what
        self._turns = turns
        self._limit_s = limit_s
        self._action = action
        self._over = threading.Event()

    def start(self) -> None:
        """Start watching, in a thread of its own."""
        threading.Thread(target=self._watch, name="kafka-watchdog", daemon=True).start()

    def stop(self) -> None:
        """Watch no more. Repeatable."""
        self._over.set()

    def _watch(self) -> None:
        seen = -1
        still = 0
        while not self._over.wait(self._limit_s / LOOKS):
            turns = self._turns()
            still = still + 1 if turns == seen else 0
            seen = turns
            if still >= LOOKS:
                self._action(f"{self._what} made no turn for {self._limit_s:g} s")
                return
