"""A disk that is small and can be filled: a tmpfs of its own."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CHUNK_BYTES = 64 * 1024


class SmallDisk:
    """Mounted at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> None:
        """Not a byte more fits on it."""
        with (self.path / "filler").open("ab", buffering=0) as file:
            size = CHUNK_BYTES
            while size:
                try:
                    if not file.write(b"\0" * size):
                        size //= 2
                except OSError:
                    size //= 2

    def free(self) -> None:
        """There is room again."""
        (self.path / "filler").unlink()


@contextmanager
def small_disk(path: Path, size_mib: int) -> Iterator[SmallDisk]:
    """A disk of that size. Skips the test where nothing can be mounted, with the reason; fails it in continuous integration."""
    path.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "chatstream-test", str(path)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        reason = done.stderr.strip() if done.returncode else ""
    except FileNotFoundError as error:
        reason = str(error)
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"no small disk can be mounted here: {reason}")
    if reason:
        pytest.skip(f"no small disk can be mounted here: {reason}")
    try:
        yield SmallDisk(path)
    finally:
        # Lazily: a process that is being killed may have files open on it.
        subprocess.run(["umount", "-l", str(path)], check=True)
