"""What a session's messages are, read off its events in the simplest way: who said what, and what became of it."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from tests.checking.fold import Event

ENDED: Final = {"reply.completed": "answered", "reply.failed": "failed", "reply.cancelled": "cancelled"}


class Line(NamedTuple):
    """One message. superseded: its turn ended again later; rewound: an edit took it back."""

    seq: int
    role: str
    text: str
    status: str
    turn: int
    superseded: bool
    rewound: bool


def conversation(events: Sequence[Event]) -> list[Line]:
    """The messages of a session whose turns have all ended, in order; of messages for later it knows nothing."""
    ends = {event.fields["turn"]: event for event in events if event.type in ENDED}
    edits = [(event.fields["replaces"], event.fields["seq"]) for event in events if event.fields.get("replaces")]
    lines = []
    for event in events:
        seq, text = event.fields["seq"], event.fields.get("text", "")
        if event.type == "message.accepted":
            status = ENDED[ends[seq].type]
            lines.append(Line(seq, "user", text, status, seq, False, _rewound(seq, edits)))
        elif event.type in ENDED:
            turn, status = event.fields["turn"], event.type.removeprefix("reply.")
            lines.append(Line(seq, "assistant", text, status, turn, ends[turn] is not event, _rewound(turn, edits)))
    return lines


def _rewound(turn: int, edits: list[tuple[int, int]]) -> bool:
    return any(replaced <= turn < edit for replaced, edit in edits)
