"""Every guarantee is named with tests that attack it, and those exist."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
TEXT: Final = (ROOT / "docs" / "guarantees.md").read_text()
SECTIONS: Final = re.split(r"(?m)^## ", TEXT)[1:]
NAMED: Final = sorted(set(re.findall(r"`(tests/[\w/]+(?:\.py)?(?:::\w+)?)`", TEXT)))


@cache
def names_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in tree.body if isinstance(node, kinds) and node.name.startswith("test_"))


def test_there_are_nine_guarantees() -> None:
    assert [section.split(".")[0] for section in SECTIONS] == [f"P{number}" for number in range(1, 10)]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.split(".")[0])
def test_every_guarantee_has_tests_that_attack_it(section: str) -> None:
    assert re.search(r"(?m)^- `tests/[\w/]+\.py::test_\w+`$", section)


@pytest.mark.parametrize("name", NAMED)
def test_every_test_that_is_named_exists(name: str) -> None:
    path, _, test = name.partition("::")
    assert (ROOT / path).exists()
    if test:
        assert test in names_in(ROOT / path)
