"""Requests to a node: tried again while that can help, sent to the owner that a node names, problems made into errors.

Everything that is asked through here may be asked twice: reads change nothing, and a command carries its id.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import msgspec
from yarl import URL

from chatstream.client.patience import Patience
from chatstream.client.problems import error_of, may_help
from chatstream.core.errors import BadAnswer, BadInput, ChatstreamError, NotOwner, Unreachable
from chatstream.core.ids import session_id

REDIRECTS_MAX: Final = 3
"""Owners that may be named one after the other: a partition that moves twice meanwhile is rare, a circle is a bug."""
ERROR_BYTES_MOST: Final = 64 * 1024
"""Of a problem document."""
JSON: Final = "application/json"
T = TypeVar("T")


class Answer(NamedTuple):
    """A good answer. headers: by name in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def decoded(body: bytes, kind: type[T], what: str = "the answer") -> T:
    """A body, or a part of a stream, as a type. Raises BadAnswer for what it is not; what: its name in that sentence."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadAnswer(f"{what} cannot be read: {error}") from error


class Asked(NamedTuple):
    """A request. path: with its query. wait_s: how long the node is asked to wait."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = {}
    wait_s: float = 0.0


def session_path(session: str, rest: str = "", **query: str | int | None) -> str:
    """The path of a session, with what follows it. Raises BadId."""
    return with_query(f"/v1/sessions/{quote(session_id(session), safe='')}{rest}", **query)


def with_query(path: str, **query: str | int | None) -> str:
    """A path with those parameters that are given."""
    given = {name: value for name, value in query.items() if value is not None and value != ""}
    return f"{path}?{urlencode(given)}" if given else path


class Transport:
    """Talks to nodes. urls: any node will do; where one does not answer, the next is asked. Raises BadInput for no http URL.

    headers: sent with every request. It belongs to the event loop in which it is first used.
    """

    def __init__(self, urls: Sequence[str], headers: Mapping[str, str], patience: Patience) -> None:
        self.patience: Final = patience
        self._urls: Final = [_checked(url) for url in urls]
        if not self._urls:
            raise BadInput("url: give one at least")
        self._at = 0
        self._owners: dict[str, str] = {}
        self._headers: Final = {"Accept": JSON, **headers}
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def close(self) -> None:
        """End what is under way and close the connections. Repeatable."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def ask(self, asked: Asked) -> Answer:
        """The answer, at the latest attempt. Raises ChatstreamError."""
        failures = 0
        while True:
            try:
                return await self._ask_once(asked)
            except ChatstreamError as error:
                failures += 1
                await self._before_next(failures, error)

    async def parts(self, asked: Asked) -> AsyncGenerator[bytes, None]:
        """A long answer as it comes; tried again only before its first part. Raises ChatstreamError."""
        failures, begun = 0, False
        while True:
            try:
                async with self.open(asked, self.patience.answer_s) as answer:
                    async for part in answer.content.iter_any():
                        begun = True
                        yield part
                return
            except ChatstreamError as error:
                failures += 1
                if begun:
                    raise
                await self._before_next(failures, error)

    async def _before_next(self, failures: int, error: ChatstreamError) -> None:
        """Wait before the next attempt. Raises the error where there is to be none."""
        if failures >= self.patience.attempts or not may_help(error):
            raise error
        await asyncio.sleep(self.patience.pause_s(failures, error.retry_after_s))

    async def _ask_once(self, asked: Asked) -> Answer:
        async with self.open(asked) as answer:
            parts, size_bytes = [], 0
            async for part in answer.content.iter_any():
                size_bytes += len(part)
                if size_bytes > self.patience.bytes_most:
                    raise BadAnswer(f"the answer is larger than {self.patience.bytes_most} bytes")
                parts.append(part)
            return Answer(answer.status, answer.headers, b"".join(parts))

    @asynccontextmanager
    async def open(self, asked: Asked, silence_s: float | None = None) -> AsyncIterator[aiohttp.ClientResponse]:
        """A good answer whose body is still to be read. silence_s: longest silence on it, by default until the answer is due.

        Tried once, at a node and the owners that are named; what goes wrong while it is read is translated as well.
        """
        url = self._urls[self._at]
        for _ in range(REDIRECTS_MAX):
            try:
                async with self._request(url, asked, silence_s) as answer:
                    if answer.status < 400:
                        yield answer
                        return
                    body = await answer.content.read(ERROR_BYTES_MOST)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                self._turn_away_from(url)
                reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
                raise Unreachable(f"no answer from {url}: {reason}; is a node running there?") from error
            problem = error_of(answer.status, answer.headers, body, url)
            if not isinstance(problem, NotOwner) or problem.url is None:
                if answer.status >= 500:
                    self._turn_away_from(url)
                raise problem
            url = _checked(problem.url)
        raise problem

    def _request(self, url: str, asked: Asked, silence_s: float | None) -> "aiohttp.client._RequestContextManager":
        patience = self.patience
        answer_s = asked.wait_s + patience.answer_s
        timeout = aiohttp.ClientTimeout(
            total=None if silence_s else answer_s, sock_connect=patience.connect_s, sock_read=silence_s or answer_s
        )
        return self._opened().request(
            asked.method,
            URL(url + asked.path, encoded=True),
            data=asked.body,
            headers={**self._headers, **({} if asked.body is None else {"Content-Type": JSON}), **asked.headers},
            timeout=timeout,
            allow_redirects=False,
        )

    def _opened(self) -> aiohttp.ClientSession:
        if self._closed:
            raise BadInput("the client is closed")
        if self._session is None:
            # No limit: streams are held for long, and a limit would make the next request wait for one of them.
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        return self._session

    def _turn_away_from(self, url: str) -> None:
        """The next request goes to another node, if there is one."""
        if self._urls[self._at] == url:
            self._at = (self._at + 1) % len(self._urls)


def _checked(url: str) -> str:
    parts = urlsplit(url)
    try:
        _ = parts.port
    except ValueError as error:
        raise BadInput(f"url: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(f"url: is a URL like http://127.0.0.1:8080, not {url!r}")
    return url.rstrip("/")
