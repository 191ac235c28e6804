"""What may be asked of a session: records on the inbound topic. A command may be refused."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from chatstream.core.ids import MessageId, Seq, SessionId

OnBusy = Literal["enqueue", "reject", "interrupt"]
Verdict = Literal["approved", "rejected"]


class Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True, gc=False):
    """What every command has.

    command_id: makes a repeat safe for as long as the session lives; filled in from the place on the topic when absent.
    """

    command_id: MessageId = MessageId("")


class Message(Command, frozen=True, kw_only=True, tag="message", gc=False):
    """Say something to the model. Its id may be given as `message_id` or `command_id`; decoding leaves it in both.

    delay_s, at (RFC 3339): send it later; of the two only one.
    """

    message_id: MessageId = MessageId("")
    text: str = ""
    content: list[dict[str, Any]] | None = None
    user: str = ""
    metadata: dict[str, Any] | None = None
    on_busy: OnBusy = "enqueue"
    delay_s: float = 0.0
    at: str = ""


class Cancel(Command, frozen=True, kw_only=True, tag="cancel", gc=False):
    """End a turn, running or waiting, or a message that is to be sent later: by turn, else by message_id, else the
    running turn."""

    turn: Seq = Seq(0)
    message_id: MessageId = MessageId("")


class Retry(Command, frozen=True, kw_only=True, tag="retry", gc=False):
    """Run a turn again that failed or was cancelled: by turn, else the one that ended last."""

    turn: Seq = Seq(0)


class Regenerate(Command, frozen=True, kw_only=True, tag="regenerate", gc=False):
    """Answer the turn that ended last once more; the old answer stays readable."""


class Edit(Command, frozen=True, kw_only=True, tag="edit", gc=False):
    """Go back to before the user's message `seq`, and say this instead. The command's id becomes the message's."""

    seq: Annotated[Seq, Meta(ge=1)]
    text: str = ""
    content: list[dict[str, Any]] | None = None
    user: str = ""
    metadata: dict[str, Any] | None = None


class Fork(Command, frozen=True, kw_only=True, tag="fork", gc=False):
    """Start a new session with this one's conversation up to and with `seq`, else all of it.

    id: the new session, of the same partition; made from the command's id when empty.
    """

    seq: Seq = Seq(0)
    id: SessionId = SessionId("")


class Update(Command, frozen=True, kw_only=True, tag="update", gc=False):
    """Change what is known of the session. A field that is not given stays, None clears it."""

    title: str | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET
    system: str | UnsetType | None = UNSET
    model: str | UnsetType | None = UNSET


class SetState(Command, frozen=True, kw_only=True, tag="state.set", gc=False):
    """Put a value into the session's K/V state. if_match: only over the value with this tag; `*`: over any."""

    key: str
    value: Any
    if_match: str = ""


class ClearState(Command, frozen=True, kw_only=True, tag="state.clear", gc=False):
    """Remove a key of the session's K/V state. if_match: as in SetState."""

    key: str
    if_match: str = ""


class Approve(Command, frozen=True, kw_only=True, tag="approve", gc=False):
    """Decide what a parked turn waits for. name: as the responder asked."""

    name: str
    decision: Verdict
    comment: str = ""


class Erase(Command, frozen=True, kw_only=True, tag="erase", gc=False):
    """Forget the session for good; its id is never used again.

    idle_since (RFC 3339): only if nothing happened in it since then and it waits for nothing.
    """

    idle_since: str = ""


AnyCommand = Message | Cancel | Retry | Regenerate | Edit | Fork | Update | SetState | ClearState | Approve | Erase

COMMANDS: Final[tuple[type[AnyCommand], ...]] = (
    Message, Cancel, Retry, Regenerate, Edit, Fork, Update, SetState, ClearState, Approve, Erase,
)  # fmt: skip
"""Every kind, for whoever has to go through them all."""
