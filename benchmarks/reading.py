"""Rows about those who read: other windows, long polls, histories, and thousands who wait."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.client import load, printed
from benchmarks.floors import bare_http
from benchmarks.rig import Row, memory_mib, node, pid_of
from tests.idle_readers import allow_open_files
from tests.nodes import NodeProcess
from tests.until import until
from tests.wire import Connection, ask, connect, request

MESSAGES = 20
"""Turns of each history that is read: a page holds 50 messages."""
READERS_S = 120.0


def _told(times: dict[str, float]) -> str:
    return f"p50 {times['p50_ms']:.1f} ms, p99 {times['p99_ms']:.1f} ms"


async def windows(bootstrap: str, quick: bool) -> list[Row]:
    """From sending to the first piece of the answer in another window; and how soon a long poll has an event. One at a time."""
    count = 100 if quick else 400
    rows = []
    async with bare_http() as bare:
        floor = await printed("benchmarks.latency", "bare", bare, count)
    for name, where in (("embedded", ""), ("Kafka", bootstrap)):
        async with node(where) as process:
            delta = await printed("benchmarks.latency", "delta", process.port, count)
            poll = await printed("benchmarks.latency", "poll", process.port, count)
        rows += [
            Row(
                f"send → first piece at another window, {name}",
                _told(delta["delta"]),
                _told(floor["delta"]),
                "p50 6 ms, p99 25 ms",
            ),
            Row(f"long poll: its answer behind the sender's 202, {name}", _told(poll["woken"]), "", "p50 2 ms"),
            Row(f"long poll: from sending to its answer, {name}", _told(poll["whole"])),
        ]
    return rows


async def histories(_: str, quick: bool) -> list[Row]:
    """64 clients, each reading its session's newest messages again and again."""
    seconds = 3.0 if quick else 10.0
    async with node("") as process:
        await asyncio.gather(*(_converse(process.port, f"64-{number}") for number in range(64)))
        ours = await load(process.port, 64, seconds, method="GET", suffix="?limit=50")
        _head, body = await _once(process.port, "/v1/sessions/64-0/messages?limit=50")
    async with bare_http(len(body)) as bare:
        floor = await load(bare, 64, seconds, method="GET")
    return [
        Row(
            f"64 clients reading histories of {2 * MESSAGES} messages ({len(body) / 1024:.0f} KiB)",
            _speed(ours),
            _speed(floor),
            "3,000/s",
        )
    ]


def _speed(result: dict[str, Any]) -> str:
    return f"{result['per_s']:,.0f}/s, p50 {result['p50_ms']:.1f} ms, p99 {result['p99_ms']:.1f} ms"


async def _once(port: int, path: str) -> tuple[bytes, bytes]:
    connection = await connect(port)
    try:
        return await ask(connection, request("GET", path))
    finally:
        connection[1].close()


async def _converse(port: int, session: str) -> None:
    connection: Connection = await connect(port)
    raw = request("POST", f"/v1/sessions/{session}/messages", {"Prefer": "wait=30"}, b"x" * 200)
    for _ in range(MESSAGES):
        await ask(connection, raw)
    connection[1].close()


async def idle_readers(_: str, quick: bool) -> list[Row]:
    """Readers that wait on one node, a hundred to a session: their memory, and how long until all have the next event."""
    count = 2_000 if quick else 10_000
    if not allow_open_files(count + 500):
        return [Row(f"{count:,} idle readers", "not measured: `ulimit -n` does not allow so many files")]
    rows = []
    for name, live in (("live streams", "live"), ("long polls", "long-poll")):
        async with node("") as process:
            before = memory_mib(pid_of(process))
            async with _waiting(process, count, live) as everyone:
                waiting = memory_mib(pid_of(process))
                all_s = await everyone()
        each_kib = (waiting - before) * 1024 / count
        rows.append(Row(f"{count:,} idle {name}: memory of each", f"{each_kib:.1f} KiB ({waiting:.0f} MiB in all)"))
        rows.append(Row(f"{count:,} {name}: all have the next event of their session after", f"{all_s:.2f} s"))
    return rows


@asynccontextmanager
async def _waiting(process: NodeProcess, count: int, live: str) -> AsyncIterator[Any]:
    """So many readers wait; gives what sends each session a message and tells how long it took until all had it."""
    command = (sys.executable, "-m", "tests.idle_readers", str(process.port), str(count), live, str(count // 100))
    readers = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    assert readers.stdin is not None
    assert readers.stdout is not None

    async def everyone() -> float:
        assert readers.stdin is not None
        assert readers.stdout is not None
        readers.stdin.write(b"\n")
        return float(await readers.stdout.readline())

    try:
        assert (await readers.stdout.readline()) == b"ready\n", "the readers did not all get in"
        await until(lambda: process.readers() >= count, READERS_S, f"{count} readers wait", process.tail)
        yield everyone
    finally:
        if readers.returncode is None:
            readers.kill()
        await readers.wait()
