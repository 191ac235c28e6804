"""A session's K/V state, as rows hold it: what a value costs, and the tag that names it."""

import hashlib


def cost_bytes(key: str, raw: bytes | None) -> int:
    """What a value counts against the session's limit; None: there is no such value."""
    return 0 if raw is None else len(key.encode()) + len(raw)


def tag_of(raw: bytes) -> str:
    """A value's tag for `If-Match`: the same for the same JSON, whoever wrote it."""
    return hashlib.blake2b(raw, digest_size=12).hexdigest()


def matches(if_match: str, raw: bytes | None) -> bool:
    """Is the value as the one who writes over it believes? An empty if_match believes nothing."""
    if not if_match:
        return True
    return raw is not None and if_match in ("*", tag_of(raw))
