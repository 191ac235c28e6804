"""What ends a node that has a bug: an exception in what the log or a timer calls must not be logged and forgotten."""

from collections.abc import Callable
from types import TracebackType


class Guard:
    """Stands around every such call. fail: told of the exception, which goes no further.

    Without it the event loop would go on with a record half decided, and the next one would carry the position past it.
    """

    __slots__ = ("_fail",)

    def __init__(self, fail: Callable[[BaseException], None]) -> None:
        self._fail = fail

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if not isinstance(error, Exception):
            return False
        self._fail(error)
        return True
