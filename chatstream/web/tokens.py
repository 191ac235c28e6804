"""Cursors as HTTP clients see them: opaque text, and nothing of Kafka is in it.

Of a session's events a token, whose lexicographic order is the order of the log: `0000000000000000_` and the seq of the last
event read, in 16 digits. Of the list of sessions the place of the last one shown: its time and its id, packed.
"""

import binascii
import random
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Final

from chatstream.core.errors import BadId
from chatstream.core.ids import ID_CHARS_MAX, session_id
from chatstream.table.listing import Place
from chatstream.table.rows import inverted

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


_TIME_CHARS_MOST: Final = 40
_CURSOR_CHARS_MOST: Final = (_TIME_CHARS_MOST + 1 + ID_CHARS_MAX) * 4 // 3 + 4


def list_cursor(place: Place) -> str:
    """The cursor behind a session of the list."""
    return urlsafe_b64encode(f"{place.time}/{place.session}".encode()).decode().rstrip("=")


def place_of(text: str) -> Place | None:
    """The place of a list's cursor, None when it is none of ours."""
    if len(text) > _CURSOR_CHARS_MOST:
        return None
    try:
        raw = urlsafe_b64decode((text + "=" * (-len(text) % 4)).encode("ascii")).decode("ascii")
        time, _, session = raw.partition("/")
        place = Place(inverted(time), session_id(session))
    except (UnicodeError, binascii.Error, BadId):
        return None
    # What decodes to the same place in another spelling was not made here.
    return place if time and len(time) <= _TIME_CHARS_MOST and list_cursor(place) == text else None
