"""What chat is made of: messages from lines, Markdown in blocks, nothing that a terminal would obey."""

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from chatstream.cli.keyboard import Keyboard
from chatstream.cli.screen import MarkdownScreen, PlainScreen, finished_blocks, harmless


def typed(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> Keyboard:
    left: Iterator[str] = iter(lines)

    def line(_: str) -> str:
        try:
            return next(left)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", line)
    return Keyboard()


@pytest.mark.parametrize(
    ("lines", "messages"),
    [
        (["one", "two"], ["one", "two"]),
        (["one\\", "two\\", "three"], ["one\ntwo\nthree"]),
        (["one\\"], ["one\n"]),
        (['"""', "one", "", "two", '"""', "three"], ["one\n\ntwo", "three"]),
        (['"""one', 'two"""'], ["one\ntwo"]),
        (['"""one"""'], ["one"]),
        (['"""one', "two"], ["one\ntwo"]),
        (["", '""'], ["", '""']),
    ],
)
def test_lines_become_messages(lines: list[str], messages: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard = typed(lines, monkeypatch)
    found = []
    while (text := keyboard.read()) is not None:
        found.append(text)
    assert found == messages


@pytest.mark.parametrize(
    ("text", "finished"),
    [
        ("one", ""),
        ("one\n", ""),
        ("one\n\n", "one\n\n"),
        ("one\n\ntwo", "one\n\n"),
        ("```\na\n\nb", ""),
        ("```\na\n\nb\n```\n\nc", "```\na\n\nb\n```\n\n"),
        ("~~~\n```\n\n~~~\n\nc", "~~~\n```\n\n~~~\n\n"),
        ("one\n\n```\na\n\n", "one\n\n"),
    ],
)
def test_a_block_is_finished_by_an_empty_line_outside_of_code(text: str, finished: str) -> None:
    assert finished_blocks(text) == (finished, text[len(finished) :])


def test_what_a_terminal_would_obey_is_left_out() -> None:
    assert harmless("a\x1b]0;title\x07b\x9b31m\r\n\tc\x7f") == "a]0;titleb31m\n\tc"


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_text_on_a_terminal_is_harmless_and_in_a_pipe_as_it_was() -> None:
    for out, shown in ((Tty(), "a[2Jb\n"), (io.StringIO(), "a\x1b[2Jb\n")):
        on = PlainScreen(out)
        on.say("a\x1b[2J")
        on.say("b")
        on.end()
        on.end()
        assert out.getvalue() == shown


def test_markdown_is_shown_once_however_it_comes_in_pieces() -> None:
    text = "# Title\n\nsome **bold** words\x1b[2J\n\n```python\nprint(1)\n\nprint(2)\n```\n\n- one\n- two"
    out = io.StringIO()
    on = MarkdownScreen(Console(file=out, width=60, force_terminal=False, highlight=False))
    on.user("hi\x1b[2J", "ann")
    for letter in text:
        on.say(letter)
    on.end()
    on.note("a\x1b[2Jnote")
    shown = out.getvalue()
    assert "\x1b" not in shown
    assert "**" not in shown
    for part in ("ann: hi[2J", "Title", "some bold words", "print(1)", "print(2)", "• one", "• two", "a[2Jnote"):
        assert shown.count(part) == 1, part
