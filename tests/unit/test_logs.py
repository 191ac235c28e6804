"""What is logged, for people and for machines."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from chatstream import logs


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _root_is_put_back() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def fail() -> None:
    try:
        raise ValueError("of two\nlines")
    except ValueError:
        logging.getLogger("chatstream.x").exception("it failed with %s", "ü")


def test_a_machine_reads_one_json_object_a_line() -> None:
    stream = io.StringIO()
    logs.set_up("info", stream)
    fail()
    logging.getLogger("chatstream.x").debug("not this")
    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert (entry["level"], entry["logger"], entry["message"]) == ("error", "chatstream.x", "it failed with ü")
    assert "ValueError: of two\nlines" in entry["error"]
    assert entry["time"].endswith("Z")


def test_a_person_reads_time_level_and_message() -> None:
    stream = Terminal()
    logs.set_up("warning", stream)
    logging.getLogger("chatstream.x").warning("mind this")
    logging.getLogger("chatstream.x").info("not this")
    line = stream.getvalue()
    assert line[8:] == " warning mind this\n"


def test_the_last_set_up_holds(capsys: pytest.CaptureFixture[str]) -> None:
    first = io.StringIO()
    logs.set_up("info", first)
    logs.set_up("info", sys.stderr)
    logging.getLogger("chatstream.x").info("here")
    assert first.getvalue() == ""
    assert "here" in capsys.readouterr().err
