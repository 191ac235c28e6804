"""Listening: an application on a socket, with problem documents even for what never reached the application."""

import asyncio
import logging
import secrets
import socket
from typing import Any, Final

from aiohttp import web

from chatstream.core.errors import BadSettings
from chatstream.web import problems
from chatstream.web.problems import Problem
from chatstream.web.settings import REQUEST_ID_HEADER

log = logging.getLogger(__name__)

SHUTDOWN_S: Final = 3.0
"""How long answers under way may take to be written once every held request was woken."""
KEEPALIVE_S: Final = 75.0
"""Longer than common proxies keep an idle connection (60 s), so that they close it and not we under their next request."""
HEADER_BYTES_MOST: Final = 8190
HEADERS_MOST: Final = 100
BACKLOG: Final = 1024


class Connection(web.RequestHandler):
    """One client's connection. What its parser refuses is answered like everything else that is refused."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The answer to what is no HTTP request, or to an error outside the application. Ends the connection."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was under way already") from exc
        request_id = secrets.token_hex(8)
        if status < 500:
            log.debug("request %s could not be parsed: %s", request_id, exc)
            problem = Problem(status, "malformed-request", " ".join((message or "this is not an HTTP/1.1 request").split()))
        else:
            log.error("request %s failed outside the application", request_id, exc_info=exc)
            problem = Problem(status, "internal", f"something went wrong here; the log has the details under {request_id}")
        answer = problems.response(problem, request_id)
        answer.headers[REQUEST_ID_HEADER] = request_id
        answer.force_close()
        return answer


class HttpServer:
    """An application that listens. port 0 chooses a free one. bound: a socket to listen on, in place of host and port."""

    def __init__(self, app: web.Application, host: str, port: int, bound: socket.socket | None = None) -> None:
        self._runner = web.AppRunner(
            app,
            handle_signals=False,
            # A client that has left frees its place among the readers.
            handler_cancellation=True,
            shutdown_timeout=SHUTDOWN_S,
        )
        self._host = host
        self._port = port
        self._bound = bound
        self._listener: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    async def start(self) -> None:
        """Listen. Raises BadSettings when the address cannot be had."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        try:
            self._listener = await loop.create_server(self._connection, **self._place(), backlog=BACKLOG, start_serving=True)
        except OSError as error:
            await self._runner.cleanup()
            raise BadSettings(f"cannot listen on {self._host}:{self._port}: {error.strerror or error}") from error
        self._port = self._listener.sockets[0].getsockname()[1]

    def _place(self) -> dict[str, Any]:
        if self._bound is not None:
            return {"sock": self._bound}
        return {"host": self._host, "port": self._port, "reuse_address": True}

    def _connection(self) -> Connection:
        server = self._runner.server
        assert server is not None  # between setup and cleanup there is one
        return Connection(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=KEEPALIVE_S,
            tcp_keepalive=True,
            access_log=None,  # type: ignore[arg-type]  # None switches it off, as web.run_app documents
            debug=False,
            max_line_size=HEADER_BYTES_MOST,
            max_field_size=HEADER_BYTES_MOST,
            max_headers=HEADERS_MOST,
            lingering_time=1.0,
            auto_decompress=False,
        )

    async def close(self) -> None:
        """Take no more connections, end held requests, let answers under way be written, close. Repeatable."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            await self._runner.cleanup()
