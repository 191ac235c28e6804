"""The time of day as events carry it."""

import time
from datetime import UTC, datetime
from functools import lru_cache


def now_ms() -> int:
    """Milliseconds since 1970 by the system's clock."""
    return time.time_ns() // 1_000_000


def rfc3339(at_ms: int) -> str:
    """A time in UTC with milliseconds, always 24 characters, so that such texts sort as the times do."""
    seconds, millis = divmod(at_ms, 1000)
    return f"{_to_the_second(seconds)}.{millis:03d}Z"


# Thousands of events share a second, and its text costs as much as deciding an event.
@lru_cache(maxsize=4)
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
