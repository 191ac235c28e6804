"""A request for a session that another node owns, passed on to it, and its answer passed back: streams as they come.

- A request is passed on once. One that comes from another node is refused with 421, which tells that node whom to ask.
- `Origin` was checked here and goes no further; the owner checks the `Host` under which this node asks it.
- A client that leaves ends the request at the owner too: our handler is cancelled, and closes that connection.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from aiohttp import ClientConnectorError, ClientError, ClientResponse, ClientTimeout, web
from multidict import CIMultiDict
from yarl import URL

from chatstream.core.errors import NotOwner
from chatstream.core.ids import PartitionNo
from chatstream.web.giving import cut_off, place, write
from chatstream.web.peers import PEERS
from chatstream.web.problems import Problem
from chatstream.web.settings import DESK, HELD, LIMITS, PASSED_ON, REQUEST_ID, REQUEST_ID_HEADER, SETTINGS

PASSED_ON_BY: Final = "Chatstream-Passed-On-By"
"""The id of the node that passed a request on; the owner answers it or refuses it, and passes it no further."""
CONNECT_S: Final = 2.0
SILENCE_S: Final = 75.0
"""Longest silence of an owner: a long poll or a wait lasts 55 s at most, streams have a heartbeat every 15 s."""
WHOLE_BYTES_MOST: Final = 64 * 1024
"""Answers up to this size are passed back in one piece."""
MISDIRECTED_BYTES_MOST: Final = 16 * 1024

HOP_BY_HOP: Final = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""What concerns one connection only (RFC 9110, 7.6.1)."""
_OURS: Final = frozenset({"host", "content-length", "expect", "origin", PASSED_ON_BY.lower(), REQUEST_ID_HEADER.lower()})


class _Misdirected(msgspec.Struct):
    """What counts of another node's 421."""

    owner: str | None = None


async def pass_on(request: web.Request, error: NotOwner) -> web.StreamResponse:
    """The owner's answer. Raises the error itself for a request that was passed on before, Problem (503), TooManyReaders."""
    if PASSED_ON_BY in request.headers:
        raise error
    request[HELD] = True
    app, url = request.app, error.url
    for _ in range(2):
        if url is None:
            break
        with place(request, app[PASSED_ON], app[LIMITS].readers, "requests are passed on to other nodes already"):
            async with _asked(request, url) as answer:
                if answer.status != 421:
                    return await _passed_back(request, answer)
                url = await _next_owner(request, error, url, answer)
    raise _trouble(request, "no-owner", "the session's partition is being taken over: nobody is known to serve it")


@asynccontextmanager
async def _asked(request: web.Request, owner: str) -> AsyncIterator[ClientResponse]:
    """The owner's answer, while it is read. Raises Problem (503)."""
    body = await request.read() if request.body_exists else None
    try:
        asking = request.app[PEERS].request(
            request.method,
            URL(owner + request.raw_path, encoded=True),
            headers=_headers_on(request),
            data=body,
            allow_redirects=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            timeout=ClientTimeout(total=None, connect=None, sock_connect=CONNECT_S, sock_read=SILENCE_S),
        )
        async with asking as answer:
            yield answer
    except ClientConnectorError as error:
        raise _trouble(request, "owner-unreachable", "the session's owner cannot be reached: nothing was sent") from error
    except (ClientError, TimeoutError) as error:
        detail = "the session's owner did not answer: repeat the request, a command under the same Idempotency-Key"
        raise _trouble(request, "owner-unreachable", detail) from error


def _headers_on(request: web.Request) -> CIMultiDict[str]:
    headers = _end_to_end(request.headers, _OURS)
    headers[PASSED_ON_BY] = request.app[DESK].node_id
    headers[REQUEST_ID_HEADER] = request[REQUEST_ID]
    return headers


def _end_to_end(headers: Mapping[str, str], without: frozenset[str] = frozenset()) -> CIMultiDict[str]:
    """What is meant for the other end: not what concerns the connection, nor what its `Connection` header names."""
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    dropped = HOP_BY_HOP | without | named
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in dropped)


async def _next_owner(request: web.Request, error: NotOwner, asked: str, answer: ClientResponse) -> str | None:
    """Who else it may be when the one that was asked is not, or not any more, the owner; None when nobody is known."""
    known = request.app[DESK].owner_url(PartitionNo(error.partition))
    if known is not None and known != asked:
        return known
    raw = await answer.content.read(MISDIRECTED_BYTES_MOST)
    try:
        told = msgspec.json.decode(raw, type=_Misdirected).owner
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return told if told != asked else None


async def _passed_back(request: web.Request, answer: ClientResponse) -> web.StreamResponse:
    headers = _end_to_end(answer.headers)
    length = answer.content_length
    if request.method != "HEAD" and length is not None and length <= WHOLE_BYTES_MOST:
        headers.popall("Content-Length", None)
        return web.Response(status=answer.status, reason=answer.reason, headers=headers, body=await answer.read())
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
    await response.prepare(request)
    # From here on all that can be done about trouble is to break the answer off, so that it is not taken for a whole one.
    with contextlib.suppress(ConnectionResetError):
        try:
            async for part in answer.content.iter_any():
                # While the reader does not take it nothing more is read, so the owner notices.
                await write(request, response, part)
        except (ClientError, TimeoutError):
            cut_off(request)
            return response
        await response.write_eof()
    return response


def _trouble(request: web.Request, code: str, detail: str) -> Problem:
    return Problem(503, code, detail, retryable=True, retry_after_s=request.app[SETTINGS].retry_after_s)
