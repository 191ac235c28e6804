"""Whether a failed attempt is worth another one, and after which wait. Pure: time and chance come in as arguments."""

from typing import Final

from chatstream.core.errors import ResponderError
from chatstream.core.limits import Limits

DOUBLINGS_MAX: Final = 30
"""Far above any sensible `retry_most_s`; keeps the power from overflowing when somebody allows a million attempts."""


def retry_wait_s(limits: Limits, attempt: int, error: ResponderError, elapsed_s: float, chance: float) -> float | None:
    """Seconds to wait before the next attempt; None to give up.

    attempt: the one that has just failed, from 1. elapsed_s: running time of the turn so far. chance: in [0, 1).
    The wait doubles from `retry_first_s`, of which one half is by chance, so that turns that failed together do not come
    back together. What the other side asks for (`retry_after_s`) is the least, up to `retry_most_s`. A wait that would
    not end within `turn_s` is not begun.
    """
    if not error.retryable or attempt >= limits.attempts:
        return None
    wait_s = max(_backoff_s(limits, attempt, chance), _asked_s(error.retry_after_s, chance))
    wait_s = min(wait_s, limits.retry_most_s)
    return wait_s if elapsed_s + wait_s < limits.turn_s else None


def _backoff_s(limits: Limits, attempt: int, chance: float) -> float:
    whole_s = min(limits.retry_first_s * 2.0 ** min(attempt - 1, DOUBLINGS_MAX), limits.retry_most_s)
    return whole_s * (1 + chance) / 2


def _asked_s(retry_after_s: float | None, chance: float) -> float:
    # Everybody whose limit was reached is told the same number: spread them over the quarter behind it.
    return 0.0 if retry_after_s is None else retry_after_s * (1 + chance / 4)
