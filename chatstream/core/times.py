"""Times as texts and as numbers, by arithmetic alone: core has no clock, and no calendar that knows a time zone."""

import re
from typing import Final

_RFC3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_DAY_MS: Final = 86_400_000
_DAYS_OF_MONTH: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_EPOCH_DAYS: Final = 719_468
"""Days from the first of March of the year 0, from which both functions count, to 1970."""
_ERA_DAYS: Final = 146_097
"""Days of 400 years, after which the calendar repeats."""


def at_ms(text: str) -> int | None:
    """An RFC 3339 time as milliseconds since 1970, None for what is none. Digits below the millisecond are cut."""
    found = _RFC3339.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    if not (1 <= month <= 12 and 1 <= day <= _days_of(year, month) and hour < 24 and minute < 60 and second < 60):
        return None
    millis = int((found[7] or "0")[:3].ljust(3, "0"))
    zone_min = 0 if found[8] is None else (int(found[9]) * 60 + int(found[10])) * (-1 if found[8] == "-" else 1)
    return _days(year, month, day) * _DAY_MS + ((hour * 60 + minute - zone_min) * 60 + second) * 1000 + millis


def rfc3339(ms: int) -> str:
    """Milliseconds since 1970 as text in UTC, always 24 characters, so that such texts sort as the times do."""
    days, rest = divmod(ms, _DAY_MS)
    year, month, day = _date(days)
    seconds, millis = divmod(rest, 1000)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{year:04d}-{month:02d}-{day:02d}T{clock}.{millis:03d}Z"


def _days_of(year: int, month: int) -> int:
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return _DAYS_OF_MONTH[month - 1] + leap


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970. Years are counted from March on, so that the leap day is a year's last."""
    years = year - (month <= 2)
    era, of_era = divmod(years, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * _ERA_DAYS + of_era * 365 + of_era // 4 - of_era // 100 + day_of_year - _EPOCH_DAYS


def _date(days: int) -> tuple[int, int, int]:
    era, of_era = divmod(days + _EPOCH_DAYS, _ERA_DAYS)
    years = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    day_of_year = of_era - (365 * years + years // 4 - years // 100)
    month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month + 2) // 5 + 1
    civil = month + 3 if month < 10 else month - 9
    return era * 400 + years + (civil <= 2), civil, day
