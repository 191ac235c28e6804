"""Runs the product with one mutant in it, in a process of its own: `python -m tests.simulation.mutate NAME SEEDS`.

With `explore` in place of a number of seeds, the quick scopes of the exploration have to notice it.

`--note SEEDS` looks for a seed that notices each, and writes them to noticed.json: those are tried first, which saves most of
the time. Where one notices no longer, as after a change of what plans are drawn, the others are tried as ever.

The mutant is applied to the source text of its module while that is imported.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final

from tests.simulation.mutants import MUTANTS, Mutant

NOTICED: Final = Path(__file__).with_name("noticed.json")
"""By the mutant's name: a seed that noticed it."""


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module's source with a mutant in it."""

    def __init__(self, mutant: Mutant, name: str, path: str) -> None:
        super().__init__(name, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_source(fullname) or ""
        count = source.count(self._mutant.old)
        if count != 1:
            raise SystemExit(f"{self._mutant.name!r}: the line stands {count} times in {fullname}")
        code: CodeType = compile(source.replace(self._mutant.old, self._mutant.new), self.path, "exec")
        return code


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the one module that is changed."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != f"chatstream.{self._mutant.module}":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        assert spec is not None
        assert spec.origin is not None
        loader = _Loader(self._mutant, fullname, spec.origin)
        return importlib.util.spec_from_file_location(fullname, spec.origin, loader=loader)


def main() -> int:
    """Let one mutant loose on its unit test, or on seeds until one notices or there were so many; 1 when none did."""
    if sys.argv[1] == "--note":
        return note(sys.argv[2])
    mutant, how = next(mutant for mutant in MUTANTS if mutant.name == sys.argv[1]), sys.argv[2]
    sys.meta_path.insert(0, _Finder(mutant))
    logging.disable(logging.CRITICAL)
    if how == "explore":
        return by_exploring()
    return by_test(mutant.unit) if mutant.unit else by_seeds(chain(noticed(mutant), range(int(how))))


def refuse_broken(error: BaseException) -> None:
    """A mutant that names what is not there fails by itself, and says nothing about the tests."""
    if isinstance(error, NameError):
        raise SystemExit(f"the mutant itself is broken: {error}")


def by_test(unit: str) -> int:
    """Does the unit test fail?"""
    import pytest

    code = pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", f"tests/unit/test_{unit}"])
    return 0 if code == pytest.ExitCode.TESTS_FAILED else 1


def by_exploring() -> int:
    """Does an order of steps fail?"""
    from tests.simulation.explore import QUICK
    from tests.simulation.exploring.search import explore

    for scope in QUICK:
        found = explore(scope)
        if found.error is not None:
            refuse_broken(found.error)
            print(f"{scope.name}, {found.states} states, {found.spent_s:.1f} s: {found.error!r}"[:300])
            return 0
    print("not noticed")
    return 1


def noticed(mutant: Mutant) -> list[int]:
    """The seed that noticed it last time, if that is known."""
    known = json.loads(NOTICED.read_text()) if NOTICED.exists() else {}
    return [known[mutant.name]] if mutant.name in known else []


def by_seeds(seeds: Iterable[int]) -> int:
    """Does a seed fail?"""
    from tests.simulation.plan import draw
    from tests.simulation.scenario import run

    begin_s, count = time.process_time(), 0
    for seed in seeds:
        error = run(draw(seed)).error
        if error is not None:
            refuse_broken(error)
            print(f"seed {seed}, {time.process_time() - begin_s:.1f} s: {error!r}"[:300])
            return 0
        count += 1
    print(f"not noticed by {count} seeds, {time.process_time() - begin_s:.1f} s")
    return 1


def note(most: str) -> int:
    """Find a seed that notices each mutant, two at a time; 1 when one is not noticed."""

    def find(mutant: Mutant) -> int | None:
        command = [sys.executable, "-m", __spec__.name, mutant.name, most]
        told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        found = re.match(r"seed (\d+),", told)
        print(f"{mutant.name}: {told.strip()[:100]}", flush=True)
        return None if found is None else int(found[1])

    mutants = [mutant for mutant in MUTANTS if not mutant.unit]
    with ThreadPoolExecutor(2) as pool:
        seeds = dict(zip((mutant.name for mutant in mutants), pool.map(find, mutants), strict=True))
    NOTICED.write_text(json.dumps({name: seed for name, seed in seeds.items() if seed is not None}, indent=0) + "\n")
    return int(None in seeds.values())


if __name__ == "__main__":
    sys.exit(main())
