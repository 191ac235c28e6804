"""Conditional requests: does the client have this version already?"""

from typing import Final

NO_CACHE: Final = "private, no-cache"
"""The reader may keep it, but has to ask every time: what was erased since is not shown. Shared caches keep nothing."""
NO_STORE: Final = "no-store"


def matches(if_none_match: str | None, etag: str) -> bool:
    """Does an If-None-Match header name this ETag? Weakly compared, as RFC 9110 wants it for GET."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    return any(candidate.strip().removeprefix("W/") == etag for candidate in if_none_match.split(","))
