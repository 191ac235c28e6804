"""Server-sent events: frames, and a response that sends them until its time is up."""

import random
from typing import Final

from aiohttp import web

from chatstream.web.settings import REQUEST_ID, SseTimes

HEARTBEAT: Final = b": \n\n"
"""A comment: clients skip it, and proxies see a connection that is not idle."""


def frame(data: bytes, event: str = "", event_id: str = "") -> bytes:
    """One event. data: one line; JSON as we write it has no line breaks. event: its name where it needs one."""
    head = f"event: {event}\n" if event else ""
    if event_id:
        head += f"id: {event_id}\n"
    return head.encode() + b"data: " + data + b"\n\n"


def comment(text: str) -> bytes:
    """Words for whoever looks at the connection; clients skip them."""
    return f": {text}\n\n".encode()


def retry(after_ms: int) -> bytes:
    """Tells a browser how long to wait before it connects again."""
    return f"retry: {after_ms}\n\n".encode()


async def open_stream(request: web.Request) -> web.StreamResponse:
    """The head of a stream. After it, nothing that happens can become a problem document any more."""
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-cache",
            # nginx would collect events until its buffer is full.
            "X-Accel-Buffering": "no",
            "X-Request-Id": request[REQUEST_ID],
        }
    )
    await response.prepare(request)
    return response


def lifetime_s(times: SseTimes) -> float:
    """How long a stream lives: with jitter, so that readers do not all come back at once."""
    return random.uniform(times.shortest_s, times.longest_s)
