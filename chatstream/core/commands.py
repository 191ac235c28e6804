"""What may be asked of a session: records on the inbound topic. A command may be refused."""

from typing import Any, Literal

import msgspec

from chatstream.core.ids import MessageId, Seq

OnBusy = Literal["enqueue", "reject", "interrupt"]


class Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True, gc=False):
    """What every command has.

    command_id: makes a repeat safe for as long as the session lives; filled in from the place on the topic when absent.
    """

    command_id: MessageId = MessageId("")


class Message(Command, frozen=True, kw_only=True, tag="message", gc=False):
    """Say something to the model. Its id may be given as `message_id` or `command_id`; decoding leaves it in both."""

    message_id: MessageId = MessageId("")
    text: str = ""
    content: list[dict[str, Any]] | None = None
    user: str = ""
    metadata: dict[str, Any] | None = None
    on_busy: OnBusy = "enqueue"


class Cancel(Command, frozen=True, kw_only=True, tag="cancel", gc=False):
    """End a turn, running or waiting: by turn, else by message_id, else the running one."""

    turn: Seq = Seq(0)
    message_id: MessageId = MessageId("")


AnyCommand = Message | Cancel
