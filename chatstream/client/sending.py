"""Saying something: under one id, however often it takes."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from chatstream.client.results import Exchange, Receipt
from chatstream.client.transport import Asked, Transport, decoded, session_path
from chatstream.core.codec import write_json
from chatstream.core.commands import OnBusy
from chatstream.core.errors import NotAnswered
from chatstream.core.events import Blocks


class Message(NamedTuple):
    """What is said. message_id: never empty."""

    text: str
    content: Blocks | None
    message_id: str
    user: str = ""
    metadata: Mapping[str, Any] | None = None
    on_busy: OnBusy = "enqueue"
    delay_s: float = 0.0
    at: str = ""

    def body(self) -> bytes:
        """As JSON, without what was not given."""
        usual = self._field_defaults
        return write_json({name: value for name, value in self._asdict().items() if value and value != usual.get(name)})


async def send(transport: Transport, session: str, message: Message) -> Receipt:
    """Raises ChatstreamError."""
    answer = await transport.ask(Asked("POST", session_path(session, "/messages"), message.body()))
    return decoded(answer.body, Receipt)


async def send_and_wait(transport: Transport, session: str, message: Message, wait_s: float) -> Exchange:
    """The same message again and again until the answer is there. Raises NotAnswered, ChatstreamError."""
    loop = asyncio.get_running_loop()
    ends_at_s = loop.time() + wait_s
    path, body = session_path(session, "/messages"), message.body()
    while (left_s := ends_at_s - loop.time()) > 0:
        held_s = max(1, int(min(transport.patience.hold_s, left_s)))
        asked = Asked("POST", path, body, {"Prefer": f"wait={held_s}"}, held_s)
        answer = await transport.ask(asked)
        if answer.status == HTTPStatus.OK:
            return decoded(answer.body, Exchange)
        # A node that loses the partition answers before the time: the next one is found by asking again, not at once.
        await asyncio.sleep(transport.patience.pause_s(1))
    raise NotAnswered(message.message_id, wait_s)
