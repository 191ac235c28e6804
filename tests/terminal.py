"""A program on a terminal of its own: typed at, interrupted, and read as a person would read it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from tests.process import environment

SHOWN_S: Final = 60.0
LOOK_S: Final = 0.02
INTERRUPT: Final = "\x03"
END: Final = "\x04"
ROWS, COLUMNS = 50, 120
_CONTROL: Final = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r")


class Terminal:
    """The program in it; killed when the block ends. term: what it is told of the terminal, `dumb` for plain text."""

    def __init__(self, command: Sequence[str], directory: Path, term: str = "dumb") -> None:
        self._command = command
        self._directory = directory
        self._term = term
        self._bytes = bytearray()
        self._read_to = 0

    def __enter__(self) -> "Terminal":
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            self._command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=self._directory,
            env=environment(TERM=self._term),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(SHOWN_S)
        os.close(self._ours)
        if kind is not None:
            print(self.text())

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self._ours, 65536)
            except OSError:  # the other side is closed
                return
            if not part:
                return
            self._bytes += part

    def raw(self) -> str:
        """All that was written, as it was."""
        return bytes(self._bytes).decode(errors="replace")

    def text(self) -> str:
        """The same without what moves the cursor and colours."""
        return _CONTROL.sub("", self.raw())

    def type(self, text: str) -> None:
        """As keys are pressed: a line ends with `\\n`."""
        os.write(self._ours, text.encode())

    def shows(self, text: str) -> str:
        """Wait until this is shown behind what was waited for before; what stands between."""
        deadline_s = time.monotonic() + SHOWN_S
        while (place := self.text().find(text, self._read_to)) < 0:
            gone = self.process.poll() is not None and not self._reader.is_alive()
            is_over = gone or time.monotonic() >= deadline_s
            assert not is_over, f"{text!r} is not shown: {self.text()[self._read_to :]!r}"
            threading.Event().wait(LOOK_S)
        between = self.text()[self._read_to : place]
        self._read_to = place + len(text)
        return between

    def ends(self) -> int:
        """Wait for the program's end; its exit code."""
        return self.process.wait(SHOWN_S)

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.type(INTERRUPT)
