"""The shape of the code, held to by a test: who may import whom and what, and how long things may be."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "chatstream"
MODULES: Final = sorted(PACKAGE.rglob("*.py"))
TESTS: Final = sorted((ROOT / "tests").rglob("*.py"))
OTHERS: Final = sorted(
    [*(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "examples").rglob("*.py"), *(ROOT / "dev").rglob("*.py")]
)

ARROWS: Final = {
    "core": {"core"},
    "log": {"core", "log"},
    "table": {"core", "table"},
    "respond": {"core", "respond"},
    "engine": {"core", "log", "table", "respond", "engine"},
    "web": {"core", "log", "table", "respond", "engine", "web"},
    "client": {"core", "client"},
    "settings": {"core"},
    "logs": set(),
    "topics": {"core", "log", "topics"},
    "serve": {"core", "log", "table", "respond", "engine", "web", "settings", "topics"},
    "cli": {"core", "log", "table", "respond", "engine", "web", "settings", "topics", "logs", "serve", "client", "cli"},
}
"""What each part may import of chatstream itself."""

CLIENTS: Final = {
    "msgspec": {"client", "core", "log", "table", "respond", "engine", "web", "settings", "logs", "topics", "serve", "cli"},
    "confluent_kafka": {"log"},
    "rocksdict": {"table", "log/embedded"},
    "anthropic": {"respond"},
    "httpx2": {"respond"},
    "aiohttp": {"web", "serve", "client"},
    "multidict": {"web"},
    "yarl": {"web", "client"},
    "prometheus_client": {"web"},
    "pydantic": {"settings"},
    "pydantic_settings": {"settings"},
    "typer": {"cli"},
    "rich": {"cli"},
    "yaml": {"topics"},
    "uvloop": {"serve"},
}
"""Which part may import which third-party package; a name with a slash is a file (or its siblings by that prefix)."""

IMPURE: Final = {
    "asyncio", "datetime", "http", "io", "logging", "os", "pathlib", "queue", "random", "secrets", "select", "shutil",
    "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
"""Standard modules that wait, vary, or touch the world: none of them in core."""

FILE_LINES_MAX: Final = 400
FUNCTION_LINES_MAX: Final = 70
BROAD_EXCEPTS: Final = {"engine", "web"}
"""The top of a task that logs and ends the process; the HTTP boundary."""


def part_of(path: Path) -> str:
    """The folder, or the file right below the package: `core`, `log`, `settings`, …"""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Full names of what is imported anywhere in the file, also inside functions."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            if node.module == "chatstream":
                yield from (f"chatstream.{alias.name}" for alias in node.names)
            else:
                yield node.module


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [path for path in MODULES if part_of(path) != "__init__"], ids=short)
def test_arrows_point_inward(path: Path) -> None:
    allowed = ARROWS[part_of(path)]
    named = {name.split(".")[1] for name in imports(path) if name.startswith("chatstream.")}
    assert named - allowed == set()


@pytest.mark.parametrize("path", MODULES, ids=short)
def test_a_third_party_package_is_imported_only_where_it_belongs(path: Path) -> None:
    foreign = {name.split(".")[0] for name in imports(path)} - set(sys.stdlib_module_names) - {"chatstream"}
    place = str(path.relative_to(PACKAGE).with_suffix(""))
    stray = {
        name
        for name in foreign
        if not any(place == at or place.startswith((at + "/", at + "_")) for at in CLIENTS.get(name, ()))
    }
    assert stray == set()


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").rglob("*.py")), ids=short)
def test_core_is_pure(path: Path) -> None:
    assert {name.split(".")[0] for name in imports(path)} & IMPURE == set()
    waits = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    assert not any(isinstance(node, waits) for node in ast.walk(tree(path)))
    called = {node.func.id for node in ast.walk(tree(path)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert called & {"open", "print", "input", "exec", "eval"} == set()


def broad_excepts(path: Path) -> list[int]:
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(
                each is None or (isinstance(each, ast.Name) and each.id in ("Exception", "BaseException")) for each in caught
            ):
                found.append(node.lineno)
    return found


def test_everything_is_caught_in_two_places_only() -> None:
    places: dict[str, list[str]] = {}
    for path in MODULES:
        for line in broad_excepts(path):
            places.setdefault(part_of(path), []).append(f"{short(path)}:{line}")
    assert set(places) <= BROAD_EXCEPTS, places
    assert all(len(found) == 1 for found in places.values()), places


@pytest.mark.parametrize("path", [*MODULES, *TESTS, *OTHERS], ids=short)
def test_files_and_functions_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES_MAX
    functions = [node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {
        node.name: length for node in functions if (length := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
    }
    assert long == {}


@pytest.mark.parametrize("path", TESTS, ids=short)
def test_no_test_sleeps(path: Path) -> None:
    assert not any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "sleep"
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "time"
        for node in ast.walk(tree(path))
    )
