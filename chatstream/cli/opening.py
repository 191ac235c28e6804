"""The client as the commands use it. It is imported when a command needs it, since it takes a while."""

import sys
from typing import TYPE_CHECKING

from chatstream.core.errors import ChatstreamError

if TYPE_CHECKING:
    from chatstream.client import Client


def opened(url: str, for_ever: bool = False) -> "Client":
    """A client of one node. for_ever: its readers never give up. Raises BadInput when that is no http URL."""
    from chatstream.client import FOR_EVER, Client, Patience

    # A person waits: who starts a command against a node that is not there wants to hear of it at once.
    patience = Patience(attempts=5, away_s=FOR_EVER) if for_ever else Patience(attempts=5)
    return Client(url, patience=patience)


def tell(error: ChatstreamError | None) -> None:
    """What a reader is told when its node is away, and when it is back."""
    said = "reading again" if error is None else f"{' '.join(str(error).split())}; trying again"
    print(f"chatstream: {said}", file=sys.stderr, flush=True)
