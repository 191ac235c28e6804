"""What the sessions of a partition owe the world, paid: turns are run, those are ended that something else
ended, and forks are made whole.

Everything is read off the confirmed state, so whatever happens in between, it is found again.
"""

from typing import assert_never

from chatstream.core.events import AnyEvent, MessageAccepted
from chatstream.core.head import find_owed
from chatstream.core.ids import Seq, SessionId
from chatstream.core.limits import Limits
from chatstream.core.session import (
    Copy,
    Failed,
    Interrupt,
    Partial,
    Run,
    conclude,
    interrupt,
    react,
    resume,
)
from chatstream.engine.copying import Copies
from chatstream.engine.kept import Kept
from chatstream.engine.projection import Projection
from chatstream.engine.slots import Appender, Slots
from chatstream.engine.surroundings import Surroundings
from chatstream.table import rows


class Debts:
    """The debts of one partition's sessions."""

    def __init__(
        self, writer: Appender, projection: Projection, slots: Slots, copies: Copies, limits: Limits, around: Surroundings
    ) -> None:
        self._writer = writer
        self._projection = projection
        self._slots = slots
        self._copies = copies
        self._limits = limits
        self._around = around
        self._kept: Kept[tuple[SessionId, Seq], MessageAccepted] = Kept(limits.waiting_bytes)

    def confirmed(self, event: AnyEvent, size_bytes: int) -> None:
        """An event was confirmed; a message's turn may run soon, or wait. size_bytes: of its JSON."""
        if isinstance(event, MessageAccepted):
            self._kept.add((event.session, event.seq), event, size_bytes)

    def start(self) -> None:
        """Before the first inbound record: end of the turns a dead process was in, then what the state owes.

        Raises TableBroken.
        """
        table = self._projection.table
        for key, value in list(table.scan(rows.RUNNING, rows.after_prefix(rows.RUNNING))):
            self._resume(SessionId(key[len(rows.RUNNING) :].decode()), value)
        for key, _ in list(table.scan(rows.OWED, rows.after_prefix(rows.OWED))):
            session = SessionId(key[len(rows.OWED) :].decode())
            slot = self._slots.find(session)
            if slot is None or not slot.pending:
                self.pay(session)

    def _resume(self, session: SessionId, value: bytes) -> None:
        slot, now = self._slots.open(session), self._around.now()
        running = slot.head.running
        if running is None or running.parked or value != rows.running_value(running.turn, running.version):
            self._projection.table.write([(rows.running_key(session), None)])
        elif running.resumed >= self._limits.resumes:
            crash_loop = Failed(code="crash-loop", detail=f"the process died {running.resumed} times in this turn")
            self._writer.append(slot, conclude(slot.head, running, crash_loop, now))
        else:
            self._writer.append(slot, resume(slot.head, running, now))

    def pay(self, session: SessionId) -> None:
        """Do what the session owes. Raises TableBroken."""
        for debt in react(self._projection.session(session)):
            if self._writer.over:
                return
            match debt:
                case Run():
                    self._run(session, debt)
                case Interrupt():
                    self._interrupt(session, debt)
                case Copy():
                    self._copies.owe(session)
                case _:
                    assert_never(debt)

    def _run(self, session: SessionId, debt: Run) -> None:
        running = self._slots.open(session).head.running
        if running is None or (running.turn, running.version) != (debt.turn, debt.version) or running.parked:
            return  # its end, or what it waits for, is appended already, only not confirmed
        self._around.run(session, running, self._kept.take((session, running.turn)))

    def _interrupt(self, session: SessionId, debt: Interrupt) -> None:
        slot = self._slots.open(session)
        owed = find_owed(slot.head, debt.turn)
        if owed is None or owed.version != debt.version:
            return
        is_running = owed is slot.head.running
        said = self._around.said(session) if is_running else Partial()
        self._writer.append(slot, interrupt(slot.head, owed, debt.by, said, self._around.now()))
        if is_running:
            self._around.stop(session)
