"""Cursors as HTTP clients see them: opaque text whose lexicographic order is the order of the log.

A token is `0000000000000000_` and the seq of the last event read, in 16 digits. Nothing of Kafka is in it.
"""

import random
from collections.abc import Callable
from typing import Final

_PREFIX: Final = "0000000000000000_"
_DIGITS: Final = 16

_INTERVAL_S: Final = 20
_COUNTED_FROM_S: Final = 1_728_432_000
"""9 October 2024, 00:00 UTC: where the Durable Streams protocol counts its intervals from."""
_AHEAD_MOST: Final = 3600 // _INTERVAL_S
_STREAM_CURSOR_DIGITS_MOST: Final = 15


def token(seq: int) -> str:
    """The cursor behind event `seq`; 0 is the start."""
    return f"{_PREFIX}{seq:0{_DIGITS}d}"


def seq_of(text: str) -> int | None:
    """The seq of a token, None when it is none of ours."""
    digits = text[len(_PREFIX) :]
    if not text.startswith(_PREFIX) or len(digits) != _DIGITS or not (digits.isascii() and digits.isdecimal()):
        return None
    return int(digits)


def stream_cursor(asked: str | None, now_s: float, ahead: Callable[[int, int], int] = random.randint) -> str:
    """The `Stream-Cursor` of a live answer: number of the current interval, and always above the one the client brought.

    So that a cache between us never gives a client the same empty answer for ever.
    """
    current = int(now_s - _COUNTED_FROM_S) // _INTERVAL_S
    if asked is None or not (asked.isascii() and asked.isdecimal()) or len(asked) > _STREAM_CURSOR_DIGITS_MOST:
        return str(current)
    brought = int(asked)
    return str(current if brought < current else brought + ahead(1, _AHEAD_MOST))


def later_cursor(earlier: str, now_s: float) -> str:
    """The `Stream-Cursor` of a later frame of the same stream: never below the earlier one."""
    return str(max(int(earlier), int(stream_cursor(None, now_s))))
