"""What running turns come to, made into events: their ends, on the way their steps and what they ask people, afterwards
summaries."""

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from chatstream.core import codec
from chatstream.core.events import AnyEvent, ApprovalRequested, ContextCompacted, MessageAccepted, StepCompleted, Terminal
from chatstream.core.head import Running
from chatstream.core.ids import Seq, SessionId, Version
from chatstream.core.limits import Limits
from chatstream.core.session import Compacted, Completed, Failed, Outcome, Parked, Stepped, compact, conclude, step
from chatstream.engine.contexts import Contexts
from chatstream.engine.slots import Appender, Slot, Slots
from chatstream.engine.surroundings import Surroundings

Done = Callable[[bool], None]
"""Told when a step of that name is confirmed; with False when its turn is over and nothing was recorded."""

Step = tuple[SessionId, Seq, Version, str]
"""Session, turn, version and name of a step or an approval: recorded once."""


SINCE_MOST: Final = 1_000
"""Events that may have happened while a summary was made: more are not looked through, the next summary knows of them."""


class Progress:
    """The running turns of one partition. A turn's call is told of a step only when that is confirmed and in the table."""

    def __init__(self, writer: Appender, slots: Slots, contexts: Contexts, limits: Limits, around: Surroundings) -> None:
        self._writer = writer
        self._slots = slots
        self._contexts = contexts
        self._limits = limits
        self._around = around
        self._waiting: dict[Step, list[Done]] = {}
        self._confirmed: list[StepCompleted | ApprovalRequested] = []

    def _running(self, slot: Slot, turn: Seq, version: int) -> Running | None:
        """The slot's running turn, if it is that one: it may have been cancelled meanwhile."""
        running = slot.head.running
        return running if running is not None and (running.turn, running.version) == (turn, version) else None

    def finish(self, session: SessionId, turn: Seq, version: int, outcome: Outcome) -> None:
        """A turn's attempts are over. Raises TableBroken."""
        slot = self._slots.open(session)
        running = self._running(slot, turn, version)
        if running is None or running.parked:  # parked: its code went on without an answer to what it asked
            return
        if isinstance(outcome, Completed) and outcome.state:
            outcome = replace(outcome, state_bytes=self._contexts.state_bytes(slot, outcome.state))
        event = conclude(slot.head, running, outcome, self._around.now())
        if len(codec.write_event(event)) > self._limits.event_bytes:
            too_large = Failed(code="reply-too-large", detail=f"the reply is larger than {self._limits.event_bytes} bytes")
            event = conclude(slot.head, running, too_large, self._around.now())
        self._writer.append(slot, event)

    def record(self, session: SessionId, turn: Seq, version: Version, what: Stepped | Parked, done: Done) -> None:
        """A step of a turn has a result, or the turn waits for somebody. Raises TableBroken.

        The attempt before may have given up while its record of the same step was on its way: the first one counts.
        """
        slot = self._slots.open(session)
        running, name = self._running(slot, turn, version), (session, turn, version, what.name)
        if running is None:
            done(False)
        elif running.parked and isinstance(what, Parked):
            return  # one question at a time: when it is decided the responder runs again, and asks the other one then
        elif name in self._waiting:
            self._waiting[name].append(done)
        elif isinstance(what, Stepped) and self._contexts.is_recorded(*name):
            done(True)
        else:
            self._waiting[name] = [done]
            self._writer.append(slot, step(slot.head, running, what, self._around.now()))

    def compacted(self, session: SessionId, made_at: Seq, what: Compacted) -> None:
        """A summary was made of the conversation as it was with the event made_at. Raises TableBroken."""
        slot = self._slots.open(session)
        if slot.head.erased or slot.head.last_seq - made_at > SINCE_MOST:
            return
        since = (self._contexts.event_at(slot, Seq(seq)) for seq in range(made_at + 1, slot.head.last_seq + 1))
        event = compact(slot.head, what, self._around.now())
        if len(codec.write_event(event)) <= self._limits.event_bytes and not any(map(_changes_the_past, since)):
            self._writer.append(slot, event)

    def confirmed(self, event: StepCompleted | ApprovalRequested) -> None:
        """An appended step was confirmed; it is told with `settle`, when it is in the table. A fork's copy is nobody's."""
        if not event.copy:
            self._confirmed.append(event)

    def settle(self) -> None:
        """Tell what is confirmed to whoever recorded it, and end the calls of turns that are parked now."""
        if not self._confirmed:
            return
        confirmed, self._confirmed = self._confirmed, []
        for event in confirmed:
            if isinstance(event, ApprovalRequested):
                self._around.stop(event.session)
            for done in self._waiting.pop((event.session, event.turn, event.version, event.name)):
                done(True)


def _changes_the_past(event: AnyEvent | None) -> bool:
    """Is a summary no longer true that was made before this, or no longer needed?"""
    if isinstance(event, MessageAccepted):
        return event.replaces > 0
    return isinstance(event, ContextCompacted) or (isinstance(event, Terminal) and event.version > 1)
