"""What a person types: a message of one line or of several."""

import contextlib
import importlib
import sys
from typing import Final

PROMPT: Final = "> "
MORE: Final = ". "
QUOTES: Final = '"""'


class Keyboard:
    """Standard input as messages. A line that ends with a backslash goes on; three quotes begin a block that three end."""

    def __init__(self) -> None:
        self.is_terminal: Final = sys.stdin.isatty() and sys.stdout.isatty()
        if self.is_terminal:
            with contextlib.suppress(ImportError):
                importlib.import_module("readline")  # gives input() its arrows and its history

    def read(self) -> str | None:
        """The next message, None at the end. Raises KeyboardInterrupt."""
        line = self._line(PROMPT)
        if line is None:
            return None
        if line.lstrip().startswith(QUOTES):
            return self._block(line.lstrip().removeprefix(QUOTES))
        lines = []
        while line is not None and line.endswith("\\"):
            lines.append(line[:-1])
            line = self._line(MORE)
        return "\n".join([*lines, line or ""])

    def ask(self, question: str) -> str:
        """An answer of one line, empty where there is nobody to ask. Raises KeyboardInterrupt."""
        return (self._line(question) or "").strip().lower() if self.is_terminal else ""

    def _block(self, line: str | None) -> str:
        lines = []
        while line is not None and not line.rstrip().endswith(QUOTES):
            lines.append(line)
            line = self._line(MORE)
        last = (line or "").rstrip().removesuffix(QUOTES)
        return "\n".join([*lines, last]).strip("\n")

    def _line(self, prompt: str) -> str | None:
        try:
            return input(prompt if self.is_terminal else "")
        except EOFError:
            self._leave_line()
            return None
        except KeyboardInterrupt:
            self._leave_line()
            raise

    def _leave_line(self) -> None:
        """What comes next does not stand behind the prompt."""
        if self.is_terminal:
            print(flush=True)
