"""Giving a long answer to whoever asked: so many at once, and no longer than its reader takes what is sent."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from chatstream.core.errors import TooManyReaders
from chatstream.web.settings import SETTINGS


@contextmanager
def place(request: web.Request, taken: set[int], most: int, sentence: str) -> Iterator[None]:
    """One of `most` places for such requests. sentence: what is said, behind their number, where all are taken.

    taken: their requests' id(). Raises TooManyReaders.
    """
    if len(taken) >= most:
        raise TooManyReaders(f"{most} {sentence}")
    taken.add(id(request))
    try:
        yield
    finally:
        taken.discard(id(request))


async def write(request: web.Request, response: web.StreamResponse, part: bytes) -> None:
    """Send a part and wait until most of it is on its way; a reader that does not take it for long is cut off."""
    times = request.app[SETTINGS].sse
    cutting = asyncio.get_running_loop().call_later(times.write_s + times.write_grace_s, cut_off, request)
    try:
        await response.write(part)
    finally:
        cutting.cancel()


def cut_off(request: web.Request) -> None:
    """Drop the connection with what is still unsent."""
    if request.transport is not None:
        request.transport.abort()
