"""What deciding looks at beside the session and the command, and what it may come to."""

from typing import Literal

import msgspec

from chatstream.core.events import AnyEvent, Usage
from chatstream.core.head import Ended, Session
from chatstream.core.ids import InputPosition, Seq
from chatstream.core.limits import MIB


class Duplicate(msgspec.Struct, frozen=True, gc=False):
    """The command's id is known already: nothing happens. seq: the event it led to then."""

    seq: Seq


Reason = Literal[
    "no-such-session",
    "not-running",
    "not-ended",
    "turn-in-progress",
    "queue-full",
    "no-such-message",
    "rewound",
    "session-exists",
    "other-partition",
    "no-such-approval",
    "precondition-failed",
    "state-too-large",
    "not-idle",
]


class Nothing(msgspec.Struct, frozen=True, gc=False):
    """The command asks for what cannot be done now, and that is no event. code: for the HTTP problem."""

    code: Reason


class Partial(msgspec.Struct, frozen=True, gc=False):
    """What a running attempt has said so far."""

    text: str = ""
    usage: Usage | None = None


Decision = AnyEvent | Duplicate | Nothing


class Context(msgspec.Struct, frozen=True, gc=False):
    """What decide needs beside the session: where the command stands, when it is, and what the rows know of what it names.

    known: the seq of the event that brought the command's id. target: the seq that Cancel.message_id names.
    partial: what the running turn has said so far. sent_ms: when the command was written, 0 when nobody knows.
    ended: how the turn that Retry names ended last. is_message, rewound: of the seq that Edit or Retry names. fork: the
    session that Fork is to make, None where it would be of another partition. held: the value under the key that a state
    command names, as JSON. waiting_turns, scheduled_messages, delay_s, state_bytes: the Limits of these names.
    """

    input: InputPosition
    now: str
    known: Seq | None = None
    target: Seq | None = None
    partial: Partial = Partial()
    sent_ms: int = 0
    ended: Ended | None = None
    is_message: bool = False
    rewound: bool = False
    fork: Session | None = None
    held: bytes | None = None
    waiting_turns: int = 1_000
    scheduled_messages: int = 1_000
    delay_s: float = 366 * 86_400.0
    state_bytes: int = 1 * MIB
