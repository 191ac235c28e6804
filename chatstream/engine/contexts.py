"""What a command is decided in: the rows that it names, and over them what is appended and not confirmed yet.

Without the second a command could rest on what the one before it has changed already.
"""

from collections.abc import Callable
from typing import Any, assert_never

import msgspec

from chatstream.core.commands import (
    AnyCommand,
    Approve,
    Cancel,
    ClearState,
    Edit,
    Erase,
    Fork,
    Message,
    Regenerate,
    Retry,
    SetState,
    Update,
)
from chatstream.core.copying import fork_name
from chatstream.core.events import AnyEvent, MessageAccepted, ReplyCompleted, StateChanged, Terminal
from chatstream.core.head import Ended
from chatstream.core.ids import InputPosition, Seq, SessionId, Version
from chatstream.core.limits import Limits
from chatstream.core.partitioner import partition_of
from chatstream.core.prompt import Rewind
from chatstream.core.session import Context, Partial
from chatstream.core.session import how as how_ended
from chatstream.core.state import cost_bytes
from chatstream.engine.projection import Projection
from chatstream.engine.slots import Slot, Slots
from chatstream.table import rows
from chatstream.table.reads import event_of


class Contexts:
    """Makes contexts for the writer of one partition. partitions: how many there are. said: as Surroundings.said."""

    def __init__(
        self,
        projection: Projection,
        slots: Slots,
        partitions: int,
        limits: Limits,
        said: Callable[[SessionId], Partial],
    ) -> None:
        self._projection = projection
        self._slots = slots
        self._partitions = partitions
        self._limits = limits
        self._said = said

    def of(self, slot: Slot, command: AnyCommand, at: InputPosition, now: str, sent_ms: int) -> Context:
        """What a command for the slot's session is decided in. sent_ms: the time on its record. Raises TableBroken."""
        limits, known = self._limits, self._slots.seq_of(slot, command.command_id)
        bare = Context(
            input=at,
            now=now,
            known=known,
            sent_ms=sent_ms,
            waiting_turns=limits.waiting_turns,
            scheduled_messages=limits.scheduled_messages,
            delay_s=limits.delay_s,
            state_bytes=limits.state_bytes,
        )
        return bare if known is not None else self._with_rows(slot, command, bare)

    def _with_rows(self, slot: Slot, command: AnyCommand, bare: Context) -> Context:
        replace, session = msgspec.structs.replace, slot.head.session
        match command:
            case Message() | Update() | Approve() | Erase():
                return bare
            case Cancel():
                target = self._slots.seq_of(slot, command.message_id) if command.message_id else None
                return replace(bare, target=target, partial=self._said(session))
            case Retry() | Regenerate():
                ended = self.ended(slot, command.turn) if isinstance(command, Retry) and command.turn else slot.head.ended
                return replace(bare, ended=ended, rewound=ended is not None and self.rewound(slot, ended.turn))
            case Edit():
                is_message = isinstance(self.event_at(slot, command.seq), MessageAccepted)
                return replace(bare, is_message=is_message, rewound=self.rewound(slot, command.seq))
            case Fork():
                name = command.id or fork_name(session, command.command_id, self._partitions)
                if partition_of(name.encode(), self._partitions) != self._projection.partition:
                    return bare
                fork = self._slots.open(name)
                return replace(bare, fork=fork.head, known=self._slots.seq_of(fork, command.command_id))
            case SetState() | ClearState():
                return replace(bare, held=self.state_value(slot, command.key))
            case _:
                assert_never(command)

    def event_at(self, slot: Slot, seq: Seq) -> AnyEvent | None:
        """The session's event of that number, confirmed or not; None for a number that it has not. Raises TableBroken."""
        if not 0 < seq <= slot.head.last_seq:  # what a command names may be any number, also one that no row's key holds
            return None
        for unconfirmed in slot.unconfirmed:
            if unconfirmed.seq == seq:
                return unconfirmed
        entry = rows.read_entry(self._projection.table, slot.head.session, seq)
        return None if entry is None else event_of(entry)

    def ended(self, slot: Slot, turn: Seq) -> Ended | None:
        """How a turn ended last, None while it has not. Raises TableBroken."""
        # A message that was taken back before it was sent has an end, and never was a turn.
        if not isinstance(self.event_at(slot, turn), MessageAccepted):
            return None
        for unconfirmed in reversed(slot.unconfirmed):
            if isinstance(unconfirmed, Terminal) and unconfirmed.turn == turn:
                return _ended(unconfirmed)
        ending = rows.read_ending(self._projection.table, slot.head.session, turn)
        event = None if ending is None else self.event_at(slot, ending.seq)
        return _ended(event) if isinstance(event, Terminal) else None

    def rewound(self, slot: Slot, turn: Seq) -> bool:
        """Did an edit take the turn back? Raises TableBroken."""
        if not slot.head.rewinds:
            return False
        rewinds = rows.read_rewinds(self._projection.table, slot.head.session)
        for event in slot.unconfirmed:
            if isinstance(event, MessageAccepted) and event.replaces:
                rewinds.append(Rewind(event.replaces, event.seq))
        return any(rewind.took_back(turn) for rewind in rewinds)

    def is_recorded(self, session: SessionId, turn: Seq, version: Version, step: str) -> bool:
        """Is there a confirmed step of that name in the table? Raises TableBroken."""
        return rows.read_step(self._projection.table, session, turn, version, step) is not None

    def state_value(self, slot: Slot, key: str) -> bytes | None:
        """What the session's K/V state holds under a key, as JSON; None: nothing. Raises TableBroken."""
        for event in reversed(slot.unconfirmed):
            if isinstance(event, StateChanged | ReplyCompleted) and event.state and key in event.state:
                value = event.state[key]
                return None if value is None else msgspec.json.encode(value)
        return self._projection.table.get(rows.state_key(slot.head.session, key))

    def state_bytes(self, slot: Slot, changes: dict[str, Any]) -> int:
        """The size of the session's K/V state with these changes: others may have changed it since they were thought of.

        Raises TableBroken.
        """
        size_bytes = slot.head.state_bytes
        for key, value in changes.items():
            raw = None if value is None else msgspec.json.encode(value)
            size_bytes += cost_bytes(key, raw) - cost_bytes(key, self.state_value(slot, key))
        return size_bytes


def _ended(event: Terminal) -> Ended:
    return Ended(event.turn, event.version, event.message_id, how_ended(event))
