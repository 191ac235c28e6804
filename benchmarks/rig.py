"""Processes to be measured, and what the kernel says of them."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from tests.broker import Cluster, drop_topics
from tests.nodes import NodeProcess

TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
PARTITIONS: Final = 16


class Row(msgspec.Struct, frozen=True):
    """One line of the table. floor: the same without chatstream, in this run; aim: what was set out for."""

    what: str
    value: str
    floor: str = ""
    aim: str = ""


def cpu_s(pid: int) -> float:
    """CPU time of a process so far, all its threads, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def memory_mib(pid: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def disk_bytes(directory: Path) -> int:
    """What a directory's files take."""
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


@contextmanager
def broker() -> Iterator[str]:
    """One Apache Kafka, as quick as it gets; its bootstrap address."""
    with Cluster(1, quick_start=False) as cluster:
        yield cluster.bootstrap


@asynccontextmanager
async def node(bootstrap: str, *args: str, responder: str = "benchmarks.stub:respond") -> AsyncIterator[NodeProcess]:
    """A node on fresh topics (on the embedded log without a bootstrap address), serving all partitions."""
    if bootstrap:
        drop_topics(bootstrap)
    with tempfile.TemporaryDirectory() as directory:
        process = NodeProcess(Path(directory), bootstrap, "--log-level", "warning", *args, responder=responder)
        process.start()
        try:
            await process.serves(PARTITIONS)
            yield process
        finally:
            process.kill9()


def pid_of(process: NodeProcess) -> int:
    """Its process id."""
    assert process.process is not None
    return process.process.pid
