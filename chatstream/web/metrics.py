"""What /metrics tells. Counting a request must cost next to nothing: plain dicts, turned into families when asked for."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Others are counted as one: a caller can make up as many as it likes."""


class _Latency:
    """Times of one kind of request. counts: one more than BUCKETS_S, the last for what is above."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.sum_s = 0.0


class Totals(NamedTuple):
    """Since the start: requests, messages taken, and of requests that did not wait on purpose how many were in which bucket."""

    requests: int
    messages: int
    buckets: list[int]


class HttpMetrics(Collector):
    """Requests by route, method and status; their times. held: the request waited for something on purpose."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, int], int] = {}
        self._latencies: dict[tuple[str, bool], _Latency] = {}

    def count(self, route: str, method: str, status: int, held: bool, took_s: float) -> None:
        """One request has been answered. route: the pattern, never the path, so that there are few."""
        key = (route, method if method in _METHODS else "other", status)
        self._requests[key] = self._requests.get(key, 0) + 1
        latency = self._latencies.get((route, held))
        if latency is None:
            latency = self._latencies[route, held] = _Latency()
        latency.counts[bisect_left(BUCKETS_S, took_s)] += 1
        latency.sum_s += took_s

    def totals(self) -> Totals:
        """All of it in a few numbers."""
        quick = [latency.counts for (_, held), latency in self._latencies.items() if not held]
        buckets = [sum(counts[place] for counts in quick) for place in range(len(BUCKETS_S) + 1)]
        sent = [
            number
            for (route, method, status), number in self._requests.items()
            if method == "POST" and status < 300 and route.endswith("/messages")
        ]
        return Totals(sum(self._requests.values()), sum(sent), buckets)

    def collect(self) -> Iterable[Metric]:
        """For prometheus_client."""
        requests = CounterMetricFamily("chatstream_http_requests", "Requests answered.", labels=["route", "method", "status"])
        for (route, method, status), number in self._requests.items():
            requests.add_metric([route, method, str(status)], number)
        yield requests
        times = HistogramMetricFamily("chatstream_http_request_seconds", "Time to answer a request.", labels=["route", "held"])
        for (route, held), latency in self._latencies.items():
            times.add_metric([route, "yes" if held else "no"], list(_cumulated(latency.counts)), latency.sum_s)
        yield times


def _cumulated(counts: list[int]) -> Iterator[tuple[str, float]]:
    total = 0
    for bound, number in zip((*map(str, BUCKETS_S), "+Inf"), counts, strict=True):
        total += number
        yield bound, total
