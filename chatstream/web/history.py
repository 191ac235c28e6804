"""The last hour of this node, in samples: what the console plots. In memory only, gone with the process."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec
from aiohttp import web

from chatstream.core.ids import Seq, SessionId, Version
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


class CallNow(msgspec.Struct, frozen=True):
    """A call of the model. since_s: how long its attempt has gone on; pieces: of text that have come; retry_in_s: until the
    next attempt when this one has failed for `reason`, else None."""

    session: SessionId
    turn: Seq
    version: Version
    attempt: int
    since_s: float
    pieces: int
    retry_in_s: float | None
    reason: str


class NodeNow(msgspec.Struct, frozen=True):
    """The body of GET /v1/console/node. partitions: those assigned here; of: how many there are. calls: those under way."""

    node: str
    of: int
    every_s: float
    partitions: list[PartitionStatus]
    calls: list[CallNow]
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
    now = NodeNow(desk.node_id, desk.partitions, EVERY_S, desk.status(), _calls(desk), samples)
    return web.Response(body=msgspec.json.encode(now), content_type="application/json", headers={"Cache-Control": NO_STORE})


def _calls(desk: Desk) -> list[CallNow]:
    now_s = asyncio.get_running_loop().time()
    return [
        CallNow(
            session=session,
            turn=one.turn,
            version=one.version,
            attempt=one.number,
            since_s=round(now_s - one.began_s, 3),
            pieces=len(one.parts),
            retry_in_s=None if one.retry_at_s is None else round(max(0.0, one.retry_at_s - now_s), 3),
            reason=one.reason,
        )
        for session, one in desk.feed.live.running()
    ]
