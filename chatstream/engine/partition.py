"""The single writer of one partition: synchronous code, driven by inbound records, acks, and the ends of turns.

The rules of this file:
- Nothing is awaited between deciding and appending; appends are pipelined and confirmed in the order they were made.
- Until an event is confirmed, nobody is shown it and nothing is started because of it.
- Whatever cannot be explained ends the writer (`Doubt`); a new one starts from the log. There is no other recovery.
"""

import logging
from collections import deque
from collections.abc import Sequence
from typing import Final

from chatstream.core import claims, codec, inbound
from chatstream.core.commands import AnyCommand, Erase
from chatstream.core.errors import BadCommand, LogError
from chatstream.core.events import (
    AnyEvent,
    ApprovalRequested,
    MessageScheduled,
    StepCompleted,
    ends_turn,
    is_public,
)
from chatstream.core.ids import InputPosition, Offset, Seq, SessionId, Version
from chatstream.core.limits import Limits
from chatstream.core.partitioner import partition_of
from chatstream.core.session import (
    Compacted,
    Decision,
    Duplicate,
    Nothing,
    Outcome,
    Parked,
    Stepped,
    decide,
    evolve,
)
from chatstream.engine.answers import Answers
from chatstream.engine.appends import Appends
from chatstream.engine.aside import Aside, place_of
from chatstream.engine.brake import Brake
from chatstream.engine.breakage import ends_on_broken_table
from chatstream.engine.contexts import Contexts
from chatstream.engine.copying import Copies
from chatstream.engine.debts import Debts
from chatstream.engine.deferred import Deferred
from chatstream.engine.desk import Refused, Repeated, answer_to
from chatstream.engine.erasing import Wipes
from chatstream.engine.gaps import fold_gap
from chatstream.engine.idle import Idle
from chatstream.engine.inputs import Inputs
from chatstream.engine.lookout import Lookout
from chatstream.engine.progress import Done, Progress
from chatstream.engine.projection import Projection
from chatstream.engine.slots import Slot, Slots
from chatstream.engine.surroundings import (
    FORWARDED_HEADER,
    WAITER_HEADER,
    Doubt,
    End,
    Moved,
    Pending,
    Surroundings,
    unsent,
)
from chatstream.engine.timers import Timers
from chatstream.log.port import Record

log = logging.getLogger(__name__)


class Partition:
    """The writer of one partition under one claim.

    Created when the claim is proven and everything before it folded. Ends through Surroundings.ended.
    """

    def __init__(
        self, projection: Projection, claim: claims.Claim, partitions: int, limits: Limits, around: Surroundings
    ) -> None:
        self.number: Final = projection.partition
        self.projection: Final = projection
        self.claim: Final = claim
        self.over = False
        self._partitions = partitions
        self._limits = limits
        self._around = around
        self._slots = Slots(projection, limits.cached_sessions)
        self._contexts = Contexts(projection, self._slots, partitions, limits, around.said)
        self._copies = Copies(self, projection, self._slots, limits)
        self._deferred = Deferred(limits)
        self._debts = Debts(self, projection, self._slots, self._copies, limits, around)
        self._appends = Appends(self, claim, projection.ownership, around)
        self._answers = Answers(self._appends, around)
        self._wipes = Wipes(self, self._appends, projection, limits)
        self._timers = Timers(self, self._appends, projection, self._slots, self._contexts, limits, around)
        self._idle = Idle(self.number, projection.table, limits, around)
        self._lookout = Lookout(self._appends, projection, limits, around)
        self._brake = Brake(self._appends, self._deferred, limits, around)
        self._progress = Progress(self, self._slots, self._contexts, limits, around)
        self._touched: dict[SessionId, None] = {}
        self._held_acks: deque[tuple[Pending, Offset]] | None = None
        self.inputs: Final = Inputs(projection.ownership.position)
        self._aside = Aside(self.number, self.inputs, limits, around, self._on_settled)

    # -- inbound records ------------------------------------------------------------------------------------------

    @ends_on_broken_table
    def on_records(self, records: Sequence[Record]) -> None:
        """Decide inbound records, in order."""
        now = self._around.now()
        for record in records:
            if self.over:
                return
            at = InputPosition(self.claim.generation, record.offset)
            if self.inputs.take(at):
                self._take(record, at, now)
                self.inputs.decided(at, self._appends.made)
        if not self.over:
            self._advance()
            self._brake.watch()

    def on_reached(self, end: Offset) -> None:
        """Below `end` there is nothing undecided but holes: the position moves over them like over decided records.

        Else, once retention has removed them, they could not be told from commands that were lost.
        """
        at = InputPosition(self.claim.generation, Offset(end - 1))
        if not self.over and self.inputs.take(at):
            self.inputs.decided(at, self._appends.made)
            self._advance()

    def _take(self, record: Record, at: InputPosition, now: str) -> None:
        found = dict(record.headers) if record.headers else {}
        waiter, forwarded = found.get(WAITER_HEADER), found.get(FORWARDED_HEADER)
        try:
            session = inbound.read_key(record.key)
            slot = self._slots.find(session)
            if slot is None:
                home = partition_of(record.key or b"", self._partitions)
                if home != self.number:
                    self._aside.forward(record, at, home, forwarded)
                    return
                slot = self._slots.open(session)
            command = inbound.read_command(record.value, place_of(self.number, at, forwarded), self._limits)
            if at <= slot.head.last_input:
                return  # decided already
            if isinstance(command, Erase) and command.idle_since:
                self._idle.came_back(session)
                if slot.head.erased:
                    self._answers.when_appended(waiter, Refused("session-erased"))
                    return  # it asks for no more than that
            if slot.head.erased:
                raise BadCommand("session-erased", "the session was erased")
        except BadCommand as error:
            self._bury(record, at, error, waiter)
            return
        if slot.head.copying is not None:
            self._deferred.add(session, record, at)
            self.inputs.defer(at)
        else:
            self._decide(slot, command, at, now, record.at_ms, waiter)

    def _decide(self, slot: Slot, command: AnyCommand, at: InputPosition, now: str, sent_ms: int, waiter: bytes | None) -> None:
        decision: Decision = decide(slot.head, command, self._contexts.of(slot, command, at, now, sent_ms))
        if isinstance(decision, Duplicate):
            self._answers.when_appended(waiter, Repeated(decision.seq))
        elif isinstance(decision, Nothing):
            self._answers.when_decided(waiter, Refused(decision.code), at)
        else:
            running = slot.head.running
            # A fork's first event is the new session's, whoever was asked for it.
            its = slot if decision.session == slot.head.session else self._slots.open(decision.session)
            self.append(its, decision, at)
            if waiter is not None:
                self._answers.when_appended(waiter, answer_to(decision, its.head))
            if running is not None and ends_turn(decision, running.turn):
                self._around.stop(slot.head.session)

    def _on_settled(self, at: InputPosition, doubt: Doubt | None) -> None:
        """What was set aside for this record was acknowledged, or it is doubtful whether it is there."""
        if self.over:
            return
        if doubt is not None:
            self._end(doubt)
        else:
            self.inputs.settled(at)
            self._advance()

    def _bury(self, record: Record, at: InputPosition, why: BadCommand, waiter: bytes | None) -> None:
        log.warning("partition %d, offset %d of chat.messages: %s: %s", self.number, record.offset, why.reason, why)
        self._answers.when_appended(waiter, Refused(why.reason))
        self._aside.bury(record, at, why)

    # -- appending ------------------------------------------------------------------------------------------------

    def append(self, slot: Slot, event: AnyEvent, input_at: InputPosition | None = None) -> None:
        """Log first: append, evolve in memory, and do not wait."""
        value = codec.write_event(event)
        after = evolve(slot.head, event, input_at)
        slot.appended(event, after)
        try:
            self._appends.event(event, value, after, input_at, self.inputs.position)
        except LogError as error:
            self._end(unsent("an append", error))

    @ends_on_broken_table
    def tick(self) -> None:
        """About once in Limits.mark_s: record a moved position that nothing carried, look for an overdue ack, for sessions that
        are to be erased, and for what others wrote.

        Alarms are looked after here, too: they ring by another clock than messages are due by.
        """
        self.on_alarm()
        if self.over:
            return
        oldest = self._appends.oldest
        if oldest is not None and self._around.clock_s() - oldest.at_s > self._limits.append_s:
            self._end(Doubt(f"no ack for {self._limits.append_s:g} s"))
        else:
            self._mark()
            self._idle.look()
            self._lookout.look()

    def on_end(self, end: Offset) -> None:
        """chat.events ends there, or did when that was asked for."""
        if not self.over and self._lookout.is_behind(end):
            self._mark(in_any_case=True)

    def _mark(self, in_any_case: bool = False) -> None:
        try:
            self._appends.mark(self.inputs.position, in_any_case)
        except LogError as error:
            self._end(unsent("a mark", error))

    # -- confirming -----------------------------------------------------------------------------------------------

    @ends_on_broken_table
    def on_ack(self, pending: Pending, offset: Offset | None, error: Exception | None) -> None:
        """An append's ack, in send order; `settle` follows after a batch of them."""
        if self.over:
            return
        if offset is None:
            self._end(Doubt(f"the outcome of an append is unknown: {error}"))
        elif self._held_acks is not None:
            self._held_acks.append((pending, offset))
        else:
            self._place_ack(pending, offset)

    def _place_ack(self, pending: Pending, offset: Offset) -> None:
        expected = self.projection.next_offset
        if pending is not self._appends.oldest or offset < expected:
            self._end(Doubt(f"an ack at offset {offset} came where {expected} was expected"))
        elif offset > expected:  # somebody wrote in between: whether that ends our claim is for the fold to say
            self._held_acks = deque([(pending, offset)])
            self._around.read_gap(expected, offset)
        else:
            self._confirm(pending, offset)

    @ends_on_broken_table
    def on_gap(self, records: Sequence[Record], stop: Offset) -> None:
        """What stood between two of our records; `stop` is the offset of the second."""
        if self.over or self._held_acks is None:
            return
        end = fold_gap(self.projection, records)
        if end is not None:
            self._end(end)
            return
        self.projection.next_offset = stop
        held, self._held_acks = self._held_acks, None
        while held and not self.over:
            pending, offset = held.popleft()
            self._place_ack(pending, offset)
            if self._held_acks is not None:
                self._held_acks.extend(held)
                break
        self.settle()

    def _confirm(self, pending: Pending, offset: Offset) -> None:
        event, value, after, projection = pending.event, pending.value, pending.after, self.projection
        if value is None:
            self._wipes.confirmed()
        elif event is not None and after is not None:
            if not projection.confirm(event, value, offset, pending.input_at, after):
                self._end(Doubt(f"our own event {event.session}/{event.seq} would not count"))
                return
            self._after_confirm(event, value, offset)
        projection.carry(pending.position, pending.published, offset)
        self._appends.confirm()

    def _after_confirm(self, event: AnyEvent, value: bytes, offset: Offset) -> None:
        self._slots.open(event.session).confirmed(event)
        if is_public(event):
            self._around.publish(offset, event, value)
        self._touched[event.session] = None
        self._debts.confirmed(event, len(value))
        if isinstance(event, MessageScheduled):
            self._timers.scheduled(event)
        elif isinstance(event, StepCompleted | ApprovalRequested):
            self._progress.confirmed(event)

    @ends_on_broken_table
    def settle(self) -> None:
        """After a batch of acks: table, then readers and answers, then what the sessions owe."""
        if self.over:
            return
        self.projection.flush()
        self._advance()
        if self.over:
            return
        self._progress.settle()
        touched, self._touched = self._touched, {}
        for session in touched:
            self._around.wake(session)
        for session in touched:
            self._debts.pay(session)
        if self._timers.behind and not self.over:
            self._timers.look()
        for fork in self._copies.go_on():
            self._decide_deferred(fork)
        self._wipes.go_on()
        self._brake.watch()

    def _decide_deferred(self, fork: SessionId) -> None:
        """The fork is whole, if only in memory: what it was asked meanwhile is decided before anything that comes now."""
        now = self._around.now()
        for record, at in self._deferred.release(fork):
            if self.over:
                return
            self._take(record, at, now)
            self.inputs.decided_late(at, self._appends.made)

    def _advance(self) -> None:
        self.inputs.advance(self._appends.confirmed)
        try:
            self._answers.give(self.inputs.position)
        except LogError as error:
            self._end(unsent("a mark", error))

    @ends_on_broken_table
    def on_alarm(self) -> None:
        """Messages may be due that were to be sent later."""
        if not self.over:
            self._timers.look()
            self._brake.watch()

    # -- turns ----------------------------------------------------------------------------------------------------

    @ends_on_broken_table
    def start(self) -> None:
        """Before the first inbound record: see Debts.start and Timers.start."""
        self._debts.start()
        if not self.over:
            self._timers.start()

    @ends_on_broken_table
    def finish(self, session: SessionId, turn: Seq, version: int, outcome: Outcome) -> None:
        """A turn's attempts are over."""
        if not self.over:
            self._progress.finish(session, turn, version, outcome)

    @ends_on_broken_table
    def record(self, session: SessionId, turn: Seq, version: Version, what: Stepped | Parked, done: Done) -> None:
        """A step of a turn has a result, or the turn waits for somebody."""
        if self.over:
            done(False)
        else:
            self._progress.record(session, turn, version, what, done)

    @ends_on_broken_table
    def compacted(self, session: SessionId, made_at: Seq, what: Compacted) -> None:
        """A summary of a session's beginning was made."""
        if not self.over:
            self._progress.compacted(session, made_at, what)

    # -- the end --------------------------------------------------------------------------------------------------

    def move(self) -> None:
        """The partition was revoked, or the node stops: leave a mark if it can still land, and end."""
        if not self.over:
            self._mark()
        self._end(Moved())

    def distrust(self, doubt: Doubt) -> None:
        """Something makes what is in flight doubtful."""
        self._end(doubt)

    def _end(self, end: End) -> None:
        if not self.over:
            self.over = True
            self._appends.forget()
            self._held_acks = None  # these hold appends too: see Appends.forget
            self._around.ended(end)

    @property
    def unconfirmed(self) -> int:
        """How many appends are not confirmed."""
        return len(self._appends)
