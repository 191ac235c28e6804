"""Server-sent events: frames, and a response that sends them until its time is up."""

import random
from typing import Final

from aiohttp import web

from chatstream.web.settings import REQUEST_ID, SseTimes

HEARTBEAT: Final = b": \n\n"
"""A comment: clients skip it, and proxies see a connection that is not idle."""


def frame(event: str, data: bytes, event_id: str = "") -> bytes:
    """One event. data: one line; JSON as we write it has no line breaks."""
    id_line = f"id: {event_id}\n" if event_id else ""
    return f"event: {event}\n{id_line}data: ".encode() + data + b"\n\n"


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
