"""What of a conversation the model sees: whole turns, the newest that fit, in the order in which they ended.

The rules of this file:
- A turn is placed where its first terminal reply stands. A retry or a regenerate changes its answer, not its place.
- Completed: user text and the latest complete answer. Cancelled: user text and what had been said. Failed: user text.
  A turn without an end is not there yet. What is blank is left out.
- A restarted turn sees what it saw the first time: only turns that ended before it first did.
- Turns that an edit took back are not there. A summary stands for every turn that ended where it reaches or before, unless
  an edit since took back something that it tells of. Of these turns one that was answered anew since stands right behind it.
- The events are read backwards and only as far as the budget reaches, so the work does not grow with the conversation.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, islice, takewhile
from typing import Final, Literal, NamedTuple

import msgspec

from chatstream.core.events import (
    AnyEvent,
    Blocks,
    ContextCompacted,
    MessageAccepted,
    ReplyCancelled,
    ReplyCompleted,
    ReplyFailed,
    Terminal,
)
from chatstream.core.ids import Seq

BYTES_PER_TOKEN: Final = 4.0
"""English prose has about four; used until a reply has told better."""
BYTES_PER_TOKEN_LEAST: Final = 1.5
BYTES_PER_TOKEN_MOST: Final = 8.0
SAMPLE_TOKENS_LEAST: Final = 16
"""A reply with fewer tokens says nothing about the rate: "Hi" with its end mark is 2 bytes in 4 tokens."""
MESSAGE_BYTES: Final = 16
"""Added to each message for its role and separators: about four tokens in the chat templates in use."""
EVENTS_MOST: Final = 10_000
"""Events looked at beyond one for each token of the budget: room for a full queue and many restarts of one turn."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the history. content: blocks when there is more than text."""

    role: Literal["user", "assistant"]
    text: str
    content: Blocks | None = None


MessageOf = Callable[[Seq], MessageAccepted | None]

SUMMARY: Final = "What was said before, in short:\n\n"
"""Before a summary's text, which the model is shown as the user's."""


class Rewind(NamedTuple):
    """An edit: the message `edit` took back every turn from `replaced` on that was there before it."""

    replaced: Seq
    edit: Seq

    def took_back(self, turn: Seq) -> bool:
        """Is the turn one of those?"""
        return self.replaced <= turn < self.edit


class Window(NamedTuple):
    """The history that the model is shown, oldest first. fill: how much of its budget it and the turn's own message take;
    1 when something did not fit."""

    said: list[Said]
    fill: float


def window(
    newest_first: Iterable[AnyEvent],
    turn: MessageAccepted,
    budget_tokens: int,
    message: MessageOf,
    rewinds: Sequence[Rewind] = (),
) -> Window:
    """The history before `turn`'s own message; empty when nothing fits.

    newest_first: the session's events from the newest back, consumed only as far as needed. budget_tokens: for the
    history and the turn's own message together. message: a turn's user message by its seq, None when there is none.
    rewinds: every edit of the session.
    """
    history = _History(turn.turn, _size_bytes(turn.text, turn.content), budget_tokens, message, rewinds)
    history.walk(newest_first)
    return Window(history.in_order(), history.fill)


class Part(NamedTuple):
    """A conversation's beginning, oldest first, to be told in short. through: seq of the last event that it tells of."""

    through: Seq
    said: list[Said]


def oldest_part(
    newest_first: Iterable[AnyEvent],
    last_seq: Seq,
    keep_tokens: int,
    budget_tokens: int,
    message: MessageOf,
    rewinds: Sequence[Rewind] = (),
) -> Part | None:
    """What is to be summarised of a conversation: all but its newest turns, as far as it fits. None when that is nothing.

    It begins with the summary that is in force, if there is one. newest_first, message, rewinds: as in window. last_seq:
    of the session. keep_tokens: for the turns that are left out, at least one. budget_tokens: for the result.
    """
    behind_all = Seq(last_seq + 1)
    history = _History(behind_all, 0, keep_tokens + budget_tokens, message, rewinds)
    history.walk(newest_first)
    return history.oldest(keep_tokens, budget_tokens)


class _Placed(NamedTuple):
    """An ended turn as the model sees it. end: seq of the event it is placed by."""

    said: list[Said]
    size_bytes: int
    end: Seq


class _History:
    """The walk back through a session's events."""

    def __init__(self, turn: Seq, own_bytes: int, budget_tokens: int, message: MessageOf, rewinds: Sequence[Rewind]) -> None:
        self._turn = turn
        self._own_bytes = own_bytes
        self._budget_tokens = budget_tokens
        self._message = message
        self._rewinds = rewinds
        self._summary: ContextCompacted | None = None
        self._summaries: list[ContextCompacted] = []
        """All that were met, newest first: the one in force may turn out to tell too much."""
        self._rate: float | None = None
        self._latest: dict[Seq, Terminal] = {}
        self._restarted = False
        self._known = False
        """Is everything about this turn's own earlier end found out?"""
        self._full = False
        self._left_out = False
        self._placed: list[_Placed] = []
        self._placed_bytes = 0
        self._trim()

    def walk(self, newest_first: Iterable[AnyEvent]) -> None:
        """As far back as anything can change the result."""
        for event in islice(newest_first, max(self._budget_tokens, 0) + EVENTS_MOST):
            self.look_at(event)
            if self._full and self._known:
                break

    def look_at(self, event: AnyEvent) -> None:
        """One event further back."""
        if isinstance(event, ReplyCompleted | ReplyFailed | ReplyCancelled):
            self._terminal(event)
        elif isinstance(event, ContextCompacted):
            self._summarised(event)
        # Whatever became of the turn stands behind its own message: from there on back nothing more is to be learned.
        if event.seq <= self._turn:
            self._known = True

    def _terminal(self, event: Terminal) -> None:
        if event.turn == self._turn:
            self._own_end(event)
            return
        told = self._summary is not None and event.seq <= self._summary.through
        if told:
            self._reach_summary()
        if any(rewind.took_back(event.turn) for rewind in self._rewinds):
            return
        self._learn_rate(event)
        latest = self._latest.get(event.turn)
        if latest is None or (isinstance(event, ReplyCompleted) and not isinstance(latest, ReplyCompleted)):
            self._latest[event.turn] = latest = event
        # The first end of a turn is that of version 1. The turn is placed there, with the answer it has by now.
        if event.version == 1:
            del self._latest[event.turn]
            if not told and not self._full and (self._known or not self._restarted):
                self._place(latest, event.seq)

    def _own_end(self, event: Terminal) -> None:
        """The turn ended before, so it was restarted: what ended after its first end was not there then."""
        self._restarted = True
        self._placed, self._placed_bytes, self._full, self._left_out = [], 0, False, False
        # A summary that reaches as far as here tells of this very turn.
        self._take(next((summary for summary in self._summaries if summary.through < event.seq), None))
        self._known = event.version == 1
        self._trim()

    def _summarised(self, event: ContextCompacted) -> None:
        if any(rewind.replaced <= event.through and rewind.edit > event.seq for rewind in self._rewinds):
            return  # it tells of what was taken back since
        self._summaries.append(event)
        if self._summary is None and not self._full:
            self._take(event)

    def _take(self, summary: ContextCompacted | None) -> None:
        """From now on a summary is in force, if it fits."""
        self._summary = summary
        if summary is None:
            return
        size = _size_bytes(SUMMARY + summary.text, None)
        if self._placed_bytes + size > self._most_bytes:
            self._summary = None
            self._full = self._left_out = True
        else:
            self._placed_bytes += size

    def _reach_summary(self) -> None:
        """Everything further back is told by the summary, but for answers that were given anew since."""
        if self._full:
            return
        assert self._summary is not None
        after = self._summary.seq
        anew = [end for end in self._latest.values() if isinstance(end, ReplyCompleted) and end.seq > after]
        if self._known or not self._restarted:
            for end in sorted(anew, key=lambda end: end.seq, reverse=True):
                self._place(end, self._summary.through)
        self._full = True

    def _place(self, terminal: Terminal, end: Seq) -> None:
        asked = self._message(terminal.turn)
        said = [] if asked is None else _pair(asked, terminal)
        if not said:
            return
        size = sum(_size_bytes(one.text, one.content) for one in said)
        self._placed.append(_Placed(said, size, end))
        self._placed_bytes += size
        self._trim()

    def _learn_rate(self, event: Terminal) -> None:
        if self._rate is None:
            self._rate = _rate_of(event)
            if self._rate is not None:
                self._trim()

    def _trim(self) -> None:
        """Give back the oldest pairs that are too much."""
        most_bytes = self._most_bytes
        while self._placed and self._placed_bytes > most_bytes:
            self._placed_bytes -= self._placed.pop().size_bytes
            self._full = self._left_out = True
        self._full = self._full or self._placed_bytes >= most_bytes

    def _bytes_of(self, tokens: int) -> float:
        return tokens * (self._rate or BYTES_PER_TOKEN)

    @property
    def _most_bytes(self) -> float:
        return self._bytes_of(self._budget_tokens) - self._own_bytes

    @property
    def fill(self) -> float:
        """How much of the budget is used: 0 to 1."""
        if self._left_out or self._budget_tokens <= 0:
            return 1.0
        return min((self._placed_bytes + self._own_bytes) / self._bytes_of(self._budget_tokens), 1.0)

    def _told(self) -> list[Said]:
        return [] if self._summary is None else [Said(role="user", text=SUMMARY + self._summary.text)]

    def in_order(self) -> list[Said]:
        """The result. A restarted turn whose first end is out of reach has none: what stood before it is not known."""
        if self._restarted and not self._known:
            return []
        return self._told() + [one for placed in reversed(self._placed) for one in placed.said]

    def oldest(self, keep_tokens: int, budget_tokens: int) -> Part | None:
        """All but the newest turns, as much of it as fits."""
        kept = self._newest(self._placed, self._bytes_of(keep_tokens))
        part = self._placed[max(kept, 1) :]
        room_bytes = self._bytes_of(budget_tokens) - sum(_size_bytes(said.text, None) for said in self._told())
        part = part[: self._newest(part, room_bytes)]
        if not part or (self._summary is not None and part[0].end <= self._summary.through):
            return None
        return Part(part[0].end, self._told() + [one for placed in reversed(part) for one in placed.said])

    def _newest(self, placed: Sequence[_Placed], most_bytes: float) -> int:
        """How many turns fit."""
        sizes = accumulate(one.size_bytes for one in placed)
        return sum(1 for _ in takewhile(lambda size: size <= most_bytes, sizes))


def _pair(asked: MessageAccepted, terminal: Terminal) -> list[Said]:
    """What the model sees of one ended turn; nothing when the user said nothing that can be shown."""
    user = _said("user", asked.text, asked.content)
    if user is None:
        return []
    answer = None
    if isinstance(terminal, ReplyCompleted):
        answer = _said("assistant", terminal.text, terminal.content)
    elif isinstance(terminal, ReplyCancelled):
        answer = _said("assistant", terminal.text, None)
    return [user] if answer is None else [user, answer]


def _said(role: Literal["user", "assistant"], text: str, content: Blocks | None) -> Said | None:
    blocks = [block for block in content or () if not is_blank(block)]
    if blocks:
        return Said(role=role, text=text, content=blocks)
    return Said(role=role, text=text) if text.strip() else None


def is_blank(block: dict[str, object]) -> bool:
    """Is it a text block without anything to read? Models refuse these."""
    text = block.get("text", "")
    return block.get("type") == "text" and isinstance(text, str) and not text.strip()


def _size_bytes(text: str, content: Blocks | None) -> int:
    said = len(text.encode()) if content is None else len(msgspec.json.encode(content))
    return said + MESSAGE_BYTES


def _rate_of(event: Terminal) -> float | None:
    """Bytes per token as this reply shows it; None when it does not tell or is too short to tell."""
    if not isinstance(event, ReplyCompleted) or event.usage is None:
        return None
    tokens = event.usage.get("output_tokens")
    if isinstance(tokens, bool) or not isinstance(tokens, int | float) or tokens < SAMPLE_TOKENS_LEAST:
        return None
    return min(max(len(event.text.encode()) / tokens, BYTES_PER_TOKEN_LEAST), BYTES_PER_TOKEN_MOST)
