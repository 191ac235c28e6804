"""Asking other nodes over HTTP: one client for all of them, opened and closed with the application."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Final, TypeVar

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web
from yarl import URL

from chatstream.core.ids import PartitionNo
from chatstream.web.settings import DESK, REQUEST_ID, REQUEST_ID_HEADER, SETTINGS

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


async def ask_owners(
    request: web.Request,
    path: str,
    query: Mapping[str, str],
    own: Collection[PartitionNo],
    kind: type[_Answer],
    most_bytes: int,
) -> list[_Answer]:
    """What the owners of all other partitions than `own` say of theirs (`scope=node`): all asked at once, given the same time.

    Who does not answer as asked is left out.
    """
    app = request.app
    desk, wait_s = app[DESK], app[SETTINGS].peers_s
    numbers = map(PartitionNo, range(desk.partitions))
    owners = {url for number in numbers if number not in own and (url := desk.owner_url(number)) is not None}
    urls = [str(URL(owner + path).with_query({**query, "scope": "node"})) for owner in sorted(owners)]
    headers = {REQUEST_ID_HEADER: request[REQUEST_ID]}
    answers = await asyncio.gather(*(ask(app[PEERS], url, headers, kind, wait_s, most_bytes) for url in urls))
    return [answer for answer in answers if answer is not None]


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
