"""AsyncClient: everything that can be asked of a session, from asyncio."""

import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from types import TracebackType
from typing import Any, Final, Literal, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from chatstream.client import following, living, results
from chatstream.client.absence import Told
from chatstream.client.patience import Patience
from chatstream.client.sending import Message, send, send_and_wait
from chatstream.client.transport import Answer, Asked, Transport, decoded, session_path, with_query
from chatstream.core.codec import write_json
from chatstream.core.commands import OnBusy, Verdict
from chatstream.core.events import AnyEvent, Blocks
from chatstream.core.ids import state_key

URL: Final = "http://127.0.0.1:8080"
PAGE: Final = 200
T = TypeVar("T")


class AsyncClient:
    """A client of any number of nodes of one cluster. urls: some of them; where one does not answer, another is asked.

    Requests that fail for a reason that passes are tried again, as `patience` says. Commands carry an id, made here where
    none is given, so that trying again never does a thing twice. Every method raises ChatstreamError: Erased for a session
    that was erased, RequestRefused with the problem's `code` for what the contract refuses, Unreachable when nobody answers.
    """

    def __init__(self, *urls: str, patience: Patience | None = None, headers: Mapping[str, str] | None = None) -> None:
        self._transport = Transport(urls or (URL,), headers or {}, patience or Patience())

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. Repeatable."""
        await self._transport.close()

    # -- saying -------------------------------------------------------------------------------------------------------

    async def send(
        self,
        session: str,
        text: str = "",
        *,
        content: Blocks | None = None,
        message_id: str = "",
        user: str = "",
        metadata: Mapping[str, Any] | None = None,
        on_busy: OnBusy = "enqueue",
        delay_s: float = 0.0,
        at: str = "",
    ) -> results.Receipt:
        """Say something; back when it is in the log. delay_s, at (RFC 3339): it is sent later, of the two only one."""
        message = Message(text, content, message_id or _fresh_id(), user, metadata, on_busy, delay_s, at)
        return await send(self._transport, session, message)

    async def send_and_wait(
        self,
        session: str,
        text: str = "",
        *,
        content: Blocks | None = None,
        message_id: str = "",
        user: str = "",
        metadata: Mapping[str, Any] | None = None,
        on_busy: OnBusy = "enqueue",
        wait_s: float = 900.0,
    ) -> results.Exchange:
        """Say something; back when its turn has ended, well or not. Raises NotAnswered after wait_s; the message stays."""
        message = Message(text, content, message_id or _fresh_id(), user, metadata, on_busy)
        return await send_and_wait(self._transport, session, message, wait_s)

    # -- reading ------------------------------------------------------------------------------------------------------

    async def messages(
        self, session: str, *, limit: int | None = None, before: int | None = None, after: int | None = None
    ) -> results.Page:
        """A page of the conversation: the newest, or those before or after a seq."""
        path = session_path(session, "/messages", limit=limit, before=before, after=after)
        return await self._read(path, results.Page)

    async def history(self, session: str) -> AsyncIterator[results.Item]:
        """All of the conversation, oldest first."""
        after: int | None = 0
        while after is not None:
            page = await self.messages(session, limit=PAGE, after=after)
            for item in page.data:
                yield item
            after = page.next if page.has_more else None

    async def session(self, session: str) -> results.Overview:
        """What a session is doing."""
        return await self._read(session_path(session), results.Overview)

    async def sessions(
        self,
        *,
        status: Collection[str] = (),
        user: str = "",
        prefix: str = "",
        q: str = "",
        limit: int | None = None,
        cursor: str = "",
    ) -> results.SessionsPage:
        """A page of the list of sessions. q: beginnings of words of the title. cursor: the `next` of the page before."""
        path = with_query("/v1/sessions", status=",".join(status), user=user, prefix=prefix, q=q, limit=limit, cursor=cursor)
        return await self._read(path, results.SessionsPage)

    async def all_sessions(
        self, *, status: Collection[str] = (), user: str = "", prefix: str = "", q: str = ""
    ) -> AsyncIterator[results.Listed]:
        """All pages of that list, newest activity first."""
        cursor: str | None = ""
        while cursor is not None:
            page = await self.sessions(status=status, user=user, prefix=prefix, q=q, limit=PAGE, cursor=cursor)
            for one in page.data:
                yield one
            cursor = page.next if page.has_more else None

    def follow(
        self, session: str, *, offset: str = following.START, mode: following.Mode = "sse", told: Told | None = None
    ) -> AsyncGenerator[AnyEvent, None]:
        """The session's events, each once and in order, and what comes, without end.

        offset: `-1` from the start, `now` only what is new, a page's `offset`, or `offset_behind(event)`. It goes on through
        restarts and moves of the nodes; told is called with the reason when it has to try again, and with None when it reads
        again. Raises Erased when the session is, and the reason when nobody answered for Patience.away_s.
        """
        return following.follow(self._transport, session, offset, mode, told)

    def live(
        self, session: str, *, offset: str = following.START, told: Told | None = None
    ) -> AsyncGenerator[living.Frame, None]:
        """The same, and answers while they are given: AttemptStarted (what was shown of the turn is void), TextDelta,
        TurnRetrying, and once StreamReady when all that there was has come. Who joins in mid-answer gets its text so far."""
        return living.live(self._transport, session, offset, told)

    def export(self, session: str, *, format: Literal["jsonl", "md"] = "jsonl") -> AsyncGenerator[bytes, None]:
        """The whole conversation as a file, in parts. Raises Unreachable where it breaks off: then it is not the whole."""
        path = session_path(session, "/export", format=format)
        return self._transport.parts(Asked("GET", path, headers={"Accept": "*/*"}))

    async def get(self, path: str) -> bytes:
        """Anything else that can be read: the body of a GET, as `/metrics` or a page of the console's."""
        return (await self._transport.ask(Asked("GET", path, headers={"Accept": "*/*"}))).body

    # -- acting -------------------------------------------------------------------------------------------------------

    async def cancel(
        self, session: str, *, turn: int | None = None, message_id: str = "", command_id: str = ""
    ) -> results.Cancelled:
        """Stop a turn, running or waiting, or take back a message for later; without both the running turn."""
        body = _given(turn=turn, message_id=message_id or None)
        return await self._act(session, "/cancel", body, command_id, results.Cancelled)

    async def retry(self, session: str, *, turn: int | None = None, command_id: str = "") -> results.Done:
        """Run a turn again that failed or was cancelled, without one the last."""
        return await self._act(session, "/retry", _given(turn=turn), command_id, results.Done)

    async def regenerate(self, session: str, *, command_id: str = "") -> results.Done:
        """Answer the turn that ended last once more; the old answer stays readable."""
        return await self._act(session, "/regenerate", {}, command_id, results.Done)

    async def edit(
        self,
        session: str,
        seq: int,
        text: str = "",
        *,
        content: Blocks | None = None,
        user: str = "",
        metadata: Mapping[str, Any] | None = None,
        command_id: str = "",
    ) -> results.Done:
        """Go back to before the user's message `seq`, and say this instead."""
        body = _given(seq=seq, text=text or None, content=content, user=user or None, metadata=metadata)
        return await self._act(session, "/edit", body, command_id, results.Done)

    async def fork(self, session: str, *, seq: int | None = None, id: str = "", command_id: str = "") -> results.Forked:
        """A new session that starts with this conversation, all of it or up to an event; without an id one is made."""
        return await self._act(session, "/fork", _given(seq=seq, id=id or None), command_id, results.Forked)

    async def update(
        self,
        session: str,
        *,
        title: str | UnsetType | None = UNSET,
        metadata: Mapping[str, Any] | UnsetType | None = UNSET,
        system: str | UnsetType | None = UNSET,
        model: str | UnsetType | None = UNSET,
        command_id: str = "",
    ) -> results.Done:
        """Set what is known of the session; None clears, what is not given stays."""
        fields = {"title": title, "metadata": metadata, "system": system, "model": model}
        body = {name: value for name, value in fields.items() if value is not UNSET}
        return await self._act(session, "", body, command_id, results.Done, method="PATCH")

    async def approve(
        self, session: str, name: str, decision: Verdict = "approved", *, comment: str = "", command_id: str = ""
    ) -> results.Done:
        """Decide what a parked turn waits for."""
        body = _given(decision=decision, comment=comment or None)
        return await self._act(session, f"/approvals/{quote(name, safe='')}", body, command_id, results.Done)

    async def erase(self, session: str, *, command_id: str = "") -> None:
        """Forget the session for good; its id is never used again. Of an erased one it does nothing."""
        await self._ask("DELETE", session_path(session), None, command_id)

    # -- the session's state ------------------------------------------------------------------------------------------

    async def get_state(self, session: str) -> dict[str, Any]:
        """All of the session's K/V state."""
        return await self._read(session_path(session, "/state"), dict[str, Any])

    async def get_value(self, session: str, key: str) -> results.Value[Any]:
        """One value. Raises RequestRefused, code `no-such-key`."""
        answer = await self._transport.ask(Asked("GET", _state_path(session, key)))
        return results.Value(decoded(answer.body, Any), _etag(answer))

    async def set_value(
        self, session: str, key: str, value: Any, *, if_match: str = "", command_id: str = ""
    ) -> results.Written:
        """Put a value, any JSON. if_match: only over the value with that etag, `*` any; else code `precondition-failed`."""
        answer = await self._ask("PUT", _state_path(session, key), write_json(value), command_id, _if_match(if_match))
        return msgspec.structs.replace(decoded(answer.body, results.Written), etag=_etag(answer))

    async def clear_value(self, session: str, key: str, *, if_match: str = "", command_id: str = "") -> results.Written:
        """Remove a key; no error where it is not there. if_match: as above."""
        answer = await self._ask("DELETE", _state_path(session, key), None, command_id, _if_match(if_match))
        return decoded(answer.body, results.Written)

    # -- how ----------------------------------------------------------------------------------------------------------

    async def _read(self, path: str, kind: type[T]) -> T:
        return decoded((await self._transport.ask(Asked("GET", path))).body, kind)

    async def _act(
        self, session: str, rest: str, body: Mapping[str, Any], command_id: str, kind: type[T], method: str = "POST"
    ) -> T:
        return decoded((await self._ask(method, session_path(session, rest), write_json(body), command_id)).body, kind)

    async def _ask(
        self, method: str, path: str, body: bytes | None, command_id: str, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """A command: it has an id, the same at each attempt."""
        named = {"Idempotency-Key": command_id or _fresh_id(), **(headers or {})}
        return await self._transport.ask(Asked(method, path, body, named))


def _fresh_id() -> str:
    return uuid.uuid4().hex


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _state_path(session: str, key: str) -> str:
    return session_path(session, f"/state/{quote(state_key(key), safe='')}")


def _if_match(tag: str) -> dict[str, str]:
    if not tag:
        return {}
    return {"If-Match": tag if tag == "*" else f'"{tag}"'}


def _etag(answer: Answer) -> str:
    return answer.headers.get("ETag", "").strip('"')
