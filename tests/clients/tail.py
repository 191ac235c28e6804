"""The same as tail.mjs with the official Python client: `python -m tests.clients.tail URL false|long-poll|sse OFFSET`."""

import json
import sys
import threading
from typing import Literal, cast

import httpx
from durable_streams import DurableStreamError, FetchError, stream

RETRY_S = 0.1


def tail(url: str, live: Literal[False, "long-poll", "sse"], offset: str) -> None:
    """Print events until told to stop, or until caught up when live is False."""
    while True:
        try:
            with stream(url, offset=offset, live=live, timeout=60.0) as answer:
                for batch in answer.iter_events(mode="json"):
                    for event in batch.data:
                        print(json.dumps(event), flush=True)
                    offset = batch.next_offset
            if live is False:
                print(json.dumps({"offset": offset}), flush=True)
                return
        except (httpx.TransportError, FetchError, DurableStreamError) as error:
            # This client leaves it to its user to try again.
            print(repr(error), file=sys.stderr, flush=True)
            threading.Event().wait(RETRY_S)


if __name__ == "__main__":
    _, given_url, mode, from_offset = sys.argv
    tail(given_url, False if mode == "false" else cast(Literal["long-poll", "sse"], mode), from_offset)
