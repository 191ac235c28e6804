"""The commands that read: events as lines, a conversation as a file, what a node is doing."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_cli import complaint
from tests.process import CHATSTREAM, NodeProcess, environment, run
from tests.terminal import Terminal


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with NodeProcess(tmp_path_factory.mktemp("node")) as node:
        yield node


def test_tail_of_a_session_prints_one_json_line_an_event(node: NodeProcess, tmp_path: Path) -> None:
    run(["send", "theo", "one\ntwo", "--wait", "--url", node.url], tmp_path)
    command = [*CHATSTREAM, "tail", "--session", "theo", "--url", node.url]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True) as tail:
        assert tail.stdout is not None
        events = [json.loads(tail.stdout.readline()) for _ in range(2)]
        tail.kill()
    assert [event["type"] for event in events] == ["message.accepted", "reply.completed"]
    assert "name one" in complaint(run(["tail", "--url", node.url], tmp_path), 2)


def test_a_conversation_is_exported(node: NodeProcess, tmp_path: Path) -> None:
    run(["send", "wim", "hello", "--wait", "--url", node.url], tmp_path)
    lines = run(["export", "wim", "--url", node.url], tmp_path).stdout.splitlines()
    said = [row["text"] for row in map(json.loads, lines) if "text" in row]
    assert said == ["hello", "I am the offline model. You said: hello"]
    assert "You said: hello" in run(["export", "wim", "--format", "md", "--url", node.url], tmp_path).stdout
    assert "no session nobody" in complaint(run(["export", "nobody", "--url", node.url], tmp_path), 1)


@pytest.mark.parametrize("command", [["history"], ["export", "--format", "md"], ["tail"], ["tail", "--json"]])
def test_a_terminal_is_shown_nothing_that_it_would_obey(node: NodeProcess, tmp_path: Path, command: list[str]) -> None:
    session = "-".join(["eve", *command]).replace("--", "")
    run(["send", session, "\x1b]0;mine\x07\x9b31mred", "--wait", "--url", node.url], tmp_path)
    with Terminal([*CHATSTREAM, *command, session, "--url", node.url], tmp_path) as terminal:
        terminal.shows("You said: ")
        assert not {0x1B, 0x07, 0x9B} & {ord(letter) for letter in terminal.raw()}
    piped = run(["history", session, "--url", node.url], tmp_path).stdout
    assert "\x1b]0;mine\x07\x9b31mred" in piped


def test_a_reader_of_the_output_that_leaves_is_no_error(node: NodeProcess, tmp_path: Path) -> None:
    run(["send", "uta", "one", "--wait", "--url", node.url], tmp_path)
    command = [*CHATSTREAM, "history", "uta", "--url", node.url]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_top_tells_once_what_the_node_is_doing(node: NodeProcess, tmp_path: Path) -> None:
    run(["send", "vera", "hello", "--wait", "--url", node.url], tmp_path)
    run(["send", "vera", "/slow 600", "--url", node.url], tmp_path)
    done = run(["top", "--once", "--url", node.url], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "partitions 16 of 16: 16 active" in done.stdout
    assert "1 running" in done.stdout
    assert "call vera turn 3 attempt 1" in done.stdout
    assert re.search(r"turns [1-9]\d* since the start", done.stdout)
    assert "no answer from" in complaint(run(["top", "--once", "--url", "http://127.0.0.1:1"], tmp_path), 1)


def test_top_goes_on_until_ctrl_c(node: NodeProcess, tmp_path: Path) -> None:
    with Terminal([*CHATSTREAM, "top", "--every", "0.2", "--url", node.url], tmp_path) as top:
        for _ in range(2):
            top.shows("/s, requests ")
        top.interrupt()
        assert top.ends() == 130
        assert "Traceback" not in top.text()
