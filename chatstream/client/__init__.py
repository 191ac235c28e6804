"""Clients of a node, or of several: `AsyncClient`, and `Client` for programs without asyncio.

asynchronous  AsyncClient: what can be asked
blocking      Client: the same in a thread, and waiting for it
sending       a message under one id, however often it takes
following     events, each once and in order, through restarts
living        the same, and answers word by word
absence       a reader whose node is away
transport     requests, attempts, the owner that is named
problems      problem documents as errors
results       what is answered, as types
patience      how long and how often it tries
sse           server-sent events from bytes
"""

from chatstream.client.asynchronous import AsyncClient
from chatstream.client.blocking import Client
from chatstream.client.following import offset_behind
from chatstream.client.patience import FOR_EVER, Patience

__all__ = ["FOR_EVER", "AsyncClient", "Client", "Patience", "offset_behind"]
