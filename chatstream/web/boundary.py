"""The boundary every request passes: its id, who may ask, what its errors become, and what is counted of it."""

import logging
import secrets
from itertools import count
from time import perf_counter
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from chatstream.core.errors import ChatstreamError, NotOwner
from chatstream.core.ids import ID_CHARS_MAX
from chatstream.web import problems
from chatstream.web.cors import Cors
from chatstream.web.metrics import HttpMetrics
from chatstream.web.origin import Doorkeeper
from chatstream.web.problems import Problem
from chatstream.web.proxy import pass_on
from chatstream.web.settings import HELD, REQUEST_ID, REQUEST_ID_HEADER, WebSettings

log = logging.getLogger(__name__)

_ID_CHARS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@~-")


class Boundary:
    """One middleware for all of it: each one more costs every request. Created once per application."""

    def __init__(self, settings: WebSettings, metrics: HttpMetrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._doorkeeper = Doorkeeper(settings.allowed_hosts, settings.allowed_origins | settings.cors_origins)
        self._cors = Cors(settings.cors_origins)
        self._prefix = secrets.token_hex(4)
        self._numbers = count(1)

    def middleware(self) -> Middleware:
        """The middleware, for web.Application."""

        @web.middleware
        async def cross(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._cross(request, handler)

        return cross

    async def _cross(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        began_s = perf_counter()
        request_id = self._request_id(request.headers.get(REQUEST_ID_HEADER))
        request[REQUEST_ID] = request_id
        try:
            self._doorkeeper.check(request.headers.get("Host"), request.headers.get("Origin"))
            try:
                answer = self._cors.preflight() if self._cors.is_preflight(request) else await handler(request)
            except NotOwner as error:
                answer = await pass_on(request, error)
        except Problem as problem:
            answer = problems.response(problem, request_id)
        except ChatstreamError as error:
            answer = problems.response(problems.of_error(error, self._settings.retry_after_s), request_id)
        except web.HTTPException as error:
            answer = problems.response(problems.of_http(error), request_id)
        except Exception as error:
            log.exception("request %s: %s %s failed", request_id, request.method, request.path)
            if request.writer.output_size > 0:
                # A stream has begun: all that can still be said is that it is broken.
                raise ConnectionResetError("the answer was under way already") from error
            answer = problems.response(_internal(request_id), request_id)
        if not answer.prepared:
            answer.headers[REQUEST_ID_HEADER] = request_id
        resource = request.match_info.route.resource
        route = "unmatched" if resource is None else resource.canonical
        self._metrics.count(route, request.method, answer.status, HELD in request, perf_counter() - began_s)
        return answer

    def _request_id(self, brought: str | None) -> str:
        """The caller's, so that one id follows a request through several services, if it is harmless to log and return."""
        if brought and len(brought) <= ID_CHARS_MAX and _ID_CHARS.issuperset(brought):
            return brought
        return f"{self._prefix}-{next(self._numbers)}"


def _internal(request_id: str) -> Problem:
    return Problem(500, "internal", f"something went wrong here; the log has the details under {request_id}")
