"""What the README tells people to type, typed: every fenced block runs, against a real node, and Kafka where it says so."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from tests.process import NodeProcess, environment, run

ROOT: Final = Path(__file__).parents[2]
README: Final = ROOT / "README.md"
BLOCK: Final = re.compile(r"(?:^<!-- test: (?P<how>\S+) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S)
WAIT_S: Final = 60.0


class Block(NamedTuple):
    """A fenced block. how: from the comment above it, empty without one."""

    how: str
    language: str
    code: str


BLOCKS: Final = [Block(found["how"] or "", found["language"], found["code"]) for found in BLOCK.finditer(README.read_text())]


def blocks(how: str, language: str) -> list[Block]:
    """Those of one kind; there has to be one."""
    found = [block for block in BLOCKS if (block.how, block.language) == (how, language)]
    assert found
    return found


def shell(code: str, directory: Path, **more: str) -> str:
    """Run a block as a shell would, with the program on the path; what it printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-euc", code],
        cwd=directory,
        env=environment(PATH=path, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def require_curl() -> None:
    """Skip without curl; in continuous integration that is a failure."""
    if shutil.which("curl") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("curl is not installed")
        pytest.skip("curl is not installed")


def test_every_block_is_run_by_a_test() -> None:
    kinds = {(block.how, block.language) for block in BLOCKS}
    assert kinds == {("", "sh"), ("tour", "sh"), ("node", "sh"), ("node", "python"), ("bot.py", "python"), ("kafka", "sh")}


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    (first,) = blocks("", "sh")
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    commands = [line.split("#")[0].split() for line in first.code.splitlines()]
    assert commands == [["make", "up"], ["make", "test"]]
    assert {command[1] for command in commands} <= set(targets)


def test_the_tour_goes_on_after_its_node_was_killed(tmp_path: Path) -> None:
    require_curl()
    before, after = blocks("tour", "sh")
    with NodeProcess(tmp_path) as node:
        answered, begun, waits = json_values(shell(before.code.replace("http://127.0.0.1:8080", node.url), tmp_path))
        node.stop(signal.SIGKILL)
    assert answered["reply"]["text"] == "I am the offline model. You said: hello"
    assert (begun["status"], waits["status"], waits["position"]) == ("running", "waiting", 1)
    with NodeProcess(tmp_path) as node:
        printed = shell(after.code.replace("http://127.0.0.1:8080", node.url), tmp_path)
    again, page, events, state, fork, erased = json_values(printed)
    assert (again["duplicate"], again["reply"]["status"]) == (True, "completed")
    assert [item["text"] for item in page["data"] if item["role"] == "user"] == ["hello", "/slow 6", "and this?"]
    assert [item["turn"] for item in page["data"] if item["turn"] == begun["seq"]] == 2 * [begun["seq"]]
    assert "turn.resumed" in [event["type"] for event in events]
    assert state["key"] == "colour"
    assert fork["session"] != "tour"
    assert erased == 204


def test_what_is_typed_against_a_node_is_answered(tmp_path: Path) -> None:
    with NodeProcess(tmp_path) as node:
        (block,) = blocks("node", "sh")
        by_command = shell(block.code, tmp_path, CHATSTREAM_URL=node.url)
        (program,) = blocks("node", "python")
        code = program.code.replace("http://127.0.0.1:8080", node.url)
        by_program = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT_S, check=True)
    assert "the meeting is at nine" in by_command.splitlines()[0]
    assert len(by_command.splitlines()) == 1 + 2
    assert by_program.stdout.strip() == "I am the offline model. You said: hello"


def json_values(text: str) -> list[Any]:
    """JSON documents that stand one behind the other."""
    values: list[Any] = []
    place = 0
    decoder = json.JSONDecoder()
    while place < len(text.rstrip()):
        value, place = decoder.raw_decode(text, place)
        values.append(value)
    return values


def test_the_bot_of_the_readme_counts(tmp_path: Path) -> None:
    (bot,) = blocks("bot.py", "python")
    (tmp_path / "bot.py").write_text(bot.code)
    with NodeProcess(tmp_path, "--responder", "bot:respond") as node:
        replies = [run(["send", "alice", "hi", "--wait", "--url", node.url], tmp_path).stdout.strip() for _ in range(2)]
    assert replies == ["hi? You have asked 1 times.", "hi? You have asked 2 times."]


@pytest.mark.kafka
def test_what_is_typed_into_the_console_producer_is_read_by_the_console_consumer(broker: str, tmp_path: Path) -> None:
    (block,) = blocks("kafka", "sh")
    with NodeProcess(tmp_path, "--bootstrap-servers", broker):
        code = block.code.replace("localhost:9092", broker).replace("dev/kafka/tool", str(ROOT / "dev/kafka/tool"))
        printed = shell(code, tmp_path).strip()
    key, value = printed.split("\t")
    assert key == "alice"
    assert value.startswith('{"type":"reply.completed"')
    assert "You said: hello from the console" in json.loads(value)["text"]
