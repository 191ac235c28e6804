"""What a node answers, as types.

They read more than they know: a field that a newer node adds is skipped, and a status that is new is a text like any other.
"""

from typing import Any, Generic, TypeVar

import msgspec

from chatstream.core.events import Blocks, Usage

T = TypeVar("T")


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message of the conversation, the user's or the model's. turn: seq of the user's message it belongs to.

    status: of a user's message `scheduled`, `waiting`, `running`, `answered`, `refused`, `failed` or `cancelled`; of a reply
    `completed`, `failed` or `cancelled`. superseded: a later version of the turn has ended. rewound: an edit took it back.
    """

    seq: int
    role: str
    text: str
    content: Blocks | None
    status: str
    message_id: str
    time: str
    turn: int
    version: int
    user: str = ""
    metadata: dict[str, Any] | None = None
    model: str = ""
    stop_reason: str = ""
    usage: Usage | None = None
    attempts: int = 0
    code: str = ""
    detail: str = ""
    by: str = ""
    due: str = ""
    replaces: int = 0
    superseded: bool = False
    rewound: bool = False


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """A message is in the log. seq: None while it is stored and not yet numbered. position: turns before it, None where it is
    in no queue. due: when it will be sent, where that is later. duplicate: its id was known before."""

    session: str
    message_id: str
    seq: int | None
    status: str
    position: int | None
    due: str = ""
    duplicate: bool = False


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """A message and what was replied; look at the reply's status: it may have failed or been cancelled."""

    message: Item
    reply: Item
    duplicate: bool = False


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Messages, oldest first. previous: for `before`; next: for `after`; offset: where to follow from, so that nothing is
    missed or comes twice."""

    data: list[Item]
    has_more: bool
    next: int | None
    previous: int | None
    offset: str


class Waiting(msgspec.Struct, frozen=True):
    """A turn in the queue."""

    turn: int
    message_id: str
    position: int


class RunningTurn(msgspec.Struct, frozen=True):
    """The turn whose answer comes next. attempt: None while the model is not being called for it."""

    turn: int
    version: int
    message_id: str
    attempt: int | None


class Later(msgspec.Struct, frozen=True):
    """A message that waits for its time, RFC 3339."""

    seq: int
    message_id: str
    due: str


class Question(msgspec.Struct, frozen=True):
    """What a parked turn waits for. name: to decide it by. since: RFC 3339."""

    name: str
    detail: Any
    since: str


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is doing. status: `idle`, `running`, `waiting`, `parked` or `failed`. queue: the first of the waiting
    turns; waiting: how many there are. offset: where to follow from."""

    session: str
    status: str
    title: str
    user: str
    metadata: dict[str, Any] | None
    system: str
    model: str
    running: RunningTurn | None
    queue: list[Waiting]
    waiting: int
    scheduled: list[Later]
    approval: Question | None
    messages: int
    replies: int
    usage: dict[str, int]
    state_bytes: int
    created: str
    updated: str
    last_seq: int
    offset: str
    partition: int
    owner: str


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One session in the list. waiting: turns behind the running one."""

    session: str
    status: str
    title: str
    user: str
    messages: int
    replies: int
    waiting: int
    created: str
    updated: str
    last_seq: int
    partition: int


class SessionsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions, newest activity first. next: for `cursor`; a page may be short, even empty, and still have a next one.
    incomplete: partitions that nobody could be asked for."""

    data: list[Listed]
    has_more: bool
    next: str | None
    incomplete: list[int]


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an action. type, seq: of its event, seq None while nobody decided it yet. turn, version: what runs
    again or now."""

    session: str
    command_id: str
    seq: int | None
    type: str = ""
    turn: int = 0
    version: int = 0
    position: int | None = None
    duplicate: bool = False


class Cancelled(msgspec.Struct, frozen=True, kw_only=True):
    """A turn was stopped. reply: what there is of its answer. seq, turn, reply: None while nobody decided it yet."""

    session: str
    command_id: str
    seq: int | None
    turn: int | None
    reply: Item | None
    duplicate: bool = False


class Forked(msgspec.Struct, frozen=True, kw_only=True, rename={"source": "from"}):
    """A new session. through_seq: the source's last event that it took over, None while nobody decided it yet."""

    session: str
    source: str
    command_id: str
    seq: int | None
    through_seq: int | None
    duplicate: bool = False


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A write to the session's state. seq: of its event, None while nobody decided it yet. etag: of what stands there now,
    empty where that is nothing or not known."""

    session: str
    command_id: str
    key: str
    seq: int | None
    duplicate: bool = False
    etag: str = ""


class Value(msgspec.Struct, Generic[T], frozen=True):
    """What stands in the session's state, any JSON. etag: for `if_match` of a write over it."""

    value: T
    etag: str
