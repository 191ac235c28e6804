"""Real nodes for tests: `chatstream up` as processes of their own, killed, stopped, and surely gone in the end."""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from dev.ports import free_ports
from tests.until import until

ROOT: Final = Path(__file__).resolve().parent.parent
CHATSTREAM: Final = Path(sys.executable).with_name("chatstream")
RESPONDER: Final = "tests.scripted:respond"
PR_SET_PDEATHSIG: Final = 1
START_S: Final = 60.0
SAFE_ENV: Final = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")
_libc = ctypes.CDLL(None, use_errno=True)


class NodeProcess:
    """One node with its own data directory and port. bootstrap: empty for the embedded log. args, env: on top of the rest.

    program: what is run in place of `chatstream`.
    """

    def __init__(
        self,
        data: Path,
        bootstrap: str = "",
        *args: str,
        responder: str = RESPONDER,
        env: dict[str, str] | None = None,
        program: Sequence[str] = (str(CHATSTREAM),),
    ) -> None:
        self.data = data
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self._env = {name: os.environ[name] for name in SAFE_ENV if name in os.environ} | (env or {})
        log = ["--bootstrap-servers", bootstrap] if bootstrap else []
        self._command = [
            *(*program, "up", "--listen", f"127.0.0.1:{self.port}", "--data", str(data)),
            *("--responder", responder, *log, *args),
        ]
        data.mkdir(parents=True, exist_ok=True)

    @property
    def log_file(self) -> Path:
        return self.data / "node.log"

    def start(self) -> "NodeProcess":
        """Start the process; does not wait. What it says goes behind what earlier ones said."""
        assert not self.running
        self.starts += 1
        with self.log_file.open("ab") as out:
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=ROOT,
                env=self._env,
                preexec_fn=_die_with_parent,
                start_new_session=True,
            )
        return self

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; no error when it is gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def kill9(self) -> None:
        """kill -9, and wait until it is gone. Repeatable."""
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    async def end(self, wait_s: float = 30.0) -> int:
        """SIGTERM, and wait until it is gone; its exit code."""
        process = self.process
        assert process is not None
        self.signal(signal.SIGTERM)
        await until(lambda: process.poll() is not None, wait_s, "the node ends after SIGTERM", self.tail)
        return int(process.returncode)

    def drop_table(self) -> None:
        """Delete the table, as a lost disk would. Only while the process is not running."""
        assert not self.running
        shutil.rmtree(self.data / "tables", ignore_errors=True)

    async def serves(self, partitions: int, wait_s: float = START_S) -> None:
        """Wait until it serves so many partitions."""
        await until(lambda: self.served() == partitions, wait_s, f"the node serves {partitions} partitions", self.tail)

    def served(self) -> int:
        """How many partitions it serves now, -1 when it does not answer."""
        return self._metric('chatstream_partitions{state="active"}')

    def assigned(self) -> int:
        """How many partitions it is to serve, as far as it knows."""
        return sum(max(0, self._metric(f'chatstream_partitions{{state="{s}"}}')) for s in ("active", "restoring", "refused"))

    def readers(self) -> int:
        """How many requests it holds for an event, -1 when it does not answer."""
        return self._metric("chatstream_readers_waiting")

    def _metric(self, name: str) -> int:
        try:
            with urllib.request.urlopen(f"{self.url}/metrics", timeout=2) as response:
                lines = response.read().decode().splitlines()
        except (OSError, urllib.error.URLError):
            return -1
        return next((int(float(line.split()[-1])) for line in lines if line.startswith(name)), -1)

    def tail(self) -> str:
        """The end of what it said."""
        text = self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
        return f"--- {self.data.name}: {'running' if self.running else 'not running'}\n{text[-4000:]}"

    def said(self) -> list[dict[str, str]]:
        """Its log lines."""
        lines = self.log_file.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def complaints(self) -> list[str]:
        """What no node should ever say: a traceback, a critical line, an alarm."""
        logged = [f"{line['message']} {line.get('error', '')}" for line in self.said() if _is_bad(line)]
        plain = [line for line in self.log_file.read_text(errors="replace").splitlines() if line.startswith("Traceback")]
        return logged + plain


def _is_bad(line: dict[str, str]) -> bool:
    return line["level"] == "critical" or "error" in line


class Nodes:
    """The nodes of one test; all of them are gone when the block ends."""

    def __init__(self, directory: Path, bootstrap: str = "", *args: str) -> None:
        self._directory = directory
        self._bootstrap = bootstrap
        self._args = args
        self.all: list[NodeProcess] = []

    def add(
        self,
        *args: str,
        responder: str = RESPONDER,
        env: dict[str, str] | None = None,
        program: Sequence[str] = (str(CHATSTREAM),),
    ) -> NodeProcess:
        """One more, started."""
        data = self._directory / f"node-{len(self.all) + 1}"
        node = NodeProcess(data, self._bootstrap, *self._args, *args, responder=responder, env=env, program=program)
        self.all.append(node)
        return node.start()

    @property
    def urls(self) -> list[str]:
        return [node.url for node in self.all]

    def __enter__(self) -> "Nodes":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for node in self.all:
            node.signal(signal.SIGCONT)
            node.kill9()
            if kind is not None:
                print(node.tail())

    async def serve(self, partitions: int, wait_s: float = START_S) -> None:
        """Wait until every partition is served by one of them."""
        await until(lambda: self._served() == partitions, wait_s, f"{partitions} partitions are served", self.tails)

    def _served(self) -> int:
        return sum(max(0, node.served()) for node in self.all if node.running)

    def tails(self) -> str:
        return "\n".join(node.tail() for node in self.all)

    def check_calm(self) -> None:
        """No node said what none should ever say."""
        said = [line for node in self.all for line in node.complaints()]
        assert not said, "\n".join(said)[:4000]


def free_port() -> int:
    """A port that is free now."""
    return free_ports(1)[0]


def _die_with_parent() -> None:
    # A test process that is killed with -9 runs no clean-up: the kernel does it.
    if hasattr(_libc, "prctl"):
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
