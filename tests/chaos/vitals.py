"""What a process holds: memory, descriptors, threads, as the kernel counts them."""

from pathlib import Path
from typing import NamedTuple

import pytest

MIB = 1024 * 1024


class Vitals(NamedTuple):
    """Of one process now."""

    memory_mib: float
    descriptors: int
    threads: int


def vitals(pid: int) -> Vitals:
    """Skips the test where there is no /proc."""
    place = Path("/proc") / str(pid)
    if not place.exists():
        pytest.skip("no /proc to read memory and descriptors from")
    status = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
    return Vitals(
        memory_mib=int(status["VmRSS"].split()[0]) / 1024,
        descriptors=len(list((place / "fd").iterdir())),
        threads=int(status["Threads"]),
    )
