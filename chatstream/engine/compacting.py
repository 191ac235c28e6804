"""Long conversations told in short: the responder's `compact`, called beside the turns and never in the way of one.

The rules of this file:
- Nothing waits for a summary. It takes a call that no turn wants (Limits.calls), and gives it back when one does.
- What is lost is only work: nothing here is remembered. A turn that finds its window full asks for a summary again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec

from chatstream.core.errors import ChatstreamError, ResponderError, TableBroken
from chatstream.core.ids import Seq, SessionId
from chatstream.core.limits import Limits
from chatstream.core.prompt import Part, oldest_part
from chatstream.core.session import Compacted
from chatstream.engine.calling import events_back, read_message
from chatstream.engine.outcomes import checked_reply, checked_usage, failure_of
from chatstream.respond.port import Past, Reply, Responder
from chatstream.table import rows
from chatstream.table.port import Table, View

log = logging.getLogger(__name__)

RESTING_MOST: Final = 10_000
"""Sessions whose summaries failed that are remembered, the latest: one that is forgotten is only tried again sooner."""


class Compactor(Protocol):
    """The partition's side of a summary."""

    @property
    def table(self) -> Table:
        """The confirmed rows."""

    def compacted(self, session: SessionId, made_at: Seq, what: Compacted) -> None:
        """Record a summary of the conversation as it was with the event made_at, if it is still true."""

    def broken(self, error: TableBroken) -> None:
        """The table cannot be read."""


class Rest(msgspec.Struct, frozen=True):
    """A session that is left alone until then, on the loop's clock. wait_s: how long this rest is."""

    until_s: float
    wait_s: float


class Work(msgspec.Struct, frozen=True):
    """A summary in the making."""

    compactor: Compactor
    task: asyncio.Task[None]


class Compactions:
    """The summaries that one node makes. on_crash: told of an exception that is a bug of ours."""

    def __init__(self, responder: Responder, limits: Limits, on_crash: Callable[[BaseException], None]) -> None:
        self._compact: Callable[[Past], Awaitable[str | Reply]] | None = getattr(responder, "compact", None)
        self._limits = limits
        self._on_crash = on_crash
        self._work: dict[SessionId, Work] = {}
        self._rests: dict[SessionId, Rest] = {}
        self._loop = asyncio.get_running_loop()

    def __len__(self) -> int:
        return len(self._work)

    def wanted(self, fill: float) -> bool:
        """Does a conversation that fills so much of its window need a summary?"""
        return self._compact is not None and fill >= self._limits.compact_share

    def offer(self, compactor: Compactor, session: SessionId) -> None:
        """There is a call for it: summarise the session, unless that is under way or failed a short while ago."""
        rest = self._rests.get(session)
        resting = rest is not None and self._loop.time() < rest.until_s
        if self._compact is None or resting or session in self._work or len(self._work) >= self._limits.compacts:
            return
        task = self._loop.create_task(self._make(compactor, session))
        self._work[session] = Work(compactor, task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_crash(error)

    def give_way(self) -> None:
        """A turn needs the call of one of them: the youngest gives it."""
        session, work = self._work.popitem()
        work.task.cancel()
        self._rest(session)

    def abandon(self, compactor: Compactor) -> None:
        """End all for a partition that this node no longer writes."""
        for session in [session for session, work in self._work.items() if work.compactor is compactor]:
            self._work.pop(session).task.cancel()

    async def _make(self, compactor: Compactor, session: SessionId) -> None:
        try:
            await self._summarise(compactor, session)
        except TableBroken as error:
            compactor.broken(error)
        except ChatstreamError as error:
            log.warning("session %s: no summary of its beginning: %s", session, error)
            self._rest(session)
        finally:
            work = self._work.get(session)
            if work is not None and work.task is asyncio.current_task():
                del self._work[session]

    async def _summarise(self, compactor: Compactor, session: SessionId) -> None:
        view = compactor.table.snapshot()
        made_at = rows.read_head(view, session).last_seq
        part = _oldest_part(view, session, made_at, self._limits)
        if part is None:
            return
        profile = rows.read_profile(view, session)
        del view  # it holds old rows in the store, and the model takes its time
        past = Past(session=session, system=profile.system or "", model=profile.model or "", history=part.said)
        summary = self._checked(await self._asked(past))
        compactor.compacted(
            session,
            made_at,
            Compacted(through=part.through, text=summary.text or "", model=summary.model, usage=summary.usage),
        )
        self._rests.pop(session, None)

    async def _asked(self, past: Past) -> str | Reply:
        """What the hook gives. Raises ResponderError, whatever it raises."""
        call = self._loop.create_task(self._call(past))
        try:
            await asyncio.wait([call], timeout=self._limits.compact_s)
        finally:
            call.cancel()
        if not call.done():
            raise ResponderError(f"none within {self._limits.compact_s:g} s")
        error = asyncio.CancelledError() if call.cancelled() else call.exception()
        if error is not None:
            raise failure_of(error, self._limits.detail_chars) from error
        return call.result()

    async def _call(self, past: Past) -> str | Reply:
        assert self._compact is not None
        try:
            return await self._compact(past)
        except SystemExit as error:  # in a task of its own it would end the node
            raise ResponderError("its code raised SystemExit") from error

    def _checked(self, given: str | Reply) -> Reply:
        """A summary that can be recorded, and is one. Raises ResponderError."""
        if not isinstance(given, str | Reply):
            raise ResponderError(f"it is a {type(given).__name__}; it may be str or Reply")
        summary = checked_reply(Reply(text=given) if isinstance(given, str) else given)
        if not (summary.text or "").strip():
            raise ResponderError("it is blank")
        # A longer one would leave so little room that the next one is needed soon, and the next.
        most, size_bytes = self._limits.prompt_tokens, len((summary.text or "").encode())
        if size_bytes > most:
            raise ResponderError(f"it has {size_bytes} bytes, at most {most} are of use")
        if summary.usage is not None:
            checked_usage(summary.usage, self._limits.usage_bytes)
        return summary

    def _rest(self, session: SessionId) -> None:
        """Leave the session alone for twice as long as the last time."""
        before = self._rests.pop(session, None)
        wait_s = self._limits.compact_rest_s if before is None else before.wait_s * 2
        wait_s = min(wait_s, self._limits.compact_rest_most_s)
        while len(self._rests) >= RESTING_MOST:
            del self._rests[next(iter(self._rests))]
        self._rests[session] = Rest(self._loop.time() + wait_s, wait_s)


def _oldest_part(view: View, session: SessionId, last_seq: Seq, limits: Limits) -> Part | None:
    """About half of a window that is as full as it may be, and everything before it."""
    return oldest_part(
        events_back(view, session),
        last_seq,
        int(limits.prompt_tokens * limits.compact_share / 2),
        limits.prompt_tokens,
        lambda seq: read_message(view, session, seq),
        rows.read_rewinds(view, session),
    )
