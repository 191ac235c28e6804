"""One route as data: what may be asked there and what it is answered with. routes.py lists them all.

Kinds are types as msgspec reads them, so that the document at /openapi.json and the tests that try everything wrong come from
the same lines as the handlers' own structs.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from aiohttp.typedefs import Handler
from msgspec import Meta

from chatstream.core.ids import ID_CHARS_MAX
from chatstream.core.limits import Limits

JSON: Final = "application/json"
TEXT: Final = "text/plain"
SSE: Final = "text/event-stream"

Id = Annotated[str, Meta(pattern=rf"^[A-Za-z0-9._:@~-]{{1,{ID_CHARS_MAX}}}$", description="An id; never `.` or `..`.")]
Key = Annotated[
    str, Meta(pattern=rf"^[^/\x00-\x1f\x7f]{{1,{ID_CHARS_MAX}}}$", description="Printable characters; never `.` or `..`.")
]
KafkaOffset = Annotated[str, Meta(pattern=r"^[0-9]{1,18}$")]
Anything = Annotated[str, Meta(min_length=1)]

PATH: Final[Mapping[str, Any]] = {
    "session": Id,
    "name": Id,
    "key": Key,
    "offset": KafkaOffset,
    "view": Anything,
    "version": Anything,
    "path": Anything,
}
"""What stands between braces in a path, by its name."""


class Param(msgspec.Struct, frozen=True):
    """A parameter of the query, or a header. Never required.

    kind: what it may be; anything else is a 400, and so is the same one twice. is_wish: it is never refused, what cannot be
    read is ignored.
    """

    name: str
    kind: Any
    about: str
    place: Literal["query", "header"] = "query"
    is_wish: bool = False


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """What a request may bring.

    kinds: by media type. A command's struct stands for its fields without `type`, and without those in of_path, which the
    path gives. also: what its schema says beside its fields. most_bytes: of the raw body; more is a 413. is_needed: none at
    all is a 400.
    """

    kinds: Mapping[str, Any]
    most_bytes: Callable[[Limits], int]
    is_needed: bool = False
    of_path: frozenset[str] = frozenset()
    also: Mapping[str, Any] = {}


class Answer(msgspec.Struct, frozen=True):
    """An answer that is no problem.

    kinds: by media type; empty where there is no body. headers: names, beside X-Request-Id, which all have. frames: of a
    stream, what one frame may be.
    """

    status: int
    kinds: Mapping[str, Any] = {}
    headers: tuple[str, ...] = ()
    frames: Any = None


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A method at a path. path: as aiohttp writes it. What it is for is the handler's docstring.

    refused: the statuses of its problems; those that every route has (problems.ALWAYS) are not named. has_head: HEAD is
    answered as GET is; not where a GET may wait. needs_log: only where the application was given the log.
    """

    method: str
    path: str
    handler: Handler
    answers: tuple[Answer, ...]
    params: tuple[Param, ...] = ()
    body: Body | None = None
    refused: tuple[int, ...] = ()
    has_head: bool = True
    needs_log: bool = False
