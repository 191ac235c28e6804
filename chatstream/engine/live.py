"""Answers while they are being given: what each attempt has said so far, and who watches. Nothing of this is logged.

A reader holds no queue. It remembers how far it has read in the attempt's own text, so one that is slow costs no more
memory than one that is quick, and gets in one piece what it missed.
"""

import asyncio
from typing import Final, Protocol

from chatstream.core.errors import ResponderError
from chatstream.core.ids import Seq, SessionId, Version

FRAME_S: Final = 0.016
"""Between two wake-ups because of text: a screen shows no more than 60 pictures a second."""
READER_S: Final = 0.0002
"""So much longer for each reader of the session: one wake-up costs about 50 µs, so that all of a session's readers together
take a quarter of a core at most."""


class LiveAttempt:
    """One attempt at a turn. parts: the pieces of text, in order, only ever added to. began_s: on the loop's clock.

    retry_at_s: when the next attempt begins, on the loop's clock, once this one has failed; else None. reason: its code;
    detail: for people.
    """

    __slots__ = ("began_s", "detail", "number", "parts", "reason", "retry_at_s", "turn", "version")

    def __init__(self, turn: Seq, version: Version, number: int, began_s: float = 0.0) -> None:
        self.turn: Final = turn
        self.version: Final = version
        self.number: Final = number
        self.parts: Final[list[str]] = []
        self.began_s: Final = began_s
        self.retry_at_s: float | None = None
        self.reason = ""
        self.detail = ""


class Wakeable(Protocol):
    """A reader's watch."""

    def wake(self) -> None: ...


class _Readers:
    """Who watches one session live. free_at_s: before that, text waits for more text."""

    __slots__ = ("free_at_s", "timer", "watches")

    def __init__(self) -> None:
        self.watches: set[Wakeable] = set()
        self.free_at_s = 0.0
        self.timer: asyncio.TimerHandle | None = None


class Live:
    """The attempts under way on one node, and their readers.

    An attempt that has ended stays until the session's next event is confirmed: whoever joins in that moment is shown it.
    finished: how many turns have come to an end here.
    """

    def __init__(self) -> None:
        self.ended: Final[dict[SessionId, LiveAttempt]] = {}
        self.finished = 0
        self._running: dict[SessionId, LiveAttempt] = {}
        self._readers: dict[SessionId, _Readers] = {}

    def of(self, session: SessionId) -> LiveAttempt | None:
        """The attempt under way or just ended, or the failed one before the next; None when there is none."""
        return self._running.get(session) or self.ended.get(session)

    def running(self) -> list[tuple[SessionId, LiveAttempt]]:
        """Every attempt under way or between two, the oldest turns first: at most Limits.calls."""
        return list(self._running.items())

    # -- the engine's side ----------------------------------------------------------------------------------------

    def start(self, session: SessionId, attempt: LiveAttempt) -> None:
        """An attempt begins; it takes the place of an earlier one."""
        self.ended.pop(session, None)
        self._running[session] = attempt
        self._wake(session)

    def said(self, session: SessionId) -> None:
        """The attempt has a further part. The first wakes the readers at once, what follows soon after is collected."""
        readers = self._readers.get(session)
        if readers is None or readers.timer is not None:
            return
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        if now_s >= readers.free_at_s:
            self._tell(readers, now_s)
        else:
            readers.timer = loop.call_later(readers.free_at_s - now_s, self._tell_later, readers)

    def failed(self, session: SessionId, attempt: LiveAttempt, error: ResponderError, retry_at_s: float) -> None:
        """The attempt has failed, and another will follow."""
        attempt.reason, attempt.detail, attempt.retry_at_s = error.failure, str(error), retry_at_s
        self._wake(session)

    def finish(self, session: SessionId) -> None:
        """The attempts are over and how is about to be recorded."""
        attempt = self._running.pop(session, None)
        if attempt is not None:
            self.ended[session] = attempt
            self.finished += 1

    def drop(self, session: SessionId) -> None:
        """The call was stopped: what it said is not to be shown to anyone who joins now."""
        self._running.pop(session, None)

    def _wake(self, session: SessionId) -> None:
        readers = self._readers.get(session)
        if readers is not None:
            for watch in readers.watches:
                watch.wake()

    def _tell_later(self, readers: _Readers) -> None:
        readers.timer = None
        self._tell(readers, asyncio.get_running_loop().time())

    def _tell(self, readers: _Readers, now_s: float) -> None:
        readers.free_at_s = now_s + max(FRAME_S, READER_S * len(readers.watches))
        for watch in readers.watches:
            watch.wake()

    # -- the readers' side ----------------------------------------------------------------------------------------

    def join(self, session: SessionId, watch: Wakeable) -> None:
        """Wake this reader of the session for text as well."""
        self._readers.setdefault(session, _Readers()).watches.add(watch)

    def leave(self, session: SessionId, watch: Wakeable) -> None:
        """The reader is gone."""
        readers = self._readers[session]
        readers.watches.discard(watch)
        if not readers.watches:
            if readers.timer is not None:
                readers.timer.cancel()
            del self._readers[session]
