"""`chatstream chat` on a terminal of its own and in a pipe: what a person sees, also when the node is killed."""

import asyncio
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes import NodeProcess as ScriptedNode
from tests.nodes import Nodes
from tests.process import CHATSTREAM, START_S, NodeProcess, environment, run
from tests.terminal import END, Terminal

SAID = "I am the offline model. You said: "
APPROVING = """
async def respond(turn):
    yield f"decided: {await turn.approval('pay', {'eur': 5})}"
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with NodeProcess(tmp_path_factory.mktemp("node")) as node:
        yield node


def chatting(url: str, directory: Path, *args: str, term: str = "dumb") -> Terminal:
    return Terminal([*CHATSTREAM, "chat", *args, "--url", url], directory, term)


def spoken(url: str, session: str, directory: Path) -> list[tuple[str, str]]:
    """(status, text) of each message on record."""
    rows = run(["history", session, "--json", "--url", url], directory).stdout.splitlines()
    return [(row["status"], row["text"]) for row in map(json.loads, rows)]


def test_messages_of_one_line_and_of_several_are_answered_and_stand_there_the_next_time(
    node: NodeProcess, tmp_path: Path
) -> None:
    with chatting(node.url, tmp_path, "anna") as chat:
        chat.shows("a new session: anna")
        for typed in ("one", "two\\\nlines", '"""\nthree\n\n lines"""'):
            chat.shows("> ")
            chat.type(typed + "\n")
            chat.shows(SAID)
        chat.shows("> ")
        chat.type(END)
        assert chat.ends() == 0
    texts = [text for _, text in spoken(node.url, "anna", tmp_path)]
    assert texts[::2] == ["one", "two\nlines", "three\n\n lines"]
    with chatting(node.url, tmp_path, "anna", "--history", "4") as chat:
        assert "one" not in chat.shows("two\nlines")
        chat.shows(SAID + "three")
        chat.shows("> ")
        chat.interrupt()
        assert chat.ends() == 0


def test_the_first_ctrl_c_stops_the_answer_and_the_chat_goes_on(node: NodeProcess, tmp_path: Path) -> None:
    with chatting(node.url, tmp_path, "bert") as chat:
        chat.shows("> ")
        chat.type("/slow 600\n")
        run(["send", "bert", "from elsewhere", "--url", node.url], tmp_path)
        chat.shows("somebody: from elsewhere")
        chat.interrupt()
        chat.shows("stopped")
        chat.shows("> ")
        chat.type("go on\n")
        chat.shows(SAID + "from elsewhere")
        chat.shows(SAID + "go on")
        chat.shows("> ")
        assert "Traceback" not in chat.text()
    statuses = [status for status, _ in spoken(node.url, "bert", tmp_path)]
    assert sorted(statuses) == sorted(["cancelled", "cancelled", "answered", "completed", "answered", "completed"])


def test_who_joins_in_mid_answer_sees_it_and_may_stop_it(node: NodeProcess, tmp_path: Path) -> None:
    run(["send", "carl", "/slow 600", "--url", node.url], tmp_path)
    with chatting(node.url, tmp_path, "carl") as chat:
        chat.shows("you: /slow 600")
        chat.interrupt()
        chat.shows("stopped")
        chat.shows("> ")


def test_a_failed_turn_and_an_erased_session_are_told(node: NodeProcess, tmp_path: Path) -> None:
    with chatting(node.url, tmp_path, "dora") as chat:
        chat.shows("> ")
        chat.type("/fail permanent\n")
        chat.shows("failed: ")
        chat.shows("> ")
        run_erase(node.url, "dora")
        chat.type("still there?\n")
        chat.shows("chatstream: the session was erased")
        assert chat.ends() == 1
        assert "Traceback" not in chat.text()


def run_erase(url: str, session: str) -> None:
    from chatstream import Client

    with Client(url) as client:
        client.erase(session)


def test_markdown_is_rendered_on_a_terminal_that_can(node: NodeProcess, tmp_path: Path) -> None:
    with chatting(node.url, tmp_path, "ella", term="xterm-256color") as chat:
        chat.shows("> ")
        chat.type("/md\n")
        chat.shows("A quotation, to end with.")
        chat.shows("> ")
        assert "**bold**" not in chat.text()
        assert "\x1b[1mbold\x1b[0m" in chat.raw()
        assert "https://kafka.apache.org/" in chat.text()


def test_a_pipe_gets_plain_text(node: NodeProcess, tmp_path: Path) -> None:
    command = [*CHATSTREAM, "chat", "fred", "--url", node.url]
    said = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment(),
        input="/md\nhello",
        capture_output=True,
        text=True,
        timeout=START_S,
        check=True,
    )
    assert "Text with **bold**" in said.stdout
    assert said.stdout.endswith(f"{SAID}hello\n")
    assert "\x1b" not in said.stdout
    assert said.stderr == "chatstream: a new session: fred\n"


@pytest.mark.parametrize(
    ("args", "code", "part"),
    [
        (["a b"], 2, "session id"),
        (["alice", "--history", "201"], 2, "history: is 0 to 200"),
        (["alice", "--url", "http://127.0.0.1:1"], 1, "no answer from http://127.0.0.1:1"),
    ],
)
def test_what_cannot_begin_is_one_line(args: list[str], code: int, part: str, tmp_path: Path) -> None:
    done = run(["chat", *args], tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert part in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_node_that_is_killed_in_mid_answer_is_waited_for_and_it_is_said(tmp_path: Path) -> None:
    with Nodes(tmp_path, "", "--partitions", "2") as nodes:
        node = nodes.add()
        wait_ready(node)
        with chatting(node.url, tmp_path, "gina") as chat:
            chat.shows("> ")
            chat.type("sleep:4 hello\n")
            chat.shows("#1 history=0 ")
            node.kill9()
            chat.shows("connecting again")
            node.start()
            chat.shows("connected again")
            answer = chat.shows("hello\n")
            chat.shows("> ")
            assert "Traceback" not in chat.text()
        wait_ready(node)
        (_, asked), (status, text) = spoken(node.url, "gina", tmp_path)
    assert (asked, status) == ("sleep:4 hello", "completed")
    assert text.split()[-3] == answer.split()[-2]


def wait_ready(node: ScriptedNode) -> None:
    asyncio.run(node.serves(2))


def test_a_second_ctrl_c_leaves_a_node_that_does_not_answer(tmp_path: Path) -> None:
    with Nodes(tmp_path, "", "--partitions", "2") as nodes:
        node = nodes.add()
        wait_ready(node)
        with chatting(node.url, tmp_path, "hans") as chat:
            chat.shows("> ")
            chat.type("sleep:60 hello\n")
            chat.shows("#1 history=0 ")
            node.signal(signal.SIGSTOP)
            chat.interrupt()
            chat.shows("Ctrl-C again to leave")
            chat.interrupt()
            assert chat.ends() == 130
            assert "Traceback" not in chat.text()


def test_a_turn_that_waits_for_a_person_asks_this_one(tmp_path: Path) -> None:
    (tmp_path / "approving.py").write_text(APPROVING)
    with NodeProcess(tmp_path, "--responder", "approving:respond") as node, chatting(node.url, tmp_path, "ida") as chat:
        chat.shows("> ")
        chat.type("buy it\n")
        chat.shows("to be decided: pay {'eur': 5}")
        chat.shows("Enter for later: ")
        chat.type("y\n")
        chat.shows("decided: ")
        chat.shows("> ")
