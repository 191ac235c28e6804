"""`chatstream send`, `history` and `tail`: the conversation, over HTTP to a node."""

import json
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer

from chatstream.cli.client import Client, Refusal, Response, Unreachable, session_path
from chatstream.cli.flags import URL, Url
from chatstream.core.errors import ChatstreamError
from chatstream.core.ids import session_id

WAIT_S: Final = 50
"""One held request; the node's own most is 55, and proxies give up at 60."""
POLL_S: Final = 30.0
"""A long poll ends after 25 s on its own."""
ATTEMPTS: Final = 5
"""Of sending one message under one id, while the node says that trying again helps."""
RETRIED: Final = (421, 503)
"""The owner is not known yet, or the node cannot answer now: the same message under the same id is safe to send again."""
PAUSE_S: Final = 1.0
"""Between attempts when the node does not say how long."""
PAGE: Final = 200

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
    body: dict[str, Any] = {"text": said, "message_id": message_id or f"cli-{uuid.uuid4().hex}"}
    if user:
        body["user"] = user
    client, path = Client(url), session_path(session_id(session), "/messages")
    response = _post(client, path, body, wait)
    while wait and response.status == 202:
        # The same message under the same id: it is not said twice, the wait goes on.
        response = _post(client, path, body, wait)
    if not wait:
        print(f"{response.body['message_id']} {_place(response.body)}")
        return
    reply = response.body["reply"]
    if reply.get("status") == "failed":
        raise Failed(f"the turn failed: {reply.get('detail') or reply.get('code')}")
    print(reply["text"])


class Failed(ChatstreamError):
    """The message was stored and its turn ended without an answer."""


def _post(client: Client, path: str, body: dict[str, Any], wait: bool) -> Response:
    headers = {"Prefer": f"wait={WAIT_S}"} if wait else {}
    for _ in range(ATTEMPTS - 1):
        try:
            return client.ask("POST", path, body=body, headers=headers, wait_s=WAIT_S if wait else 0)
        except Refusal as refusal:
            if refusal.status not in RETRIED:
                raise
            time.sleep(PAUSE_S if refusal.retry_after_s is None else min(refusal.retry_after_s, WAIT_S))
    return client.ask("POST", path, body=body, headers=headers, wait_s=WAIT_S if wait else 0)


def _place(body: dict[str, Any]) -> str:
    if body.get("seq") is None:
        return "stored"
    return f"seq {body['seq']} {body.get('status', '')}".rstrip()


def history(session: Session, as_json: AsJson = False, url: Url = URL) -> None:
    """Print a session's conversation, oldest first."""
    client = Client(url)
    for message in _messages(client, session_id(session)):
        print(json.dumps(message, ensure_ascii=False) if as_json else _message_line(message))


def _messages(client: Client, session: str) -> Iterator[dict[str, Any]]:
    after = "0"
    while True:
        page = client.ask("GET", session_path(session, f"/messages?limit={PAGE}&after={after}")).body
        yield from page["data"]
        if not page["has_more"] or page["next"] is None:
            return
        after = str(page["next"])


def tail(
    session: Session,
    now: Annotated[bool, typer.Option("--now", help="Only what comes from now on.")] = False,
    as_json: AsJson = False,
    url: Url = URL,
) -> None:
    """Print a session's events, each once, and go on with what comes until Ctrl-C."""
    client = Client(url)
    for event in _events(client, session_id(session), "now" if now else "-1"):
        line = json.dumps(event, ensure_ascii=False) if as_json else _event_line(event)
        print(line, flush=True)


def _events(client: Client, session: str, offset: str) -> Iterator[dict[str, Any]]:
    lost = False
    while True:
        path = session_path(session, f"/events?offset={offset}&live=long-poll")
        try:
            response = client.ask("GET", path, wait_s=POLL_S)
        except (Unreachable, Refusal) as error:
            if isinstance(error, Refusal) and not error.problem.get("retryable"):
                raise
            if not lost:
                print(f"chatstream: {error}; trying again", file=sys.stderr)
            lost = True
            time.sleep(PAUSE_S)
            continue
        lost = False
        yield from response.body or ()
        # Only now: what was printed is what the offset stands behind, so nothing comes twice or is left out.
        offset = response.headers.get("stream-next-offset", offset)


def _message_line(message: dict[str, Any]) -> str:
    mark = "" if message["status"] in ("answered", "completed") else f" ({message['status']})"
    return f"{message['seq']} {message['role']}{mark}: {message['text'] or message.get('detail', '')}"


def _event_line(event: dict[str, Any]) -> str:
    said = event.get("text") or event.get("detail") or event.get("code") or ""
    return f"{event['seq']} {event['type']}{': ' if said else ''}{said}"
