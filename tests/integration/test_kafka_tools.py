"""Kafka's own console tools, run from the jars as the README does."""

import subprocess

import pytest

from chatstream.log.port import Topic
from dev.kafka import jars

pytestmark = pytest.mark.kafka

TOOLS = jars.HERE
WAIT_S = 90


def run(name: str, *args: str, given: str = "") -> str:
    done = subprocess.run([str(TOOLS / name), *args], input=given, capture_output=True, text=True, check=False, timeout=WAIT_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_the_console_producer_sends_the_console_consumer_shows(bootstrap: str) -> None:
    topic = ["--bootstrap-server", bootstrap, "--topic", Topic.MESSAGES]
    run(
        "console-producer",
        *topic,
        "--reader-property",
        "parse.key=true",
        "--reader-property",
        "key.separator=:",
        given="alice:hello\n",
    )
    shown = run("console-consumer", *topic, "--from-beginning", "--max-messages", "1", "--formatter-property", "print.key=true")
    assert shown == "alice\thello\n"


def test_a_tool_can_be_named(bootstrap: str) -> None:
    listed = run("tool", "topics", "--bootstrap-server", bootstrap, "--list").split()
    assert set(listed) >= {topic.value for topic in Topic}


def test_an_unknown_tool_is_one_clear_line() -> None:
    done = subprocess.run([str(TOOLS / "tool"), "nonsense"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "dev/kafka/tool: there is no tool 'nonsense'\n")
