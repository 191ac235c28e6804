"""The time of day as events carry it."""

import time
from datetime import UTC, datetime


def now_ms() -> int:
    """Milliseconds since 1970 by the system's clock."""
    return time.time_ns() // 1_000_000


def rfc3339(at_ms: int) -> str:
    """A time in UTC with milliseconds, always 24 characters, so that such texts sort as the times do."""
    seconds, millis = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{millis:03d}Z"
