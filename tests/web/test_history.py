"""What the console is told of the last hour."""

import asyncio

from chatstream.core.errors import ResponderError
from chatstream.core.ids import Seq, SessionId, Version
from chatstream.engine.live import LiveAttempt
from chatstream.web.history import SAMPLES, History, quantile_ms
from chatstream.web.metrics import BUCKETS_S, HttpMetrics
from tests.web.conftest import Client
from tests.web.fake_desk import FakeDesk


def test_a_sample_holds_what_happened_since_the_one_before() -> None:
    metrics = HttpMetrics()
    history = History(metrics)
    metrics.count("/v1/sessions/{session}/messages", "POST", 202, False, 0.004)
    metrics.count("/v1/sessions/{session}/messages", "POST", 429, False, 0.004)
    metrics.count("/v1/sessions/{session}/live", "GET", 200, True, 45.0)
    history.take(readers=3, at_ms=1000)
    history.take(readers=0, at_ms=2000)
    first, second = history.samples
    assert (first.requests, first.messages, first.readers, first.p50_ms) == (3, 1, 3, 5.0)
    assert (second.requests, second.messages, second.p50_ms, second.p99_ms) == (0, 0, None, None)


def test_an_hour_is_kept_and_no_more() -> None:
    history = History(HttpMetrics())
    for number in range(SAMPLES + 1):
        history.take(0, number)
    assert len(history.samples) == SAMPLES
    assert history.samples[0].at_ms == 1


def test_quantiles_are_the_bounds_of_buckets() -> None:
    counts = [0] * (len(BUCKETS_S) + 1)
    counts[0], counts[4], counts[-1] = 90, 9, 1
    assert quantile_ms(counts, 0.5) == 1.0
    assert quantile_ms(counts, 0.99) == 25.0
    assert quantile_ms(counts, 1.0) == 60_000.0


async def test_the_node_tells_its_partitions(client: Client) -> None:
    async with client.get("/v1/console/node") as answer:
        told = await answer.json()
    assert (told["node"], told["of"], told["samples"]) == ("node-1", 4, [])
    where = {"position": -1, "folded": 0, "end": 0}
    assert told["partitions"] == [{"partition": 0, "state": "active", "epoch": 3, "lag": 0, "detail": "", **where}]


async def test_the_node_tells_the_calls_under_way(client: Client, desk: FakeDesk) -> None:
    live = desk.feed.live
    now_s = asyncio.get_running_loop().time()
    attempt, failed = (LiveAttempt(Seq(turn), Version(1), number, now_s) for turn, number in ((1, 1), (7, 2)))
    live.start(SessionId("alice"), attempt)
    attempt.parts.extend(["a", "b"])
    live.start(SessionId("bob"), failed)
    live.failed(SessionId("bob"), failed, ResponderError("busy", failure="model-overloaded"), now_s + 1000.0)
    async with client.get("/v1/console/node") as answer:
        first, second = (await answer.json())["calls"]
    assert (first["session"], first["turn"], first["attempt"], first["pieces"], first["retry_in_s"]) == ("alice", 1, 1, 2, None)
    assert 0 <= first["since_s"] < 1000
    assert (second["session"], second["turn"], second["attempt"], second["reason"]) == ("bob", 7, 2, "model-overloaded")
    assert 0 < second["retry_in_s"] <= 1000
    live.finish(SessionId("alice"))
    live.drop(SessionId("bob"))
    async with client.get("/v1/console/node") as answer:
        assert (await answer.json())["calls"] == []
