"""The program as people run it: `chatstream …` in a process of its own, on a free port, in a directory of its own."""

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

CHATSTREAM: Final = (sys.executable, "-c", "from chatstream.cli import main; main()")
START_S: Final = 30.0
STOP_S: Final = 20.0
LOOK_S: Final = 0.02


def environment(**more: str) -> dict[str, str]:
    """Ours without what could change how a node behaves."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CHATSTREAM_", "ANTHROPIC_"))}
    return {**kept, **more}


def run(
    args: Sequence[str], directory: Path, wait_s: float = START_S, full: bool = False, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. full: its disk takes no more, as far as the process can tell."""
    return subprocess.run(
        [*CHATSTREAM, *args],
        cwd=directory,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=wait_s,
        check=False,
        preexec_fn=_fill_disk if full else None,
    )


def _fill_disk() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, resource.RLIM_INFINITY))


class NodeProcess:
    """`chatstream up` with these flags; entered, it is ready. url: where it listens, from its first line."""

    def __init__(self, directory: Path, *args: str, **more: str) -> None:
        self.directory = directory
        self._args = args
        self._more = more
        self.process: subprocess.Popen[str]
        self.url = ""
        self.first_line = ""

    def __enter__(self) -> "NodeProcess":
        with (self.directory / "stderr").open("w") as stderr:
            self.process = subprocess.Popen(
                [*CHATSTREAM, "up", "--listen", "127.0.0.1:0", *self._args],
                cwd=self.directory,
                env=environment(**self._more),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        try:
            self._until_serving()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def errors(self) -> str:
        """What it wrote to stderr so far."""
        return (self.directory / "stderr").read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOP_S)

    def _end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(STOP_S)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _until_serving(self) -> None:
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline()
        assert self.first_line.startswith("chatstream serves http://"), self.first_line + self.errors()
        self.url = self.first_line.split()[2]
        self._until_ready()

    def _until_ready(self) -> None:
        for _ in range(round(START_S / LOOK_S)):
            try:
                with urlopen(f"{self.url}/readyz", timeout=START_S):
                    return
            except HTTPError as error:
                error.close()
            except URLError:
                pass
            threading.Event().wait(LOOK_S)
        raise AssertionError(f"not ready: {self.errors()}")
