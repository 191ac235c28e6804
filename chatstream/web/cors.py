"""What browsers are told with every answer: which pages of other origins may read it, and to take it for nothing else.

Whether a page may ask at all is origin.py's matter; an origin that may read may ask, too.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web

METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE"
ASKED: Final = "Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Prefer, X-Request-Id"
"""Headers that a page may send."""
EXPOSED: Final = (
    "Content-Disposition, ETag, Location, Preference-Applied, Retry-After, Stream-Cursor, Stream-Next-Offset, "
    "Stream-Up-To-Date, X-Request-Id"
)
"""Headers that a page may read."""
PREFLIGHT_AGE_S: Final = 7_200
"""How long a browser may remember a preflight's answer: the longest that Chromium does."""

Prepare = Callable[[web.Request, web.StreamResponse], Awaitable[None]]


class Cors:
    """The origins whose pages may read answers; lower case, without a slash at the end. Empty: none but the node's own."""

    def __init__(self, origins: frozenset[str]) -> None:
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)

    def is_preflight(self, request: web.Request) -> bool:
        """Does a browser ask whether a page of a listed origin may ask?"""
        return (
            request.method == hdrs.METH_OPTIONS
            and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
            and self._lists(request.headers.get(hdrs.ORIGIN))
        )

    def preflight(self) -> web.Response:
        """The answer to that: for every path the same, what is not there is said to the request itself."""
        headers = {
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: METHODS,
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: ASKED,
            hdrs.ACCESS_CONTROL_MAX_AGE: str(PREFLIGHT_AGE_S),
        }
        return web.Response(status=204, headers=headers)

    def prepare(self) -> Prepare:
        """What an application calls right before the head of an answer is sent, a stream's too."""

        async def add_headers(request: web.Request, answer: web.StreamResponse) -> None:
            headers, origin = answer.headers, request.headers.get(hdrs.ORIGIN)
            headers["X-Content-Type-Options"] = "nosniff"
            listed = self._lists(origin)
            headers["Cross-Origin-Resource-Policy"] = "cross-origin" if listed else "same-origin"
            if self._origins:
                varied = headers.get(hdrs.VARY)
                headers[hdrs.VARY] = hdrs.ORIGIN if varied is None else f"{varied}, {hdrs.ORIGIN}"
            if listed and origin is not None:
                headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
                headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED

        return add_headers

    def _lists(self, origin: str | None) -> bool:
        return origin is not None and origin.lower() in self._origins
