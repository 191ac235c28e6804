"""`chatstream chat`: a conversation in the terminal."""

import uuid
from typing import Annotated, Final

import typer

from chatstream.cli.flags import URL, Url
from chatstream.cli.opening import opened
from chatstream.core.errors import BadInput
from chatstream.core.ids import session_id

HISTORY_MOST: Final = 200


def chat(
    session: Annotated[str, typer.Argument(help="The session's id [default: a new one]", show_default=False)] = "",
    history: Annotated[int, typer.Option("--history", metavar="N", help="Messages shown at the start.")] = 20,
    user: Annotated[str, typer.Option("--user", help="Who says it.")] = "",
    url: Url = URL,
) -> None:
    """Talk in a session. A line that ends with \\ goes on, three quotes begin and end a block. Ctrl-C stops the running
    answer, a second one leaves; at the prompt Ctrl-C or Ctrl-D leaves."""
    named = session_id(session) if session else f"chat-{uuid.uuid4().hex[:8]}"
    if not 0 <= history <= HISTORY_MOST:
        raise BadInput(f"history: is 0 to {HISTORY_MOST}, not {history}")

    from chatstream.cli.conversation import Chat
    from chatstream.cli.keyboard import Keyboard
    from chatstream.cli.screen import screen

    with opened(url) as client:
        code = Chat(client, named, user, screen(), Keyboard()).run(history)
    raise typer.Exit(code)
