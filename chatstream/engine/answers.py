"""Answers to requests, kept until what they say cannot be otherwise any more.

Most rest on what is appended: they are given when that is confirmed. That nothing came of a command is an answer which
no event stands for, and an owner who read the command again would decide it as things stand then. So it is given when the
log says that the command was decided.
"""

from collections import deque

from chatstream.core.ids import InputPosition
from chatstream.engine.appends import Appends
from chatstream.engine.desk import Answer
from chatstream.engine.surroundings import Surroundings


class Answers:
    """The answers that one writer still has to give."""

    def __init__(self, appends: Appends, around: Surroundings) -> None:
        self._appends = appends
        self._around = around
        self._appended: deque[tuple[int, bytes, Answer]] = deque()
        self._decided: deque[tuple[InputPosition, bytes, Answer]] = deque()

    def when_appended(self, waiter: bytes | None, answer: Answer) -> None:
        """Give it when everything appended so far is confirmed."""
        if waiter is not None:
            self._appended.append((self._appends.made, waiter, answer))

    def when_decided(self, waiter: bytes | None, answer: Answer, at: InputPosition) -> None:
        """Give it when the log says that the command at `at` is decided."""
        if waiter is not None:
            self._decided.append((at, waiter, answer))

    def give(self, position: InputPosition) -> None:
        """Give what may be given. position: up to which the input is decided. Raises LogError when that cannot be written."""
        if self._decided and self._decided[0][0] <= position:
            self._appends.mark(position)
            while self._decided and self._decided[0][0] <= position:
                _, waiter, answer = self._decided.popleft()
                self.when_appended(waiter, answer)
        while self._appended and self._appended[0][0] <= self._appends.confirmed:
            _, waiter, answer = self._appended.popleft()
            self._around.answer(waiter, answer)
