"""The last hour of this node, in samples: what the console plots. In memory only, gone with the process."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec
from aiohttp import web

from chatstream.engine.desk import Desk, PartitionStatus
from chatstream.web.conditional import NO_STORE
from chatstream.web.metrics import BUCKETS_S, HttpMetrics
from chatstream.web.settings import DESK

EVERY_S: Final = 10.0
SAMPLES: Final = 360
"""An hour of them."""


class Sample(msgspec.Struct, frozen=True):
    """What happened since the sample before. at_ms: since 1970. p50_ms, p99_ms: of requests that did not wait on purpose,
    upper bounds of their buckets, None where there were none. readers: requests held for an event now."""

    at_ms: int
    requests: int
    messages: int
    p50_ms: float | None
    p99_ms: float | None
    readers: int


class NodeNow(msgspec.Struct, frozen=True):
    """The body of GET /v1/console/node. partitions: those assigned here; of: how many there are."""

    node: str
    of: int
    every_s: float
    partitions: list[PartitionStatus]
    samples: list[Sample]


class History:
    """Takes a sample when told to."""

    def __init__(self, metrics: HttpMetrics) -> None:
        self._metrics = metrics
        self._before = metrics.totals()
        self.samples: deque[Sample] = deque(maxlen=SAMPLES)

    def take(self, readers: int, at_ms: int) -> None:
        """One more sample; beyond an hour the oldest goes."""
        before, now = self._before, self._metrics.totals()
        self._before = now
        counts = [after - earlier for after, earlier in zip(now.buckets, before.buckets, strict=True)]
        self.samples.append(
            Sample(
                at_ms=at_ms,
                requests=now.requests - before.requests,
                messages=now.messages - before.messages,
                p50_ms=quantile_ms(counts, 0.5),
                p99_ms=quantile_ms(counts, 0.99),
                readers=readers,
            )
        )


def quantile_ms(counts: Sequence[int], share: float) -> float | None:
    """The upper bound of the bucket below which that share of the requests lies, in milliseconds."""
    rank, seen = share * sum(counts), 0
    if not rank:
        return None
    for bound_s, number in zip((*BUCKETS_S, BUCKETS_S[-1]), counts, strict=True):
        seen += number
        if seen >= rank:
            return bound_s * 1000
    return BUCKETS_S[-1] * 1000


HISTORY: Final = web.AppKey("history", History)


async def sampling(app: web.Application) -> AsyncIterator[None]:
    """While the application runs, a sample every some seconds."""
    task = asyncio.create_task(_sample(app[HISTORY], app[DESK]))
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _sample(history: History, desk: Desk) -> None:
    while True:
        await asyncio.sleep(EVERY_S)
        history.take(len(desk.feed), int(time.time() * 1000))


async def get_node(request: web.Request) -> web.Response:
    """This node now, and in the last hour."""
    desk = request.app[DESK]
    samples = list(request.app[HISTORY].samples)
    now = NodeNow(desk.node_id, desk.partitions, EVERY_S, desk.status(), samples)
    return web.Response(body=msgspec.json.encode(now), content_type="application/json", headers={"Cache-Control": NO_STORE})
