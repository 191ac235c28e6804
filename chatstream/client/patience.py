"""How long and how often the client tries, in one place."""

import math
import random
from typing import Final

import msgspec

FOR_EVER: Final = math.inf


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one client. Times are in seconds."""

    attempts: int = 8
    """Of one request, while trying again can help: 1 means that nothing is tried twice."""
    first_s: float = 0.1
    """Before the second attempt; doubles from there, with jitter."""
    most_s: float = 5.0
    """The longest such pause."""
    asked_most_s: float = 60.0
    """The longest pause that a node may ask for with `Retry-After`; a longer one is cut to it."""
    away_s: float = 300.0
    """How long a follower goes on trying while nobody answers; FOR_EVER: always."""
    connect_s: float = 5.0
    """Until a connection stands."""
    answer_s: float = 30.0
    """Until an answer is there, beyond the time that the node was asked to wait."""
    silence_s: float = 45.0
    """Longest silence on a stream: three heartbeats."""
    poll_s: float = 25.0
    """How long a node holds a long poll."""
    hold_s: int = 50
    """How long a node is asked to hold a message until its answer, each time; it does at most 55."""
    bytes_most: int = 64 * 1024 * 1024
    """Of one answer or one frame of a stream: a page is at most a quarter of that."""

    def pause_s(self, failures: int, asked_s: float | None = None) -> float:
        """How long to wait after so many failures in a row (1 or more). asked_s: what the node asked for."""
        own_s = min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 30)) * random.uniform(0.5, 1.0)
        return max(own_s, min(asked_s or 0.0, self.asked_most_s))
