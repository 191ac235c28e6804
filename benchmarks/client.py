"""A load generator of few instructions: keep-alive HTTP/1.1 on plain sockets, in a process of its own.

`python -m benchmarks.client PORT CLIENTS SECONDS PATH_PREFIX` prints one JSON object. Each client has a session of its own
and sends its next request when the last is answered.
"""

import asyncio
import json
import os
import sys
import time
from typing import Any

from benchmarks.rig import cpu_s

BODY = b"x" * 200


async def _client(port: int, path: str, until_s: float, took_ms: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nPrefer: wait=30\r\n"
        f"Content-Length: {len(BODY)}\r\n\r\n"
    ).encode() + BODY
    while (start := time.perf_counter()) < until_s:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        await reader.readexactly(length)
        took_ms.append((time.perf_counter() - start) * 1000)
    writer.close()


async def measure(port: int, clients: int, seconds: float, prefix: str) -> dict[str, Any]:
    """requests, requests a second, and milliseconds at the 50th and 99th of a hundred; 1 s of warming up is left out."""
    await _run(port, clients, 1.0, prefix)
    took_ms, elapsed_s = await _run(port, clients, seconds, prefix)
    took_ms.sort()
    return {
        "requests": len(took_ms),
        "per_s": len(took_ms) / elapsed_s,
        "p50_ms": took_ms[len(took_ms) // 2],
        "p99_ms": took_ms[len(took_ms) * 99 // 100],
        "cpu_s": cpu_s(os.getpid()),
    }


async def _run(port: int, clients: int, seconds: float, prefix: str) -> tuple[list[float], float]:
    took_ms: list[float] = []
    start = time.perf_counter()
    paths = [f"{prefix}/{clients}-{number}/messages" for number in range(clients)]
    await asyncio.gather(*(_client(port, path, start + seconds, took_ms) for path in paths))
    return took_ms, time.perf_counter() - start


async def load(port: int, clients: int, seconds: float, prefix: str = "/v1/sessions") -> dict[str, Any]:
    """Run this module as a process and return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.client", str(port), str(clients), str(seconds), prefix),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, "the load generator failed"
    result: dict[str, Any] = json.loads(out)
    return result


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]))))
