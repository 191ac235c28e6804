"""Calls of the model: attempts, retries, limits, cancellation. One call a session at a time, Limits.calls on the node.

A turn that waits for a free call is four numbers here; its message is read from the table when it starts.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final, Protocol

import msgspec

from chatstream.core.errors import ResponderError, ResponderRefused, TableBroken
from chatstream.core.events import MessageAccepted, Usage
from chatstream.core.ids import Seq, SessionId, Version
from chatstream.core.limits import Limits
from chatstream.core.session import Completed, Failed, Outcome, Partial
from chatstream.engine.calling import LiveTurn, read_message
from chatstream.engine.compacting import Compactions, Compactor
from chatstream.engine.feed import Feed
from chatstream.engine.live import LiveAttempt
from chatstream.engine.outcomes import checked_reply, failure_of, piece_bytes, plain_text
from chatstream.engine.steps import Recording
from chatstream.respond.failures import EMPTY_REPLY, NO_MESSAGE, REPLY_TOO_LARGE, TIMEOUT
from chatstream.respond.port import Reply, Responder
from chatstream.respond.retries import retry_wait_s
from chatstream.table.port import Table

log = logging.getLogger(__name__)

WATCH_S: Final = 1.0
"""Between two looks for calls that are silent or run for too long."""
CANCEL_LOOKS: Final = 10
"""Looks until a call that was cancelled counts as ended, whatever its code goes on doing: user code may catch a cancellation.
Looks and not seconds: after a process that stood still, the call gets its turn first."""


class Asker(Recording, Compactor, Protocol):
    """The partition's side of a call."""

    @property
    def table(self) -> Table:
        """The confirmed rows."""

    def started(self, session: SessionId, turn: Seq, version: Version) -> None:
        """Written down before the call is made, so that a death in the middle of it is known."""

    def finish(self, session: SessionId, turn: Seq, version: Version, outcome: Outcome) -> None:
        """The attempts are over."""

    def broken(self, error: TableBroken) -> None:
        """The table cannot be read: that is no failure of the turn, which runs again when there is a table again."""


class Job(msgspec.Struct, frozen=True):
    """A turn to be answered. event: its message, where at hand."""

    asker: Asker
    session: SessionId
    turn: Seq
    version: Version
    event: MessageAccepted | None = None


class Call:
    """A job under way."""

    __slots__ = (
        "attempt", "fill", "job", "live", "looks", "reason", "resting", "size_bytes", "started_s", "task", "touched_s",
        "usage",
    )  # fmt: skip

    def __init__(self, job: Job, now_s: float) -> None:
        self.job = job
        self.attempt = 0
        self.fill = 0.0
        self.live = LiveAttempt(job.turn, job.version, 0)
        self.size_bytes = 0
        self.usage: Usage | None = None
        self.started_s = now_s
        self.touched_s = now_s
        self.reason: ResponderError | None = None
        self.looks = 0
        self.resting = False
        self.task: asyncio.Task[None] | None = None


class Turns:
    """All calls of one node. on_crash: told of an exception that is a bug of ours; the process has to end."""

    def __init__(
        self, responder: Responder, limits: Limits, feed: Feed, rng: Random, on_crash: Callable[[BaseException], None]
    ) -> None:
        self._responder = responder
        self._limits = limits
        self._feed = feed
        self._rng = rng
        self._on_crash = on_crash
        self._calls: dict[SessionId, Call] = {}
        self.compactions: Final = Compactions(responder, limits, on_crash)
        self._waiting: dict[SessionId, Job] = {}
        self._draining = False
        self._idle = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def waiting(self) -> int:
        """Turns that wait for a free call."""
        return len(self._waiting)

    def run(self, job: Job) -> None:
        """Answer a turn when there is a free call, unless that is under way."""
        call = self._calls.get(job.session)
        if call is not None and (call.job.turn, call.job.version) == (job.turn, job.version):
            return
        waiting = self._waiting.get(job.session)
        if waiting is None or (waiting.turn, waiting.version) != (job.turn, job.version):
            self._waiting[job.session] = job  # the same one may have its message at hand, and keeps it
        if self._has_room():
            self._start_next()

    def _has_room(self) -> bool:
        """Is there a free call? Summaries give theirs back."""
        if len(self._calls) >= self._limits.calls or self._draining:
            return False
        if len(self._calls) + len(self.compactions) >= self._limits.calls:
            self.compactions.give_way()
        return True

    def _start_next(self) -> None:
        job = self._waiting.pop(next(iter(self._waiting)))
        job.asker.started(job.session, job.turn, job.version)
        call = self._calls[job.session] = Call(job, self._loop.time())
        call.task = self._loop.create_task(self._answer(call))
        call.task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_crash(error)
        self._start_more()

    def _start_more(self) -> None:
        while self._waiting and self._has_room():
            self._start_next()
        if not self._calls:
            self._idle.set()

    def stop(self, session: SessionId) -> None:
        """End the session's call or take it off the queue; its outcome is not wanted."""
        self._waiting.pop(session, None)
        call = self._calls.pop(session, None)
        if call is not None and call.task is not None:
            call.task.cancel()
            self._feed.live.drop(session)

    def said(self, session: SessionId) -> Partial:
        """What the session's call has said so far."""
        call = self._calls.get(session)
        return Partial() if call is None else Partial("".join(call.live.parts), call.usage)

    def attempt(self, session: SessionId) -> int:
        """The number of the attempt under way, 0 when none is."""
        call = self._calls.get(session)
        return 0 if call is None else call.attempt

    def abandon(self, asker: Asker) -> list[SessionId]:
        """End all calls for a partition that this node no longer writes; which sessions had one under way."""
        for session in [s for s, job in self._waiting.items() if job.asker is asker]:
            del self._waiting[session]
        mine = [session for session, call in self._calls.items() if call.job.asker is asker]
        for session in mine:
            self.stop(session)
        self.compactions.abandon(asker)
        return mine

    async def drain(self, wait_s: float) -> None:
        """Start nothing more, and wait at most wait_s for the calls under way."""
        self._draining = True
        self._idle.clear()
        if self._calls and wait_s > 0:
            try:
                async with asyncio.timeout(wait_s):
                    await self._idle.wait()
            except TimeoutError:
                log.info("%d calls of the model are left to the next owner", len(self._calls))

    async def watch(self) -> None:
        """End attempts that are silent and turns that run for too long; runs until cancelled."""
        while True:
            await asyncio.sleep(WATCH_S)
            now = self._loop.time()
            for call in list(self._calls.values()):
                self._watch_call(call, now)

    def _watch_call(self, call: Call, now_s: float) -> None:
        if call.task is None or call.resting:
            return
        if call.task.done():
            # Its own code cancelled the task: an attempt that ends so is not told from the end of the process.
            self._lose(call, ResponderError("the call was cancelled from within"))
        elif call.reason is not None:
            call.looks += 1
            if call.looks >= CANCEL_LOOKS:
                self._lose(call, call.reason)
        else:
            self._watch_time(call, call.task, now_s)

    def _watch_time(self, call: Call, task: asyncio.Task[None], now_s: float) -> None:
        if now_s - call.started_s > self._limits.turn_s:
            call.reason = ResponderRefused(f"no answer within {self._limits.turn_s:g} s", failure=TIMEOUT)
        elif now_s - call.touched_s > self._limits.chunk_wait_s:
            call.reason = ResponderError(f"the model was silent for {self._limits.chunk_wait_s:g} s", failure=TIMEOUT)
        if call.reason is not None:
            call.looks = 0
            task.cancel()

    def _lose(self, call: Call, reason: ResponderError) -> None:
        """The call will give no outcome any more: the turn fails, so that the session's next one can run."""
        log.error("session %s, turn %d: its call was lost: %s", call.job.session, call.job.turn, reason)
        self._conclude(call, Failed(code=reason.failure, detail=str(reason), attempts=call.attempt))
        self._start_more()

    async def _answer(self, call: Call) -> None:
        job = call.job
        try:
            message = job.event if job.event is not None else read_message(job.asker.table, job.session, job.turn)
            outcome = self._no_message(job) if message is None else await self._attempts(call, message)
        except TableBroken as error:
            if self._is_wanted(call):
                job.asker.broken(error)
            return
        if self._is_wanted(call):
            self._conclude(call, outcome)

    def _is_wanted(self, call: Call) -> bool:
        """Is it still the session's call? Not when it was stopped or lost, whatever its task does."""
        return self._calls.get(call.job.session) is call

    def _conclude(self, call: Call, outcome: Outcome) -> None:
        job = call.job
        del self._calls[job.session]
        self._feed.live.finish(job.session)
        if self.compactions.wanted(call.fill) and not self._waiting and not self._draining:
            self._compact(job)
        job.asker.finish(job.session, job.turn, job.version, outcome)

    def _compact(self, job: Job) -> None:
        """Summarise the session if a call is free. Before its turn is finished, which may end the partition's writer."""
        if len(self._calls) + len(self.compactions) < self._limits.calls:
            self.compactions.offer(job.asker, job.session)

    def _no_message(self, job: Job) -> Failed:
        """A record that does not fit made a turn of something that nobody said. The fold has raised its alarm by now."""
        return Failed(code=NO_MESSAGE, detail=f"event {job.turn} of the session is no message")

    async def _attempts(self, call: Call, message: MessageAccepted) -> Outcome:
        """Call the model until it answers, refuses, or the turn's budget is spent."""
        while True:
            call.attempt += 1
            call.touched_s = self._loop.time()
            call.live = LiveAttempt(call.job.turn, call.job.version, call.attempt, call.touched_s)
            call.size_bytes = 0
            self._feed.live.start(message.session, call.live)
            call.reason = None
            try:
                return await self._attempt(call, message)
            except ResponderError as error:
                failure = error
            if not self._is_wanted(call):
                raise asyncio.CancelledError  # stopped in the very moment in which the attempt ended for its own reason
            spent_s = self._loop.time() - call.started_s
            wait_s = retry_wait_s(self._limits, call.attempt, failure, spent_s, self._rng.random())
            if wait_s is None:
                return Failed(code=failure.failure, detail=str(failure), attempts=call.attempt)
            log.info("session %s, turn %d: attempt %d: %s", message.session, message.seq, call.attempt, failure)
            self._feed.live.failed(message.session, call.live, failure, self._loop.time() + wait_s)
            # After a long stop of the process the watch may run before this sleep ends: it ends attempts, not rests.
            call.resting = True
            await asyncio.sleep(wait_s)
            call.resting = False

    async def _attempt(self, call: Call, message: MessageAccepted) -> Completed:
        """One call of the model. Raises ResponderError, whatever the responder raised."""
        job, alive = call.job, partial(self._sign_of_life, call)
        turn = LiveTurn(call, message, job.asker, self._limits, job.version, alive)
        most = self._limits.detail_chars
        try:
            return await self._consume(call, turn)
        except asyncio.CancelledError as error:
            reason, call.reason = call.reason, None
            if call.task is None or not self._is_wanted(call):
                raise  # stopped
            if reason is not None:  # the watch cancelled it
                call.task.uncancel()
                raise reason from None
            if call.task.cancelling():  # somebody ends the whole process
                raise
            raise failure_of(error, most) from error  # the user's code raised it, as it may raise anything
        except TableBroken:
            raise
        except (Exception, SystemExit) as error:
            # The responder is the user's code and may raise anything: the turn fails, the node does not.
            raise failure_of(error, most) from error

    def _sign_of_life(self, call: Call) -> bool:
        """Silence begins anew. False for a call that is over, whatever its code goes on doing."""
        call.touched_s = self._loop.time()
        return self._is_wanted(call)

    async def _consume(self, call: Call, turn: LiveTurn) -> Completed:
        reply: Reply | None = None
        stream = self._responder.respond(turn)
        try:
            async for piece in stream:
                if not self._is_wanted(call):
                    raise asyncio.CancelledError  # its code caught the first one, and goes on
                call.touched_s = self._loop.time()
                if isinstance(piece, str):
                    self._say(call, plain_text(piece))
                else:
                    reply = piece
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()
        return self._completed(call, turn, Reply() if reply is None else checked_reply(reply))

    def _say(self, call: Call, piece: str) -> None:
        if not piece:
            return
        call.size_bytes += piece_bytes(piece)
        if call.size_bytes > self._limits.event_bytes:
            raise ResponderRefused(f"the reply is larger than {self._limits.event_bytes} bytes", failure=REPLY_TOO_LARGE)
        call.live.parts.append(piece)
        self._feed.live.said(call.job.session)

    def _completed(self, call: Call, turn: LiveTurn, reply: Reply) -> Completed:
        if turn.refused is not None:
            raise turn.refused
        call.fill = turn.fill
        text = "".join(call.live.parts) if reply.text is None else reply.text
        if not text and not reply.content:
            raise ResponderError("the model gave no text", failure=EMPTY_REPLY)
        state, state_bytes = turn.state_changes()
        return Completed(
            text=text,
            content=reply.content,
            model=reply.model,
            stop_reason=reply.stop_reason,
            usage=reply.usage if reply.usage is not None else call.usage,
            attempts=call.attempt,
            state=state,
            state_bytes=state_bytes,
        )
