"""Other people's clients of the Durable Streams protocol read a session through the death of its node."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from tests.clients import npm
from tests.clients.sending import converse
from tests.nodes import ROOT, NodeProcess, Nodes
from tests.until import until

PARTITIONS = 4
TAIL_S = 40.0


def python_client() -> Sequence[str]:
    return [sys.executable, "-m", "tests.clients.tail"]


def javascript_client() -> Sequence[str]:
    return ["node", str(npm.require() / "tail.mjs")]


class Tail:
    """A client in a process of its own; gone when the block ends."""

    def __init__(self, client: Sequence[str], url: str, mode: str, directory: Path, offset: str = "-1") -> None:
        self._out = directory / f"{mode}-{offset}.out"
        self._command = [*client, url, mode, offset]

    def __enter__(self) -> "Tail":
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        with self._out.open("wb") as out, self._out.with_suffix(".err").open("wb") as err:
            self.process = subprocess.Popen(self._command, stdout=out, stderr=err, cwd=ROOT, env=env)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        if kind is not None:
            print(self._command, self.said(), self._out.with_suffix(".err").read_text())

    def said(self) -> list[dict[str, Any]]:
        lines = self._out.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def seqs(self) -> list[int]:
        return [each["seq"] for each in self.said() if "seq" in each]

    async def reaches(self, seq: int) -> None:
        await until(lambda: seq in self.seqs(), TAIL_S, f"event {seq} is read", lambda: str(self.seqs()))

    async def ends(self) -> str:
        """Wait until it has caught up; the offset it came to."""
        await until(lambda: self.process.poll() is not None, TAIL_S, "it has caught up")
        assert self.process.returncode == 0
        return str(self.said()[-1]["offset"])


@contextmanager
def tails(client: Sequence[str], url: str, directory: Path) -> Iterator[list[Tail]]:
    with Tail(client, url, "long-poll", directory) as one, Tail(client, url, "sse", directory) as other:
        yield [one, other]


async def restart(node: NodeProcess, hard: bool) -> None:
    if hard:
        node.kill9()
    else:
        assert await node.end() == 0
    node.start()
    await node.serves(PARTITIONS)


@pytest.mark.slow
@pytest.mark.parametrize("client", [python_client, javascript_client])
async def test_every_event_is_read_once_and_in_order_through_restarts_of_the_node(client: Any, tmp_path: Path) -> None:
    command = client()
    with Nodes(tmp_path, "", "--partitions", str(PARTITIONS)) as nodes:
        node = nodes.add()
        await node.serves(PARTITIONS)
        url = f"{node.url}/v1/sessions/alice/events"
        await converse(node.url, "alice", 3)
        with Tail(command, url, "false", tmp_path) as first:
            offset = await first.ends()
            assert first.seqs() == list(range(1, 7))
        with tails(command, url, tmp_path) as following:
            for tail in following:
                await tail.reaches(6)
            await converse(node.url, "alice", 2)
            await restart(node, hard=True)
            await converse(node.url, "alice", 2)
            for tail in following:
                await tail.reaches(14)
            await restart(node, hard=False)
            last = 2 * await converse(node.url, "alice", 120)
            for tail in following:
                await tail.reaches(last + 14)
                assert tail.seqs() == list(range(1, last + 15))
        with Tail(command, url, "false", tmp_path, offset) as second:
            await second.ends()
            assert second.seqs() == list(range(7, last + 15))
