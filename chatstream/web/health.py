"""What operators and their machines ask: does it live, is it ready, what are its numbers."""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from chatstream.engine.desk import Desk, PartitionStatus
from chatstream.web.conditional import NO_STORE
from chatstream.web.settings import DESK, REGISTRY, EngineCounters

_HEADERS: Final = {"Cache-Control": NO_STORE}
METRICS_TYPE: Final = CONTENT_TYPE_LATEST.partition(";")[0]
_STATES: Final = ("restoring", "active", "refused")


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of one node. partitions: those that are assigned to it and not served."""

    status: Literal["ok", "ready", "not-ready", "stopping"]
    node: str
    partitions: list[PartitionStatus] = []


async def healthz(request: web.Request) -> web.Response:
    """The process lives and its event loop turns."""
    return _json(200, Health("ok", request.app[DESK].node_id))


async def readyz(request: web.Request) -> web.Response:
    """200 when every assigned partition is served; 503 while one is restored or refused, and when the node stops.

    A node without partitions is ready: it answers with who owns a session.
    """
    desk = request.app[DESK]
    lacking = [status for status in desk.status() if status.state != "active"]
    if desk.stopping:
        return _json(503, Health("stopping", desk.node_id))
    if lacking:
        return _json(503, Health("not-ready", desk.node_id, lacking))
    return _json(200, Health("ready", desk.node_id))


def _json(status: int, health: Health) -> web.Response:
    body = msgspec.json.encode(health)
    return web.Response(status=status, body=body, content_type="application/json", headers=_HEADERS)


async def metrics(request: web.Request) -> web.Response:
    """Everything that is counted, in Prometheus' text format."""
    body = generate_latest(request.app[REGISTRY])
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST, **_HEADERS})


class NodeMetrics(Collector):
    """The node's own state, looked at when asked for."""

    def __init__(self, desk: Desk, counters: EngineCounters) -> None:
        self._desk = desk
        self._counters = counters

    def collect(self) -> Iterable[Metric]:
        """For prometheus_client."""
        yield GaugeMetricFamily("chatstream_readers_waiting", "Requests held for an event.", value=len(self._desk.feed))
        live = self._desk.feed.live
        yield GaugeMetricFamily("chatstream_calls", "Calls of the model under way.", value=len(live.running()))
        yield CounterMetricFamily("chatstream_turns_ended", "Turns that ended, well or not.", value=live.finished)
        statuses = self._desk.status()
        partitions = GaugeMetricFamily("chatstream_partitions", "Partitions assigned to this node.", labels=["state"])
        for state in _STATES:
            partitions.add_metric([state], sum(status.state == state for status in statuses))
        yield partitions
        lag = GaugeMetricFamily("chatstream_partition_lag", "Inbound records not yet decided.", labels=["partition"])
        for status in statuses:
            lag.add_metric([str(status.partition)], status.lag)
        yield lag
        for name, value in self._counters().items():
            yield CounterMetricFamily(f"chatstream_{name}", f"Engine: {name.replace('_', ' ')}.", value=value)


def registry_of(desk: Desk, counters: EngineCounters, http: Collector) -> CollectorRegistry:
    """A registry of the node's own: two nodes in one process must not count into each other's."""
    registry = CollectorRegistry()
    registry.register(NodeMetrics(desk, counters))
    registry.register(http)
    return registry
