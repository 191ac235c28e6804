"""The measurements: each starts what it needs, and returns rows of the table."""

import asyncio
import json
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.client import load
from benchmarks.floors import bare_http, floor_cpu_s
from benchmarks.pages import pages
from benchmarks.reading import histories, idle_readers, windows
from benchmarks.rig import PARTITIONS, Row, cpu_s, disk_bytes, memory_mib, node, pid_of
from benchmarks.stub import RECALLING
from tests.nodes import NodeProcess
from tests.until import until
from tests.wire import Connection, ask, close, connect, request

DONE_S: Final = 600.0
LOOK_S: Final = 0.2
POSTERS: Final = 8
WAITING_EACH: Final = 12
"""Of a poster's messages, every so many-th waits for its reply."""
TEXT: Final = b"x" * 200
RECALL: Final = RECALLING.encode() * 200
"""A message to a model that reads the history for it."""


def produce(bootstrap: str, count: int, sessions: int, value: bytes = TEXT) -> None:
    """Put messages onto chat.messages, the sessions in turn."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 1_000_000,
            "linger.ms": 5,
            "log_level": 0,
        }
    )
    for number in range(count):
        producer.produce("chat.messages", value, f"s{number % sessions}")
        producer.poll(0)
    assert producer.flush(60) == 0


@contextmanager
def counting(bootstrap: str, topic: str) -> Iterator[Callable[[], int]]:
    """How many records were ever written to a topic, asked as often as wanted."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "count", "log_level": 0})
    places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    try:
        yield lambda: sum(consumer.get_watermark_offsets(place, 10)[1] for place in places)
    finally:
        consumer.close()


async def replied(bootstrap: str, count: int) -> None:
    """Wait until so many replies are on chat.replies. Looks rarely: looking costs the broker as well."""
    with counting(bootstrap, "chat.replies") as count_now:
        deadline_s = time.monotonic() + DONE_S
        while await asyncio.to_thread(count_now) < count:
            assert time.monotonic() < deadline_s, f"no {count} replies within {DONE_S} s"
            await asyncio.sleep(LOOK_S)


async def one_way(bootstrap: str, quick: bool) -> list[Row]:
    """Messages that wait on chat.messages, answered by one node: CPU of the node alone."""
    count = 20_000 if quick else 60_000
    async with node(bootstrap) as process:
        produce(bootstrap, 2_000, 200)
        await replied(bootstrap, 2_000)
        start_cpu_s, start_s = cpu_s(pid_of(process)), time.perf_counter()
        produce(bootstrap, count, 2_000)
        await replied(bootstrap, count + 2_000)
        spent_s, took_s = cpu_s(pid_of(process)) - start_cpu_s, time.perf_counter() - start_s
        floor_s = floor_cpu_s(bootstrap, count)
    return [
        Row(
            "one-way turns per CPU-second of the node",
            f"{count / spent_s:,.0f} (wall: {count / took_s:,.0f}/s)",
            f"{count / floor_s:,.0f}: consume 1, produce 3",
            "8,000",
        )
    ]


async def http(bootstrap: str, quick: bool) -> list[Row]:
    """POST that waits for the reply, with 1, 64 and 256 clients; broker, node and clients share the machine."""
    seconds = 4.0 if quick else 10.0
    rows = []
    async with bare_http() as bare, node(bootstrap) as process:
        for clients, aim in ((1, "p50 5 ms"), (64, "2,000/s"), (256, "")):
            ours = await load(process.port, clients, seconds)
            floor = await load(bare, clients, seconds)
            rows.append(Row(f"HTTP turns, {clients} clients, Kafka", _speed(ours), _speed(floor), aim))
    async with node("") as process:
        for clients in (1, 64):
            rows.append(Row(f"HTTP turns, {clients} clients, embedded", _speed(await load(process.port, clients, seconds))))
    return rows


def _speed(result: dict[str, Any]) -> str:
    return f"{result['per_s']:,.0f}/s, p50 {result['p50_ms']:.1f} ms, p99 {result['p99_ms']:.1f} ms"


async def many_calls(bootstrap: str, quick: bool) -> list[Row]:
    """Calls of 1 s that are all under way at once in one node."""
    count = 1_000 if quick else 5_000
    async with node(bootstrap, "--max-calls", str(count), responder="benchmarks.stub:one_second") as process:
        start_s = time.perf_counter()
        produce(bootstrap, count, count)
        await replied(bootstrap, count)
        took_s = time.perf_counter() - start_s
        memory = memory_mib(pid_of(process))
    return [Row(f"{count:,} calls of 1 s at once", f"{took_s:.1f} s, {memory:.0f} MiB", "1.0 s", "")]


async def restore(bootstrap: str, quick: bool) -> list[Row]:
    """A node whose table is gone: from its start to serving, every event folded again; and its memory then."""
    count, sessions = (20_000, 5_000) if quick else (100_000, 10_000)
    async with node(bootstrap) as process:
        produce(bootstrap, count, sessions)
        await replied(bootstrap, count)
        with counting(bootstrap, "chat.events") as count_now:
            events = count_now()
        memory = memory_mib(pid_of(process))
        empty_s = await _restart(process, keep_table=True)
        took_s = await _restart(process, keep_table=False)
        fresh = memory_mib(pid_of(process))
    speed = events / max(took_s - empty_s, 0.001)
    return [
        Row("restore, events/s", f"{speed:,.0f} ({events:,} events)", "", "50,000"),
        Row("start with the table in place", f"{empty_s:.2f} s", "", ""),
        Row(f"memory with {sessions:,} sessions", f"{memory:.0f} MiB (after a rebuild {fresh:.0f} MiB)", "", ""),
    ]


async def _restart(process: NodeProcess, keep_table: bool) -> float:
    await process.end()
    if not keep_table:
        process.drop_table()
    start_s = time.perf_counter()
    process.start()
    await process.serves(PARTITIONS)
    return time.perf_counter() - start_s


async def listing(bootstrap: str, quick: bool) -> list[Row]:
    """The list of many sessions: its first page, and a search that finds nothing, to its end."""
    count = 20_000 if quick else 100_000
    async with node(bootstrap) as process:
        produce(bootstrap, count, count)
        await replied(bootstrap, count)
        first = sorted([await asyncio.to_thread(_list_ms, process.port, "limit=50") for _ in range(300)])
        start_s, pages, cursor = time.perf_counter(), 0, ""
        while pages == 0 or cursor:
            cursor = await asyncio.to_thread(_next_page, process.port, f"q=nothing&cursor={cursor}")
            pages += 1
        search_s = time.perf_counter() - start_s
    return [
        Row(f"first page of {count:,} sessions", f"p50 {first[150]:.1f} ms, p99 {first[297]:.1f} ms", "", "20 ms"),
        Row(f"a word that is in no title of {count:,}", f"{search_s * 1000:,.0f} ms in {pages} requests", "", ""),
    ]


def _list_ms(port: int, query: str) -> float:
    start_s = time.perf_counter()
    _next_page(port, query)
    return (time.perf_counter() - start_s) * 1000


def _next_page(port: int, query: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/sessions?{query}", timeout=30) as response:
        return str(json.load(response)["next"] or "")


async def growth(_: str, quick: bool) -> list[Row]:
    """A turn of a long conversation beside a turn of a short one, and what the table grew by.

    The model reads its window in the turns that are timed, and not in those that only make the conversation long.
    """
    long = 5_000 if quick else 50_000
    limits = ("--limit", "prompt_tokens=1000", "--limit", "compact_share=2")
    async with node("", *limits, responder="benchmarks.stub:with_history") as process:
        await _grow(process, "short", 2)
        await _grow(process, "long", long // 2)
        before = disk_bytes(process.data / "tables")
        short_ms, long_ms, connection = [], [], await connect(process.port)
        for _turn in range(300):
            short_ms.append(await _turn_ms(connection, "short"))
            long_ms.append(await _turn_ms(connection, "long"))
        await close(connection)
        after = disk_bytes(process.data / "tables")
    short, slow = sorted(short_ms)[150], sorted(long_ms)[150]
    return [
        Row(
            f"a turn at {long:,} messages / at 5",
            f"{slow:.2f} / {short:.2f} ms = {slow / short:.2f}",
            "",
            "1.5",
        ),
        Row("table bytes per turn of 400 characters", f"{(after - before) / 600:,.0f}", "400", ""),
    ]


async def _grow(process: NodeProcess, session: str, count: int) -> None:
    """Post on a few connections, waiting for a reply now and then: a queue of thousands would be what is measured."""
    path, left = f"/v1/sessions/{session}/messages", iter(range(count))
    at_once, waiting = request("POST", path, {}, TEXT), request("POST", path, {"Prefer": "wait=30"}, TEXT)

    async def post() -> None:
        connection = await connect(process.port)
        for number, _ in enumerate(left):
            await ask(connection, waiting if number % WAITING_EACH == 0 else at_once)
        await close(connection)

    await asyncio.gather(*(post() for _ in range(POSTERS)))
    await until(lambda: _replies(process.port, session) >= count, DONE_S, f"{count} turns of {session}")


def _replies(port: int, session: str) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/sessions/{session}", timeout=30) as response:
        return int(json.load(response)["replies"])


async def _turn_ms(connection: Connection, session: str) -> float:
    raw = request("POST", f"/v1/sessions/{session}/messages", {"Prefer": "wait=30"}, RECALL)
    start_s = time.perf_counter()
    await ask(connection, raw)
    return (time.perf_counter() - start_s) * 1000


Measure = Callable[[str, bool], Awaitable[list[Row]]]
MEASURES: Final[dict[str, Measure]] = {
    "one-way": one_way,
    "http": http,
    "windows": windows,
    "histories": histories,
    "readers": idle_readers,
    "calls": many_calls,
    "restore": restore,
    "growth": growth,
    "listing": listing,
    "pages": pages,
}
