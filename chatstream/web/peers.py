"""Asking other nodes over HTTP: one client for all of them, opened and closed with the application."""

from collections.abc import AsyncIterator, Mapping
from typing import Final, TypeVar

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web

PEERS: Final = web.AppKey("peers", ClientSession)

CONNECTIONS_MOST: Final = 0
"""None of its own: every request to another node is made for one that was let in here."""
IDLE_S: Final = 30.0
"""How long a connection to another node is kept without use: shorter than that one keeps it (server.KEEPALIVE_S)."""

_Answer = TypeVar("_Answer")


async def opened_peers(app: web.Application) -> AsyncIterator[None]:
    """The client, for as long as the application runs (a cleanup context)."""
    connector = TCPConnector(limit=CONNECTIONS_MOST, keepalive_timeout=IDLE_S)
    async with ClientSession(connector=connector, cookie_jar=DummyCookieJar(), auto_decompress=False) as client:
        app[PEERS] = client
        yield


async def ask(
    client: ClientSession, url: str, headers: Mapping[str, str], kind: type[_Answer], wait_s: float, most_bytes: int
) -> _Answer | None:
    """GET another node's answer as a struct; None when it cannot be reached, refuses, or says what this one cannot read."""
    try:
        async with client.get(url, headers=headers, timeout=ClientTimeout(total=wait_s), allow_redirects=False) as answer:
            if answer.status != 200:
                return None
            body = bytearray()
            async for part in answer.content.iter_any():
                body += part
                if len(body) > most_bytes:
                    return None
        return msgspec.json.decode(body, type=kind)
    except (TimeoutError, ClientError, OSError, msgspec.DecodeError, UnicodeDecodeError, ValueError):
        return None
