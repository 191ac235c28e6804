"""Every target for some thousand inputs, guided by coverage; and its seeds without any guide."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

ROOT: Final = Path(__file__).parents[2]
RUNS: Final = 15_000
INPUT_BYTES_MOST: Final = 2_000
LONGEST_S: Final = 20


@pytest.mark.parametrize("name", TARGETS)
def test_the_inputs_to_begin_with_are_fine(name: str) -> None:
    found = seeds(name)
    assert found
    for seed in found:
        TARGETS[name](seed)


@pytest.mark.parametrize("name", TARGETS)
def test_thousands_of_inputs_find_nothing(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("atheris is not installed")
        pytest.skip("atheris is not installed: it has wheels for Linux on x86-64 only")
    limits = [f"-runs={RUNS}", f"-max_len={INPUT_BYTES_MOST}", f"-max_total_time={LONGEST_S}", f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", name, "-seed=1", *limits],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        cwd=ROOT,
    )
    inputs = "".join(f"\n{file.name}: {file.read_bytes()!r}" for file in tmp_path.iterdir())
    assert done.returncode == 0, f"{done.stderr[-3000:]}{inputs}"
    assert "Done" in done.stderr
