"""The application: what handlers find under which key, and how it starts and ends. Its routes are in routes.py."""

from collections.abc import Mapping

from aiohttp import HttpVersion11, hdrs, web

from chatstream.core.limits import Limits
from chatstream.engine.desk import Desk
from chatstream.engine.letters import DeadLetters
from chatstream.log.port import Log
from chatstream.web import cluster, export, health, history, letters
from chatstream.web.bodies import body_bytes_most
from chatstream.web.boundary import Boundary
from chatstream.web.cors import Cors
from chatstream.web.metrics import HttpMetrics
from chatstream.web.openapi import CONTRACT, Contract
from chatstream.web.peers import opened_peers
from chatstream.web.read_pages import READ_PAGES, ReadPages
from chatstream.web.route import Route
from chatstream.web.routes import ROUTES
from chatstream.web.settings import DESK, LIMITS, PASSED_ON, REGISTRY, SETTINGS, EngineCounters, WebSettings


def _no_counters() -> Mapping[str, float]:
    return {}


def make_app(
    desk: Desk,
    limits: Limits,
    settings: WebSettings | None = None,
    counters: EngineCounters = _no_counters,
    log: Log | None = None,
) -> web.Application:
    """The HTTP side of a node. counters: the engine's own numbers for /metrics. log: where its dead letters are read."""
    settings = settings or WebSettings()
    metrics = HttpMetrics()
    app = web.Application(
        middlewares=[Boundary(settings, metrics).middleware()],
        client_max_size=body_bytes_most(limits),
    )
    app[DESK] = desk
    app[LIMITS] = limits
    app[SETTINGS] = settings
    app[PASSED_ON] = set()
    app[READ_PAGES] = ReadPages(limits.read_pages_bytes)
    app[export.EXPORTS] = set()
    app[REGISTRY] = health.registry_of(desk, counters, metrics)
    app[history.HISTORY] = history.History(metrics)
    app.cleanup_ctx.append(history.sampling)
    if log is not None:
        app[cluster.LOG] = log
        app[letters.LETTERS] = DeadLetters(log, lambda: desk.partitions)
    routes = [route for route in ROUTES if log is not None or not route.needs_log]
    app.add_routes(map(_registered, routes))
    app[CONTRACT] = Contract(routes)
    app.cleanup_ctx.append(opened_peers)
    app.on_response_prepare.append(Cors(settings.cors_origins).prepare())
    app.on_shutdown.append(_end_waits)
    return app


def _registered(route: Route) -> web.RouteDef:
    if route.method == "GET":
        return web.get(route.path, route.handler, allow_head=route.has_head, expect_handler=_go_on)
    return web.route(route.method, route.path, route.handler, expect_handler=_go_on)


async def _go_on(request: web.Request) -> None:
    """What `Expect` is answered with before the boundary: that the body may come. Any other expectation counts for nothing.

    aiohttp's own handler refuses those in plain text and without a request id; where there is no route it still does.
    """
    if request.version >= HttpVersion11 and request.headers[hdrs.EXPECT].lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # of the answer itself nothing is written yet


async def _end_waits(app: web.Application) -> None:
    """Before connections are closed: held requests are answered now, or the server would wait for them a long time."""
    app[DESK].feed.close()
