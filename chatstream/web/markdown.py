"""A conversation as Markdown, for people: what was said, by whom, when, and what became of it."""

from typing import Any, Final

import msgspec

from chatstream.core.session import Session
from chatstream.table.reads import Item

_NAMES: Final = {"user": "User", "assistant": "Assistant"}
_SAID: Final = ("text",)
"""Kinds of content blocks whose words stand in the message's text already."""


def title(now: Session) -> bytes:
    """The head of the document."""
    name = " ".join(now.title.split()) or now.session
    return f"# {name}\n\nSession `{now.session}`, from {now.created} to {now.updated}\n".encode()


def message(item: Item) -> bytes:
    """One message under its heading."""
    marks = [item.time, item.user, item.model, *_fate(item)]
    heading = " · ".join([_NAMES[item.role], *(mark for mark in marks if mark)])
    parts = [f"\n## {heading}\n"]
    if item.text:
        parts.append(f"{item.text}\n")
    if item.code:
        parts.append(f"> {item.code}" + (f": {_one_line(item.detail)}" if item.detail else "") + "\n")
    parts += [f"```json\n{_fenced(block)}\n```\n" for block in item.content or () if block.get("type") not in _SAID]
    return "\n".join(parts).encode()


def _fate(item: Item) -> list[str]:
    """What a reader should know of a message that did not just go its way."""
    usual = item.status in ("answered", "completed")
    found: list[str] = [] if usual else [item.status]
    if item.due:
        found.append(f"due {item.due}")
    if item.superseded:
        found.append("superseded")
    if item.rewound:
        found.append("rewound")
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _fenced(block: dict[str, Any]) -> str:
    # JSON of one line: no line of it can be the fence's end.
    return msgspec.json.encode(block).decode()
