"""The application: routes, what handlers find under which key, and how it starts and ends."""

from collections.abc import Mapping

from aiohttp import web

from chatstream.core.limits import Limits
from chatstream.engine.desk import Desk
from chatstream.engine.letters import DeadLetters
from chatstream.log.port import Log
from chatstream.web import (
    acting,
    cancelling,
    erasing,
    events,
    forking,
    health,
    history,
    letters,
    listing,
    live,
    pages,
    places,
    sending,
    sessions,
    state,
)
from chatstream.web.bodies import body_bytes_most
from chatstream.web.boundary import Boundary
from chatstream.web.metrics import HttpMetrics
from chatstream.web.peers import opened_peers
from chatstream.web.settings import DESK, LIMITS, PASSED_ON, REGISTRY, SETTINGS, EngineCounters, WebSettings

SESSION = "/v1/sessions/{session}"


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
    app[REGISTRY] = health.registry_of(desk, counters, metrics)
    app[history.HISTORY] = history.History(metrics)
    app.cleanup_ctx.append(history.sampling)
    app.add_routes(routes())
    if log is not None:
        app[letters.LETTERS] = DeadLetters(log, lambda: desk.partitions)
        app.add_routes(letters.routes())
    app.cleanup_ctx.append(opened_peers)
    app.on_shutdown.append(_end_waits)
    return app


def routes() -> list[web.RouteDef]:
    """Every route. HEAD stands beside GET where a GET may wait: HEAD must not."""
    return [
        web.get("/healthz", health.healthz),
        web.get("/readyz", health.readyz),
        web.get("/metrics", health.metrics),
        web.get("/v1/sessions", listing.get_sessions),
        web.get(SESSION, sessions.get_session),
        web.patch(SESSION, acting.patch_session),
        web.delete(SESSION, erasing.delete_session),
        web.get(SESSION + "/messages", sessions.get_messages),
        web.post(SESSION + "/messages", sending.post_message),
        web.post(SESSION + "/cancel", cancelling.post_cancel),
        web.post(SESSION + "/retry", acting.post_retry),
        web.post(SESSION + "/regenerate", acting.post_regenerate),
        web.post(SESSION + "/edit", acting.post_edit),
        web.post(SESSION + "/fork", forking.post_fork),
        web.post(SESSION + "/approvals/{name}", acting.post_approval),
        web.get(SESSION + "/state", state.get_state),
        web.get(SESSION + "/state/{key}", state.get_value),
        web.put(SESSION + "/state/{key}", state.put_value),
        web.delete(SESSION + "/state/{key}", state.delete_value),
        web.get(SESSION + "/events", events.get_events, allow_head=False),
        web.head(SESSION + "/events", events.head_events),
        web.get(SESSION + "/live", live.get_live, allow_head=False),
        web.get("/v1/console/node", history.get_node),
        web.get("/v1/console/sessions/{session}", places.get_places),
        *pages.routes(),
    ]


async def _end_waits(app: web.Application) -> None:
    """Before connections are closed: held requests are answered now, or the server would wait for them a long time."""
    app[DESK].feed.close()
