"""Runs the product with one mutant in it, in a process of its own: `python -m tests.simulation.mutate NAME SEEDS`.

With `explore` in place of a number of seeds, the quick scopes of the exploration have to notice it.

The mutant is applied to the source text of its module while that is imported.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import logging
import sys
import time
from collections.abc import Sequence
from types import CodeType, ModuleType

from tests.simulation.mutants import MUTANTS, Mutant


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
    mutant, how = next(mutant for mutant in MUTANTS if mutant.name == sys.argv[1]), sys.argv[2]
    sys.meta_path.insert(0, _Finder(mutant))
    logging.disable(logging.CRITICAL)
    if how == "explore":
        return by_exploring()
    return by_test(mutant.unit) if mutant.unit else by_seeds(int(how))


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


def by_seeds(most: int) -> int:
    """Does a seed fail?"""
    from tests.simulation.plan import draw
    from tests.simulation.scenario import run

    begin_s = time.process_time()
    for seed in range(most):
        error = run(draw(seed)).error
        if error is not None:
            refuse_broken(error)
            print(f"seed {seed}, {time.process_time() - begin_s:.1f} s: {error!r}"[:300])
            return 0
    print(f"not noticed by {most} seeds, {time.process_time() - begin_s:.1f} s")
    return 1


if __name__ == "__main__":
    sys.exit(main())
