"""Logging to stderr: JSON lines for machines, short readable lines when a person looks at a terminal."""

import logging
import sys
from datetime import UTC, datetime
from typing import Final, TextIO

import msgspec

_QUIET: Final = ("aiohttp.access",)
"""One line a request would bury everything else; /metrics counts them."""


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and error with the traceback when there is one."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": _time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return msgspec.json.encode(fields).decode()


class Readable(logging.Formatter):
    """`12:30:01 warning message`, and the traceback below it when there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_time(record).astimezone():%H:%M:%S} {record.levelname.lower()} {record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def set_up(level: str, stream: TextIO | None = None) -> None:
    """Send everything from `level` on to stream, stderr by default. Repeatable: the last call holds."""
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(Readable() if target.isatty() else JsonLines())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)
