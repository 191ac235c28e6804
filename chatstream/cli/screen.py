"""What people see of a conversation: plain text, or rendered Markdown where the terminal can show it.

The rule of this file: what a model or another person says never reaches a terminal with its control characters.
"""

import os
import sys
from typing import TYPE_CHECKING, Final, Protocol, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.markdown import Markdown

PICTURES_PER_S: Final = 15
_CONTROLS: Final = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
_FENCES: Final = ("```", "~~~")


def harmless(text: str) -> str:
    """Without what a terminal would obey."""
    return text.translate(_CONTROLS)


def show(text: str, end: str = "\n") -> None:
    """Print at once what somebody said: as it is into a file or a pipe, harmless on a terminal."""
    print(harmless(text) if sys.stdout.isatty() else text, end=end, flush=True)


class Screen(Protocol):
    """One conversation on a screen. An answer is begun, said in pieces and ended; notes stand between answers."""

    def user(self, text: str, name: str) -> None:
        """Somebody said something."""

    def say(self, text: str) -> None:
        """A piece of the answer; the first one begins it."""

    def end(self) -> None:
        """The answer is over. Repeatable."""

    def note(self, text: str) -> None:
        """A word of the program's own."""


def screen() -> Screen:
    """Markdown on a terminal, else plain text."""
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return MarkdownScreen()
    return PlainScreen(sys.stdout)


class PlainScreen:
    """Text as it comes; notes go to standard error, so that a pipe gets the conversation alone."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._clean = harmless if out.isatty() else str
        self._last = ""

    def user(self, text: str, name: str) -> None:
        self.end()
        print(f"{self._clean(name)}: {self._clean(text)}", file=self._out, flush=True)

    def say(self, text: str) -> None:
        if text:
            self._last = text
            print(self._clean(text), end="", file=self._out, flush=True)

    def end(self) -> None:
        if self._last and not self._last.endswith("\n"):
            print(file=self._out, flush=True)
        self._last = ""

    def note(self, text: str) -> None:
        self.end()
        print(f"chatstream: {' '.join(harmless(text).split())}", file=sys.stderr, flush=True)


class MarkdownScreen:
    """Finished blocks stay as they are printed; the last one is drawn anew while it grows."""

    def __init__(self, console: "Console | None" = None) -> None:
        from rich.console import Console

        self._console = console or Console(highlight=False)
        self._live: Live | None = None
        self._growing = ""

    def user(self, text: str, name: str) -> None:
        from rich.text import Text

        self.end()
        self._console.print(Text(harmless(f"{name}: {text}"), style="bold"))

    def say(self, text: str) -> None:
        from rich.live import Live

        finished, self._growing = finished_blocks(self._growing + harmless(text))
        if finished.strip():
            self._stop()
            self._console.print(self._drawn(finished), end="\n\n" if self._growing else "\n")
        if self._live is None and self._growing:
            self._live = Live(console=self._console, transient=True, refresh_per_second=PICTURES_PER_S)
            self._live.start()
        if self._live is not None:
            self._live.update(self._drawn(self._growing))

    def end(self) -> None:
        self._stop()
        growing, self._growing = self._growing, ""
        if growing.strip():
            self._console.print(self._drawn(growing))

    def note(self, text: str) -> None:
        from rich.text import Text

        self.end()
        self._console.print(Text(" ".join(harmless(text).split()), style="dim italic"))

    def _drawn(self, text: str) -> "Markdown":
        from rich.markdown import Markdown

        return Markdown(text, hyperlinks=False)  # where a link leads is to be seen

    def _stop(self) -> None:
        if self._live is not None:
            self._live.update("")
            self._live.stop()
            self._live = None


def finished_blocks(text: str) -> tuple[str, str]:
    """(blocks that no further text changes, the rest): up to the last empty line that is not inside a fence."""
    fence = ""
    place = end = 0
    for line in text.splitlines(keepends=True):
        place += len(line)
        mark = line.lstrip()[:3]
        if fence:
            fence = "" if mark == fence else fence
        elif mark in _FENCES:
            fence = mark
        elif not line.strip() and line.endswith("\n"):
            end = place
    return text[:end], text[end:]
