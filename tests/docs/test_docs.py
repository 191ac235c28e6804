"""Whatever exists is documented: every setting, limit, topic, event type, route, command and flag."""

import re
from pathlib import Path
from typing import Final

import pytest

from chatstream.cli.app import run
from chatstream.core.errors import ChatstreamError
from chatstream.core.events import SCHEMA
from chatstream.core.limits import Limits
from chatstream.log.port import Topic
from chatstream.settings import Settings
from chatstream.web.routes import ROUTES

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text()
DESIGN: Final = (ROOT / "docs" / "design.md").read_text()
DECISIONS: Final = (ROOT / "docs" / "decisions.md").read_text()
LINES_MAX: Final = 250
COMMANDS: Final = ("up", "chat", "send", "history", "tail", "export", "top", "topics", "replay", "doctor", "adopt")
FLAG: Final = {"librdkafka": "-X", "limits": "--limit"}


def in_code(text: str) -> set[str]:
    """Everything that stands in backquotes."""
    return set(re.findall(r"`([^`\n]+)`", text))


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name != "limits"])
def test_every_setting_is_in_the_readme(name: str) -> None:
    assert name in in_code(README)


@pytest.mark.parametrize("name", Limits.__struct_fields__)
def test_every_limit_is_in_the_readme(name: str) -> None:
    assert name in in_code(README)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_flag(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["up", "--help"]) == 0
    flag = FLAG.get(name, "--" + name.replace("_", "-"))
    assert re.search(rf"(?m)^\s+.*{re.escape(flag)}\b", capsys.readouterr().out)


@pytest.mark.parametrize("topic", Topic)
def test_every_topic_is_documented_and_declared(topic: Topic) -> None:
    assert topic in in_code(README)
    assert topic in in_code(DESIGN)
    assert f"\n  {topic}:" in (ROOT / "topics.yaml").read_text()


@pytest.mark.parametrize("kind", SCHEMA)
def test_every_event_type_is_documented(kind: str) -> None:
    assert kind in in_code(README)
    assert kind in in_code(DESIGN)


@pytest.mark.parametrize("route", sorted({(route.method, re.sub(r":[^}]+}", "}", route.path)) for route in ROUTES}))
def test_every_route_is_in_the_readme(route: tuple[str, str]) -> None:
    method, path = route
    if method == "HEAD":
        assert "`HEAD`" in README
    else:
        assert f"{method} {path}" in in_code(README)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme_and_in_the_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"chatstream {command}" in README
    assert run(["--help"]) == 0
    assert re.search(rf"(?m)^  {command} ", capsys.readouterr().out)


def test_every_dependency_has_its_reason() -> None:
    found = re.findall(r'^\s+"([A-Za-z-]+)[>\[]', (ROOT / "pyproject.toml").read_text(), re.M)
    lacking = [name for name in {*found, "hatchling"} if not re.search(rf"(?m)^## .*\b{name}\b", DECISIONS)]
    assert [name for name in lacking if name != "types-PyYAML"] == []


def test_every_limit_says_what_it_limits() -> None:
    source = (ROOT / "chatstream" / "core" / "limits.py").read_text()
    for name in Limits.__struct_fields__:
        assert re.search(rf'    {name}: \w+ = .+\n    """', source), name


def test_the_readme_stays_short() -> None:
    assert len(README.splitlines()) <= LINES_MAX


def test_every_error_says_what_to_do() -> None:
    kinds = [ChatstreamError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert [kind.__name__ for kind in kinds if not kind.__doc__] == []
