"""A small HTTP client for the commands that talk to a node.

On http.client: it is in the standard library and imports in 15 ms, an asynchronous client takes 250 ms, which is most of
what `chatstream send` would take.
"""

import http.client
import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

from chatstream.core.errors import BadInput, ChatstreamError

SLACK_S: Final = 10.0
"""How much longer than the wait that was asked for an answer may take."""
REDIRECTS_MAX: Final = 3
"""Owners that may be named one after the other: a partition that moves twice meanwhile is rare, a circle is a bug."""


class Unreachable(ChatstreamError):
    """Nobody answers at the URL: start a node there, or name another one with --url."""

    code = "unreachable"
    retryable = True


class Refusal(ChatstreamError):
    """The node answered with a problem. status: HTTP's. retry_after_s: None when it did not say."""

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after_s: float | None) -> None:
        detail = problem.get("detail") or problem.get("title") or http.client.responses.get(status, "")
        super().__init__(f"{detail} ({problem.get('code') or status})")
        self.status = status
        self.problem = problem
        self.retry_after_s = retry_after_s


class Response(NamedTuple):
    """A good answer. body: its JSON, None when there was none. headers: names in lower case."""

    status: int
    headers: dict[str, str]
    body: Any


class Client:
    """Asks one node, and the owners it names. url: as given with --url. Raises BadInput when that is no http URL."""

    def __init__(self, url: str) -> None:
        self._home = self._url = url.rstrip("/")
        _parts(self._home)

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        wait_s: float = 0.0,
    ) -> Response:
        """One request, asked again of the session's owner when the node names it.

        wait_s: how long the node was asked to wait. Raises Unreachable, Refusal.
        """
        for _ in range(REDIRECTS_MAX):
            try:
                response = _once(self._url, method, path, body, headers or {}, wait_s + SLACK_S)
            except Unreachable:
                # An owner that went away: the node that was named knows, or will know, who came after it.
                self._url = self._home
                raise
            owner = response.body.get("owner") if response.status == 421 and isinstance(response.body, dict) else None
            if not isinstance(owner, str):
                break
            self._url = owner.rstrip("/")
        if response.status >= 400:
            raise _refusal(response)
        return response


def session_path(session: str, rest: str = "") -> str:
    """The path of a session, with what follows it."""
    return f"/v1/sessions/{quote(session, safe='')}{rest}"


def _parts(url: str) -> tuple[bool, str, int | None, str]:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as error:
        raise BadInput(f"url: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(f"url: is a URL like http://127.0.0.1:8080, not {url!r}")
    return parts.scheme == "https", parts.hostname, port, parts.path


def _once(
    url: str, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str], timeout_s: float
) -> Response:
    secure, host, port, base = _parts(url)
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(host, port, timeout=timeout_s)
    sent = {"Accept": "application/json", **headers}
    if body is not None:
        sent["Content-Type"] = "application/json"
    try:
        connection.request(method, base + path, None if body is None else json.dumps(body).encode(), sent)
        answer = connection.getresponse()
        raw = answer.read()
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Unreachable(f"no answer from {url}: {reason}; is a node running there? (`chatstream up`, or --url)") from error
    finally:
        connection.close()
    return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, _json(raw, url, answer.status))


def _json(raw: bytes, url: str, status: int) -> Any:
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError as error:
        raise Unreachable(f"{url} answered {status} and no JSON: that is not chatstream") from error


def _refusal(response: Response) -> Refusal:
    problem = response.body if isinstance(response.body, dict) else {}
    given = response.headers.get("retry-after", "")
    return Refusal(response.status, problem, float(given) if given.isdigit() else None)
