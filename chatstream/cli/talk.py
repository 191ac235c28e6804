"""`chatstream send`, `history`, `tail` and `export`: the conversation, over HTTP to a node."""

import math
import sys
from codecs import getincrementaldecoder
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatstream.cli.flags import URL, Url
from chatstream.cli.opening import opened, tell
from chatstream.cli.screen import show
from chatstream.core.errors import BadInput, ChatstreamError
from chatstream.core.ids import message_id as read_message_id
from chatstream.core.ids import session_id

if TYPE_CHECKING:
    from chatstream.client.results import Item
    from chatstream.core.events import AnyEvent

Session = Annotated[str, typer.Argument(help="The session's id.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def send(
    session: Session,
    text: Annotated[str, typer.Argument(help="What to say; - reads it from standard input.")],
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the reply and print it.")] = False,
    user: Annotated[str, typer.Option("--user", help="Who says it.")] = "",
    message_id: Annotated[str, typer.Option("--id", help="Message id: makes saying it again safe [default: a new one]")] = "",
    url: Url = URL,
) -> None:
    """Say something in a session."""
    said = sys.stdin.read() if text == "-" else text
    named: dict[str, Any] = {"message_id": read_message_id(message_id) if message_id else "", "user": user}
    with opened(url) as client:
        if not wait:
            receipt = client.send(session, said, **named)
            place = "stored" if receipt.seq is None else f"seq {receipt.seq} {receipt.status}"
            print(f"{receipt.message_id} {place}")
            return
        reply = client.send_and_wait(session, said, wait_s=math.inf, **named).reply
    if reply.status == "failed":
        raise Failed(f"the turn failed: {reply.detail or reply.code}")
    show(reply.text)


class Failed(ChatstreamError):
    """The message was stored and its turn ended without an answer."""


def history(session: Session, as_json: AsJson = False, url: Url = URL) -> None:
    """Print a session's conversation, oldest first."""
    with opened(url) as client:
        from chatstream.core.codec import write_json

        for item in client.history(session_id(session)):
            show(write_json(item).decode() if as_json else _item_line(item))


def tail(
    session: Annotated[str, typer.Argument(help="The session's id.", show_default=False)] = "",
    of_session: Annotated[str, typer.Option("--session", metavar="SESSION", help="The same, and implies --json.")] = "",
    now: Annotated[bool, typer.Option("--now", help="Only what comes from now on.")] = False,
    as_json: AsJson = False,
    url: Url = URL,
) -> None:
    """Print a session's events, each once, and go on with what comes until Ctrl-C, through restarts of the node."""
    if bool(session) == bool(of_session):
        raise BadInput("session: name one, as an argument or with --session")
    with opened(url, for_ever=True) as client:
        from chatstream.core.codec import write_event

        for event in client.follow(session_id(session or of_session), offset="now" if now else "-1", told=tell):
            show(write_event(event).decode() if as_json or of_session else _event_line(event))


class Format(StrEnum):
    """Of an exported conversation."""

    jsonl = "jsonl"
    md = "md"


def export(
    session: Session,
    format: Annotated[Format, typer.Option("--format", help="One JSON object a line, or Markdown.")] = Format.jsonl,
    url: Url = URL,
) -> None:
    """Print the whole conversation as a file would have it."""
    with opened(url) as client:
        read = getincrementaldecoder("utf-8")("replace").decode  # a part may end in the middle of a character
        for part in client.export(session_id(session), format=format.value):
            show(read(part), end="")


def _item_line(item: "Item") -> str:
    mark = "" if item.status in ("answered", "completed") else f" ({item.status})"
    return f"{item.seq} {item.role}{mark}: {item.text or item.detail}"


def _event_line(event: "AnyEvent") -> str:
    from chatstream.core.codec import type_name

    said = getattr(event, "text", "") or getattr(event, "detail", "") or getattr(event, "code", "")
    return f"{event.seq} {type_name(event)}{': ' if said else ''}{said}"
