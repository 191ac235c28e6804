"""What becomes of a writer whose table breaks in the middle of its work."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from chatstream.core.errors import TableBroken
from chatstream.engine.surroundings import Doubt, broken_table


class Distrusting(Protocol):
    """A writer."""

    def distrust(self, doubt: Doubt) -> None: ...


W = TypeVar("W", bound=Distrusting)
P = ParamSpec("P")


def ends_on_broken_table(method: Callable[Concatenate[W, P], None]) -> Callable[Concatenate[W, P], None]:
    """A table that cannot be read or written ends the writer; the next one folds it again."""

    @wraps(method)
    def guarded(self: W, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except TableBroken as error:
            self.distrust(broken_table(error))

    return guarded
