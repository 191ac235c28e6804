"""A load generator of few instructions: keep-alive HTTP/1.1 on plain sockets, in a process of its own.

`python -m benchmarks.client PORT CLIENTS SECONDS PREFIX METHOD SUFFIX` prints one JSON object. Each client has a session of its
own and sends its next request when the last is answered.
"""

import asyncio
import json
import os
import sys
import time
from typing import Any, Final

from benchmarks.rig import cpu_s
from tests.wire import ask, connect, request

BODY: Final = b"x" * 200
WARM_UP_S: Final = 1.0


async def _client(port: int, raw: bytes, until_s: float, took_ms: list[float]) -> None:
    connection = await connect(port)
    while (start := time.perf_counter()) < until_s:
        head, _ = await ask(connection, raw)
        assert head.startswith(b"HTTP/1.1 200"), head
        took_ms.append((time.perf_counter() - start) * 1000)
    connection[1].close()


async def measure(port: int, clients: int, seconds: float, prefix: str, method: str, suffix: str) -> dict[str, Any]:
    """requests, requests a second, and milliseconds at the 50th and 99th of a hundred; warming up is left out."""
    headers = {"Prefer": "wait=30"} if method == "POST" else {}
    raws = [
        request(method, f"{prefix}/{clients}-{number}/messages{suffix}", headers, BODY if method == "POST" else b"")
        for number in range(clients)
    ]
    await _run(port, raws, WARM_UP_S)
    took_ms, elapsed_s = await _run(port, raws, seconds)
    took_ms.sort()
    return {
        "requests": len(took_ms),
        "per_s": len(took_ms) / elapsed_s,
        "p50_ms": took_ms[len(took_ms) // 2],
        "p99_ms": took_ms[len(took_ms) * 99 // 100],
        "cpu_s": cpu_s(os.getpid()),
    }


async def _run(port: int, raws: list[bytes], seconds: float) -> tuple[list[float], float]:
    took_ms: list[float] = []
    start = time.perf_counter()
    await asyncio.gather(*(_client(port, raw, start + seconds, took_ms) for raw in raws))
    return took_ms, time.perf_counter() - start


async def load(
    port: int, clients: int, seconds: float, prefix: str = "/v1/sessions", method: str = "POST", suffix: str = ""
) -> dict[str, Any]:
    """Run this module as a process and return what it printed."""
    return await printed("benchmarks.client", port, clients, seconds, prefix, method, suffix)


async def printed(module: str, *args: object) -> dict[str, Any]:
    """Run a module as a process, and return the JSON object that it prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *map(str, args)), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, f"{module} failed"
    result: dict[str, Any] = json.loads(out)
    return result


if __name__ == "__main__":
    port, clients, seconds, prefix, method, suffix = sys.argv[1:]
    print(json.dumps(asyncio.run(measure(int(port), int(clients), float(seconds), prefix, method, suffix))))
