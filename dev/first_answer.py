"""How long it takes from `git clone` to the first word of a streamed answer: `python dev/first_answer.py`.

Everything is fresh: the clone, its virtual environment, and the home directory, so that no cache of pip helps; only settings of
pip, proxies and certificates are handed on. Times are told as they were, in seconds since the beginning.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
WAIT_S: Final = 900.0
LOOK_S: Final = 0.05
HANDED_ON: Final = ("PATH", "LANG", "TMPDIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
SESSION: Final = "/v1/sessions/first"


class Times(NamedTuple):
    """Seconds from the beginning until the node served all its partitions, the first word came, and the answer was recorded."""

    serving_s: float
    word_s: float
    answer_s: float


def main() -> None:
    """Clone, `make up`, ask, and tell."""
    if sys.path[0] == str(ROOT / "dev"):
        sys.path[0] = str(ROOT)
    from dev.ports import free_ports

    source = sys.argv[1] if len(sys.argv) > 1 else str(ROOT)
    scratch = Path(tempfile.mkdtemp(prefix="first-answer-"))
    try:
        port = free_ports(1)[0]
        began_s = time.monotonic()
        subprocess.run(["git", "clone", "--quiet", source, str(scratch / "chatstream")], check=True)
        cloned_s = time.monotonic() - began_s
        (scratch / "home").mkdir()
        command = ["make", "up", f"ARGS=--listen 127.0.0.1:{port}"]
        times = first_answer(command, scratch / "chatstream", fresh_environment(scratch / "home"), port, began_s)
    finally:
        shutil.rmtree(scratch)
    told = {"cloned": cloned_s, "serving": times.serving_s, "first word": times.word_s, "answer": times.answer_s}
    print(", ".join(f"{what} {after_s:.1f} s" for what, after_s in told.items()))


def fresh_environment(home: Path) -> dict[str, str]:
    """What a new account would have."""
    kept = {name: value for name, value in os.environ.items() if name in HANDED_ON or name.startswith("PIP_")}
    return {**kept, "HOME": str(home)}


def first_answer(command: Sequence[str], directory: Path, environment: dict[str, str], port: int, began_s: float) -> Times:
    """Run what serves on that port, and ask it; it is ended in the end. began_s: on the monotonic clock.

    Raises RuntimeError when it ends by itself or WAIT_S pass.
    """
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        _until_ready(process, url, began_s)
        serving_s = time.monotonic() - began_s
        return Times(serving_s, *_asked(url, began_s))
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60.0)


def _until_ready(process: "subprocess.Popen[bytes]", url: str, began_s: float) -> None:
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode} before it served")
        if time.monotonic() - began_s > WAIT_S:
            raise RuntimeError(f"it does not serve after {WAIT_S:.0f} s")
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5.0):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            threading.Event().wait(LOOK_S)


def _asked(url: str, began_s: float) -> tuple[float, float]:
    headers = {"Content-Type": "application/json"}
    body = json.dumps({"text": "Say something, as a stream."}).encode()
    with urllib.request.urlopen(f"{url}{SESSION}/live?offset=-1", timeout=60.0) as stream:
        urllib.request.urlopen(urllib.request.Request(f"{url}{SESSION}/messages", body, headers), timeout=60.0).close()
        word_s = 0.0
        for line in stream:
            now_s = time.monotonic() - began_s
            if b'"text.delta"' in line and not word_s:
                word_s = now_s
            if b'"reply.completed"' in line:
                return word_s, now_s
    raise RuntimeError("the stream ended before the answer")


if __name__ == "__main__":
    main()
