"""Every deliberate breakage of a rule is noticed: what the simulation finds nothing wrong with has been looked at."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.mutants import MUTANTS, Mutant

SEEDS_MAX = 600
"""The slowest to be noticed takes some 350."""
ENOUGH_S = 110
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_line_that_it_breaks_is_there(mutant: Mutant) -> None:
    """Quick, so that who changes the line hears of it soon."""
    source = (ROOT / "chatstream" / f"{mutant.module.replace('.', '/')}.py").read_text()
    assert source.count(mutant.old) == 1
    compile(source.replace(mutant.old, mutant.new), mutant.module, "exec")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_broken_rule_is_noticed(mutant: Mutant) -> None:
    command = [sys.executable, "-m", "tests.simulation.mutate", mutant.name, str(SEEDS_MAX)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=ENOUGH_S, check=False, cwd=ROOT)
    assert found.returncode == 0, f"{mutant.name}\n{found.stdout}{found.stderr}"
