"""The measurement of the first minute, without the minute: on the program that is installed here."""

import os
import time
from pathlib import Path

from dev.first_answer import first_answer, fresh_environment
from dev.ports import free_ports
from tests.process import CHATSTREAM


def test_a_first_word_comes_before_the_answer_and_the_node_is_ended(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    began_s = time.monotonic()
    command = [*CHATSTREAM, "up", "--listen", f"127.0.0.1:{port}"]
    environment = fresh_environment(tmp_path) | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    times = first_answer(command, tmp_path, environment, port, began_s)
    assert 0 < times.serving_s < times.word_s <= times.answer_s
    assert not [name for name in environment if name.startswith(("CHATSTREAM_", "ANTHROPIC_"))]
