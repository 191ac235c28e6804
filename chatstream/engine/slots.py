"""Sessions in use: each with everything appended to it, confirmed or not, so that deciding never waits for an ack."""

from collections import deque
from typing import Protocol

import msgspec

from chatstream.core.events import AnyEvent, id_of
from chatstream.core.ids import MessageId, Seq, SessionId
from chatstream.core.session import Session
from chatstream.engine.projection import Projection


class Slot(msgspec.Struct, gc=False):
    """A session in use. head: with everything appended; unconfirmed: of that, what is not confirmed; ids: brought by it."""

    head: Session
    ids: dict[MessageId, Seq]
    unconfirmed: deque[AnyEvent]

    @property
    def pending(self) -> int:
        """How many events are not confirmed."""
        return len(self.unconfirmed)

    def appended(self, event: AnyEvent, after: Session) -> None:
        """An event was appended."""
        brought = id_of(event)
        if brought:
            self.ids[brought] = event.seq
        self.head = after
        self.unconfirmed.append(event)

    def confirmed(self, event: AnyEvent) -> None:
        """An appended event was confirmed: from now on the table knows it."""
        self.unconfirmed.popleft()
        brought = id_of(event)
        if brought:
            self.ids.pop(brought, None)


class Slots:
    """The slots of one writer. cached: how many are kept beside those with something unconfirmed."""

    def __init__(self, projection: Projection, cached: int) -> None:
        self._projection = projection
        self._cached = cached
        self._slots: dict[SessionId, Slot] = {}

    def find(self, session: SessionId) -> Slot | None:
        """The slot of a session in use."""
        return self._slots.get(session)

    def open(self, session: SessionId) -> Slot:
        """The slot of a session, read from the table when it is not in use. Raises TableBroken."""
        slot = self._slots.get(session)
        if slot is None:
            if len(self._slots) >= 2 * self._cached:
                self._slots = {name: slot for name, slot in self._slots.items() if slot.pending}
            slot = self._slots[session] = Slot(self._projection.session(session), {}, deque())
        return slot

    def seq_of(self, slot: Slot, message_id: MessageId) -> Seq | None:
        """The seq of the event that brought an id to the slot's session, confirmed or not. Raises TableBroken."""
        if slot.head.last_seq == 0:
            return None
        unconfirmed = slot.ids.get(message_id)
        return unconfirmed if unconfirmed is not None else self._projection.seq_of(slot.head.session, message_id)


class Appender(Protocol):
    """The partition's writer. over: it has ended."""

    over: bool

    def append(self, slot: Slot, event: AnyEvent) -> None:
        """Append an event that no command caused."""
