"""What of a conversation the model sees: whole turns, the newest that fit, in the order in which they ended.

The rules of this file:
- A turn is placed where its first terminal reply stands. A retry or a regenerate changes its answer, not its place.
- Completed: user text and the latest complete answer. Cancelled: user text and what had been said. Failed: user text.
  A turn without an end is not there yet. What is blank is left out.
- A restarted turn sees what it saw the first time: only turns that ended before it first did.
- Turns that an edit took back are not there. A summary stands for every turn that ended where it reaches or before, unless
  an edit since took back something that it tells of.
- The events are read backwards and only as far as the budget reaches, so the work does not grow with the conversation.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
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


def window(
    newest_first: Iterable[AnyEvent],
    turn: MessageAccepted,
    budget_tokens: int,
    message: MessageOf,
    rewinds: Sequence[Rewind] = (),
) -> list[Said]:
    """The history that the model is shown before `turn`'s own message, oldest first; empty when nothing fits.

    newest_first: the session's events from the newest back, consumed only as far as needed. budget_tokens: for the
    history and the turn's own message together. message: a turn's user message by its seq, None when there is none.
    rewinds: every edit of the session.
    """
    history = _History(turn, budget_tokens, message, rewinds)
    for event in islice(newest_first, max(budget_tokens, 0) + EVENTS_MOST):
        history.look_at(event)
        if history.finished:
            break
    return history.in_order()


class _History:
    """The walk back through a session's events."""

    def __init__(self, turn: MessageAccepted, budget_tokens: int, message: MessageOf, rewinds: Sequence[Rewind]) -> None:
        self._turn = turn.turn
        self._own_bytes = _size_bytes(turn.text, turn.content)
        self._budget_tokens = budget_tokens
        self._message = message
        self._rewinds = rewinds
        self._summary: ContextCompacted | None = None
        self._rate: float | None = None
        self._latest: dict[Seq, Terminal] = {}
        self._restarted = False
        self._known = False
        """Is everything about this turn's own earlier end found out?"""
        self._full = False
        self._placed: list[tuple[list[Said], int]] = []
        self._placed_bytes = 0
        self._trim()

    @property
    def finished(self) -> bool:
        """Nothing further back can change the result."""
        return self._full and self._known

    def look_at(self, event: AnyEvent) -> None:
        """One event further back."""
        if isinstance(event, ReplyCompleted | ReplyFailed | ReplyCancelled):
            self._terminal(event)
        elif isinstance(event, ContextCompacted) and not self._full and self._summary is None:
            self._summarised(event)
        # Whatever became of the turn stands behind its own message: from there on back nothing more is to be learned.
        if event.seq <= self._turn:
            self._known = True

    def _terminal(self, event: Terminal) -> None:
        if event.turn == self._turn:
            self._own_end(event)
            return
        if self._summary is not None and event.seq <= self._summary.through:
            self._full = True
            return
        if any(rewind.took_back(event.turn) for rewind in self._rewinds):
            return
        self._learn_rate(event)
        latest = self._latest.get(event.turn)
        if latest is None or (isinstance(event, ReplyCompleted) and not isinstance(latest, ReplyCompleted)):
            self._latest[event.turn] = latest = event
        # The first end of a turn is that of version 1. The turn is placed there, with the answer it has by now.
        if event.version == 1:
            del self._latest[event.turn]
            if not self._full and (self._known or not self._restarted):
                self._place(latest)

    def _own_end(self, event: Terminal) -> None:
        """The turn ended before, so it was restarted: what ended after its first end was not there then."""
        self._restarted = True
        self._placed, self._placed_bytes, self._full = [], 0, False
        # A summary that reaches as far as here tells of this very turn.
        if self._summary is not None and self._summary.through >= event.seq:
            self._summary = None
        if self._summary is not None:
            self._placed_bytes = _size_bytes(SUMMARY + self._summary.text, None)
        self._known = event.version == 1
        self._trim()

    def _summarised(self, event: ContextCompacted) -> None:
        if any(rewind.replaced <= event.through and rewind.edit > event.seq for rewind in self._rewinds):
            return  # it tells of what was taken back since
        size = _size_bytes(SUMMARY + event.text, None)
        if self._placed_bytes + size > self._most_bytes:
            self._full = True
            return
        self._summary = event
        self._placed_bytes += size

    def _place(self, terminal: Terminal) -> None:
        asked = self._message(terminal.turn)
        said = [] if asked is None else _pair(asked, terminal)
        if not said:
            return
        size = sum(_size_bytes(one.text, one.content) for one in said)
        self._placed.append((said, size))
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
            self._placed_bytes -= self._placed.pop()[1]
            self._full = True
        self._full = self._full or self._placed_bytes >= most_bytes

    @property
    def _most_bytes(self) -> float:
        return self._budget_tokens * (self._rate or BYTES_PER_TOKEN) - self._own_bytes

    def in_order(self) -> list[Said]:
        """The result. A restarted turn whose first end is out of reach has none: what stood before it is not known."""
        if self._restarted and not self._known:
            return []
        summary = [] if self._summary is None else [Said(role="user", text=SUMMARY + self._summary.text)]
        return summary + [one for said, _ in reversed(self._placed) for one in said]


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
