"""Thousands of readers who wait on one node: each of them gets the next event of its session."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.idle_readers import all_have_it, allow_open_files, leave, opened, say_to_each
from tests.nodes import NodeProcess
from tests.until import until

EACH = 1_000
SESSIONS = 20
USUAL_FILES = 1_024
WAIT_S = 60.0


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    """A node that was started with as few open files as most shells allow at first; this process then has more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(USUAL_FILES, *before), before[1]))
    process = NodeProcess(tmp_path, "", "--log-level", "warning").start()
    try:
        if not allow_open_files(3 * EACH):
            if os.environ.get("CI") == "true":
                pytest.fail("`ulimit -Hn` does not allow so many files")
            pytest.skip("`ulimit -Hn` does not allow so many files")
        yield process
    finally:
        process.kill9()
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_everyone_of_two_thousand_idle_readers_gets_the_next_event(node: NodeProcess) -> None:
    await node.serves(16)
    await say_to_each(node.port, SESSIONS, wait=True)
    readers = [
        *await opened(node.port, "live", EACH // 2, SESSIONS),
        *await opened(node.port, "sse", EACH // 2, SESSIONS),
        *await opened(node.port, "long-poll", EACH, SESSIONS),
    ]
    await until(lambda: node.readers() == 2 * EACH, WAIT_S, "all of them wait", node.tail)
    assert not any(reader.seen.done() for reader in readers)
    await say_to_each(node.port, SESSIONS, wait=False)
    await all_have_it(readers, WAIT_S)
    await leave(readers)
    assert node.complaints() == []
