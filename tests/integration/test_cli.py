"""The command line as people meet it: what it prints, where, and with which exit code."""

import contextlib
import json
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from chatstream.cli.app import run as cli
from tests.process import CHATSTREAM, START_S, STOP_S, NodeProcess, environment, run


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node on the embedded log, for the tests that only talk to one."""
    with NodeProcess(tmp_path_factory.mktemp("node")) as started:
        yield started


def complaint(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The one line on stderr of a command that was refused."""
    assert done.returncode == code, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("chatstream: ")
    assert done.stdout == ""
    return lines[0]


Called = Callable[[list[str], int], str]


@pytest.fixture
def called_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Called]:
    """Calls a command in this process, where nothing has to be imported again; the line it complains with."""
    handlers, level = logging.root.handlers[:], logging.root.level
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("CHATSTREAM_", "ANTHROPIC_"))]:
        monkeypatch.delenv(name)

    def call(args: list[str], code: int) -> str:
        returned = cli(args)
        said = capsys.readouterr()
        return complaint(subprocess.CompletedProcess(args, returned, said.out, said.err), code)

    yield call
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def test_version_and_help_need_nothing_heavy(tmp_path: Path) -> None:
    heavy = "{'anthropic', 'confluent_kafka', 'rocksdict', 'aiohttp', 'pydantic_settings', 'asyncio'}"
    program = (
        "import sys; from chatstream.cli.app import run; code = run(sys.argv[1:]); "
        f"assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules); sys.exit(code)"
    )
    for args in (["--version"], ["--help"], ["up", "--help"], ["send", "--help"]):
        command = [CHATSTREAM[0], "-c", program, *args]
        done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["nosuch"], "nosuch"),
        (["up", "--nosuch"], "--nosuch"),
        (["up", "--drain", "x"], "--drain"),
        (["up", "--limit", "calls"], "--limit: is name=value"),
        (["up", "--limit", "call=1"], "there is no limit 'call', did you mean 'calls'?"),
        (["up", "--max-calls", "0"], "calls is a whole number above 0"),
        (["up", "-X", "=1"], "-X: is name=value"),
        (["up", "--listen", "0.0.0.0:0"], "--no-auth"),
        (["up", "--listen", "8080"], "listen: is host:port"),
        (["up", "--config", "none.toml"], "there is no file none.toml"),
        (["up", "--responder", "nosuch"], "nosuch"),
        (["up", "--responder", "nosuch.module:name"], "nosuch.module"),
        (["up", "--data", "/dev/null/data"], "/dev/null/data"),
        (["up", "--bootstrap-servers", "127.0.0.1:1", "-X", "acks=1"], "acks"),
        (["send", "alice"], "Missing argument 'text'"),
        (["send", "a b", "hello"], "session id"),
        (["send", "alice", "hello", "--url", "nowhere"], "url: is a URL"),
        (["history", "."], "session id"),
        (["top", "--every", "0.1"], "every: is 0.2 seconds at least"),
        (["export", "alice", "--format", "pdf"], "--format"),
        (["topics"], "Missing command"),
        (["topics", "plan"], "bootstrap_servers"),
        (["topics", "plan", "--bootstrap-server", "127.0.0.1:1", "--topics", "none.yaml"], "none.yaml"),
    ],
)
def test_a_wrong_call_gets_one_line_and_exit_code_2(args: list[str], part: str, called_here: Called) -> None:
    assert part in called_here(args, 2)


def test_a_wrong_variable_gets_one_line_and_exit_code_2(called_here: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATSTREAM_DRAIN", "soon")
    assert "drain" in called_here(["up"], 2)


def test_an_error_of_a_command_is_one_line_in_a_process_too(tmp_path: Path) -> None:
    assert "--no-auth" in complaint(run(["up", "--listen", "0.0.0.0:0"], tmp_path), 2)


def test_nobody_there_gets_one_line_and_exit_code_1(tmp_path: Path) -> None:
    line = complaint(run(["send", "alice", "hello", "--url", "http://127.0.0.1:1"], tmp_path), 1)
    assert "no answer from http://127.0.0.1:1" in line
    assert "chatstream up" in line


def test_the_first_line_says_where_from_what_and_by_whom(node: NodeProcess) -> None:
    assert "from the embedded log in data" in node.first_line
    assert "by offline" in node.first_line


def test_a_message_is_sent_answered_and_read_back(node: NodeProcess, tmp_path: Path) -> None:
    url = ["--url", node.url]
    said = run(["send", "anna", "hello", "--wait", *url], tmp_path)
    assert (said.returncode, said.stderr) == (0, "")
    assert "You said: hello" in said.stdout
    shown = run(["history", "anna", *url], tmp_path).stdout.splitlines()
    assert shown[0] == "1 user: hello"
    assert shown[1] == f"2 assistant: {said.stdout.strip()}"
    rows = [json.loads(line) for line in run(["history", "anna", "--json", *url], tmp_path).stdout.splitlines()]
    assert [row["role"] for row in rows] == ["user", "assistant"]


def test_a_message_may_be_sent_again_under_its_id(node: NodeProcess, tmp_path: Path) -> None:
    for _ in range(2):
        done = run(["send", "bert", "hello", "--id", "m1", "--url", node.url], tmp_path)
        assert done.stdout.startswith("m1 seq 1")


def test_a_turn_that_fails_is_one_line_and_exit_code_1(node: NodeProcess, tmp_path: Path) -> None:
    done = run(["send", "carl", "/fail permanent", "--wait", "--url", node.url], tmp_path)
    assert "the turn failed" in complaint(done, 1)


def test_a_session_nobody_knows_is_one_line_and_exit_code_1(node: NodeProcess, tmp_path: Path) -> None:
    assert "no session nobody" in complaint(run(["history", "nobody", "--url", node.url], tmp_path), 1)


def test_tail_prints_each_event_once_and_goes_on(node: NodeProcess, tmp_path: Path) -> None:
    run(["send", "dora", "one", "--wait", "--url", node.url], tmp_path)
    command = [*CHATSTREAM, "tail", "dora", "--json", "--url", node.url]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True) as tail:
        assert tail.stdout is not None
        seqs = [json.loads(tail.stdout.readline())["seq"] for _ in range(2)]
        run(["send", "dora", "two", "--url", node.url], tmp_path)
        seqs += [json.loads(tail.stdout.readline())["seq"] for _ in range(2)]
        tail.send_signal(signal.SIGINT)
        assert seqs == [1, 2, 3, 4]
        assert tail.stdout.read() == ""
        assert tail.wait(10) == 130


def test_tail_goes_on_after_the_node_was_away(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listen = f"127.0.0.1:{port}"
    with NodeProcess(tmp_path, "--listen", listen) as first:
        run(["send", "ella", "one", "--wait", "--url", first.url], tmp_path)
        command = [*CHATSTREAM, "tail", "ella", "--json", "--url", first.url]
        tail = subprocess.Popen(
            command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert tail.stdout is not None
        assert tail.stderr is not None
        seqs = [json.loads(tail.stdout.readline())["seq"] for _ in range(2)]
        assert first.stop() == 0
    assert "trying again" in tail.stderr.readline()
    with NodeProcess(tmp_path, "--listen", listen) as second:
        run(["send", "ella", "two", "--wait", "--url", second.url], tmp_path)
        seqs += [json.loads(tail.stdout.readline())["seq"] for _ in range(2)]
    tail.kill()
    tail.communicate()
    assert seqs == [1, 2, 3, 4]


def test_a_second_node_on_the_same_data_is_turned_away(node: NodeProcess) -> None:
    done = run(["up", "--listen", "127.0.0.1:0"], node.directory)
    assert "another process" in complaint(done, 1)


def test_a_port_that_is_taken_gets_one_line_and_exit_code_1(node: NodeProcess, tmp_path: Path) -> None:
    address = node.url.removeprefix("http://")
    assert f"cannot listen on {address}" in complaint(run(["up", "--listen", address], tmp_path), 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_node_told_to_stop_ends_with_0(number: int, tmp_path: Path) -> None:
    with NodeProcess(tmp_path) as node:
        run(["send", "fred", "hello", "--wait", "--url", node.url], tmp_path)
        assert node.stop(number) == 0
        assert "Traceback" not in node.errors()


def test_a_call_under_way_is_left_to_the_next_start(tmp_path: Path) -> None:
    with NodeProcess(tmp_path) as node:
        run(["send", "gina", "/slow 60", "--url", node.url], tmp_path)
        assert node.stop() == 0
    with NodeProcess(tmp_path) as again:
        shown = run(["history", "gina", "--url", again.url], tmp_path).stdout
        assert "/slow 60" in shown


def test_a_second_signal_ends_a_node_at_once(tmp_path: Path) -> None:
    with NodeProcess(tmp_path, "--drain", "600") as node:
        run(["send", "hans", "/slow 600", "--url", node.url], tmp_path)
        node.process.send_signal(signal.SIGTERM)
        while "stopping" not in node.errors():
            assert node.process.poll() is None
        assert node.stop() == 128 + signal.SIGTERM


def test_a_node_told_to_stop_while_it_starts_says_so_and_ends_with_0(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(START_S)
        args = ["up", "--listen", "127.0.0.1:0", "--bootstrap-servers", f"127.0.0.1:{silent.getsockname()[1]}"]
        both = [signal.SIGINT, signal.SIGTERM]
        for signals, codes, sentence in [
            ([signal.SIGTERM], {0}, "stopping before the start was done"),
            (both, {128 + number for number in both}, "told to stop again: ending at once"),
        ]:
            with subprocess.Popen(
                [*CHATSTREAM, *args], cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
            ) as process:
                connection, _ = silent.accept()  # it waits for the broker's answer now
                assert process.stderr is not None
                # At once, in whatever order they come: it might be done with the first before the second one was sent.
                for number in signals:
                    process.send_signal(number)
                said = process.stderr.read()
                connection.close()
                assert process.wait(STOP_S) in codes
            lines = [json.loads(line)["message"] for line in said.splitlines()]
            assert len(lines) == len(signals)
            assert sentence in lines[-1]


@pytest.mark.parametrize(
    ("taken", "code", "sentence"),
    [
        ("log", 1, "the log in {data}/log cannot be used"),
        ("tables", 2, "data: the tables in {data}/tables cannot be used"),
        (".", 2, "data: {data} cannot be used"),
    ],
)
def test_a_data_directory_that_cannot_be_used_gets_one_line(taken: str, code: int, sentence: str, called_here: Called) -> None:
    data = Path("data")
    (data / taken).parent.mkdir(parents=True, exist_ok=True) if taken != "." else None
    (data / taken).touch()
    assert sentence.format(data=data) in called_here(["up", "--listen", "127.0.0.1:0", "--responder", "offline"], code)


def test_a_full_disk_at_the_start_gets_one_line(tmp_path: Path) -> None:
    done = run(["up", "--listen", "127.0.0.1:0", "--responder", "offline"], tmp_path, full=True)
    assert "File too large" in complaint(done, 1)


def test_a_disk_that_fills_up_is_said_once_and_nothing_is_promised_until_there_is_room(tmp_path: Path) -> None:
    most, text = 2_000_000, b"x" * 200_000
    with NodeProcess(tmp_path) as node:
        limit_files(node.process.pid, most)
        statuses = [posted(node.url, text) for _ in range(2 * most // len(text))]
        assert statuses[0] == 202
        assert set(statuses) == {202, 503}
        assert "nothing is stored any more until this is mended" in node.errors()
        limit_files(node.process.pid, resource.RLIM_INFINITY)
        while "the log can be used again" not in node.errors():
            assert node.process.poll() is None
        while posted(node.url, text) != 202:
            assert node.process.poll() is None
        assert node.stop() == 0
        assert "Traceback" not in node.errors()


def limit_files(pid: int, size_bytes: int) -> None:
    """No file of the process grows beyond that, as on a disk that is full."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))


def posted(url: str, text: bytes) -> int:
    """The status of a message sent over HTTP."""
    request = Request(f"{url}/v1/sessions/ines/messages", text, {"Content-Type": "text/plain"})
    try:
        with urlopen(request, timeout=START_S) as response:
            return int(response.status)
    except HTTPError as error:
        error.close()
        return error.code


BLOCKS = """
import sys, time
from functools import partial
from chatstream import cli, serve

async def respond(turn):
    time.sleep(3600)
    yield "never"

sys.modules["blocks"] = sys.modules["__main__"]
serve.loop_watched = partial(serve.loop_watched, 3.0)
cli.main()
"""


def test_model_code_that_blocks_the_event_loop_ends_the_node_and_not_only_its_answers(tmp_path: Path) -> None:
    args = [sys.executable, "-c", BLOCKS, "up", "--listen", "127.0.0.1:0", "--responder", "blocks:respond"]
    pipe = subprocess.PIPE
    with subprocess.Popen(args, cwd=tmp_path, env=environment(), stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[2]
        with contextlib.suppress(OSError):  # the node may be gone before it has answered
            posted(url, b"hello")
        _, said = process.communicate(timeout=START_S)
    assert process.returncode == 70
    assert "the event loop made no turn for 3 s: ending the process" in said


def test_the_node_keeps_its_name(tmp_path: Path) -> None:
    names = set()
    for _ in range(2):
        with NodeProcess(tmp_path):
            names.add((tmp_path / "data" / "node-id").read_text())
    assert len(names) == 1


def test_logs_are_json_lines_when_stderr_is_no_terminal(tmp_path: Path) -> None:
    with NodeProcess(tmp_path, "--log-level", "debug") as node:
        node.stop()
        entries = [json.loads(line) for line in node.errors().splitlines()]
    assert entries
    assert all({"time", "level", "logger", "message"} <= set(entry) for entry in entries)


def test_replay_finds_the_table_equal_and_says_when_a_node_runs(tmp_path: Path) -> None:
    with NodeProcess(tmp_path) as node:
        for text in ("one", "/fail permanent", "/remember a b", "two"):
            run(["send", "ida", text, "--wait", "--url", node.url], tmp_path)
        assert "another process" in complaint(run(["replay"], tmp_path), 1)
        node.stop()
    done = run(["replay"], tmp_path)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("the same") == 16


def test_doctor_says_ok_or_what_to_do(tmp_path: Path) -> None:
    fine = run(["doctor", "--listen", "127.0.0.1:0"], tmp_path)
    assert fine.returncode == 0, fine.stdout
    assert all(line.startswith("ok ") for line in fine.stdout.splitlines())
    wrong = run(["doctor", "--responder", "anthropic", "--listen", "127.0.0.1:0"], tmp_path)
    assert wrong.returncode == 1
    assert "WRONG responder: anthropic needs ANTHROPIC_API_KEY" in wrong.stdout
