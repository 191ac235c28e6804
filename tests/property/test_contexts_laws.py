"""What a command is decided in is the same whether what came before is confirmed or only appended; and whatever is asked in
whatever order, a session stays sound."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from chatstream.core import codec
from chatstream.core.commands import (
    AnyCommand,
    Approve,
    Cancel,
    ClearState,
    Edit,
    Message,
    Regenerate,
    Retry,
    SetState,
    Update,
)
from chatstream.core.concluding import Parked, Stepped
from chatstream.core.events import AnyEvent, MessageAccepted, MessageScheduled, Terminal
from chatstream.core.head import find_owed
from chatstream.core.ids import InputPosition, MessageId, Offset, PartitionNo, Seq
from chatstream.core.inbound import with_id
from chatstream.core.limits import Limits
from chatstream.core.session import (
    Completed,
    Decision,
    Duplicate,
    Failed,
    Interrupt,
    Nothing,
    Partial,
    Session,
    conclude,
    decide,
    evolve,
    fits,
    interrupt,
    react,
    resume,
    send_due,
    step,
)
from chatstream.engine.contexts import Contexts
from chatstream.engine.projection import Projection
from chatstream.engine.slots import Slots
from chatstream.table import rows
from chatstream.table.memory import MemoryTableStore
from tests.given import ALICE, NOW
from tests.property.values import texts

LIMITS = Limits(waiting_turns=3, scheduled_messages=2, state_bytes=20)
ids = st.sampled_from([MessageId(""), MessageId(""), MessageId(""), MessageId(""), MessageId("i1"), MessageId("i3")])
"""Most ids are made when the command comes; of the others many are known by then."""
seqs = st.integers(0, 8).map(Seq)
keys = st.sampled_from(["a", "b"])
values = st.none() | st.integers(0, 9) | st.text(max_size=6)


def _message(id: MessageId, text: str, on_busy: str, delay_s: float) -> Message:
    return Message(command_id=id, message_id=id, text=text, on_busy=on_busy, delay_s=delay_s)  # type: ignore[arg-type]  # one of the three


commands: st.SearchStrategy[AnyCommand] = st.one_of(
    st.builds(_message, ids, texts, st.sampled_from(["enqueue", "reject", "interrupt"]), st.sampled_from([0.0, 0.0, 60.0])),
    st.builds(Cancel, command_id=ids, turn=seqs, message_id=st.just(MessageId("")) | ids),
    st.builds(Retry, command_id=ids, turn=seqs),
    st.builds(Regenerate, command_id=ids),
    st.builds(Edit, command_id=ids, seq=seqs, text=texts),
    st.builds(Update, command_id=ids, title=st.none() | texts),
    st.builds(SetState, command_id=ids, key=keys, value=values, if_match=st.sampled_from(["", "*"])),
    st.builds(ClearState, command_id=ids, key=keys),
    st.builds(Approve, command_id=ids, name=st.just("pay"), decision=st.just("approved")),
)
happenings = st.one_of(
    st.builds(Completed, text=texts, state=st.none() | st.dictionaries(keys, values, max_size=2)),
    st.just(Failed(code="x")),
    st.just(Stepped(name="s#1", result=1)),
    st.just(Parked(name="pay#1", detail=None)),
    st.sampled_from(["end", "resume", "due"]),
)
lives = st.lists(st.tuples(commands | happenings, st.sampled_from([False, False, True])), min_size=8, max_size=30)
enough = settings(max_examples=400)
"""It takes several right commands in a row until what is unconfirmed makes a difference: a hundred lives find too few."""


class World:
    """A session in a writer's hands. events: all that was appended; lagging: confirms only when told."""

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []
        self._projection = Projection(PartitionNo(0), MemoryTableStore().open(PartitionNo(0)), cached=10)
        self._slots = Slots(self._projection, cached=10)
        self._contexts = Contexts(self._projection, self._slots, 1, LIMITS, lambda _: Partial("half"))
        self._slot = self._slots.open(ALICE)
        self._confirmed = 0
        self._inputs: list[InputPosition | None] = []

    @property
    def head(self) -> Session:
        return self._slot.head

    def ask(self, command: AnyCommand, at: InputPosition) -> Decision:
        """Decide a command and append what it leads to."""
        decision = decide(self.head, command, self._contexts.of(self._slot, command, at, NOW, sent_ms=0))
        if not isinstance(decision, Duplicate | Nothing):
            self.append(decision, at)
        return decision

    def append(self, event: AnyEvent, at: InputPosition | None = None) -> None:
        assert fits(self.head, event), (self.head, event)
        self._slot.appended(event, evolve(self.head, event, at))
        self.events.append(event)
        self._inputs.append(at)

    def confirm(self) -> None:
        """All that was appended is confirmed, and in the table."""
        for number in range(self._confirmed, len(self.events)):
            event, at, offset = self.events[number], self._inputs[number], Offset(number)
            after = evolve(self._projection.session(ALICE), event, at)
            assert self._projection.confirm(event, codec.write_event(event), offset, at, after)
            self._projection.carry(None, None, offset)
            self._slot.confirmed(event)
        self._projection.flush()
        self._confirmed = len(self.events)

    def happen(self, what: object) -> None:
        """What no command causes, where it can."""
        running = self.head.running
        if what == "due":
            self._send_due()
        elif what == "end":
            self._end()
        elif running is None or running.parked:
            return
        elif isinstance(what, Completed):
            size = self._contexts.state_bytes(self._slot, what.state) if what.state else None
            self.append(conclude(self.head, running, replace(what, state_bytes=size), NOW))
        elif isinstance(what, Failed):
            self.append(conclude(self.head, running, what, NOW))
        elif isinstance(what, Stepped | Parked):
            self.append(step(self.head, running, what, NOW))
        elif what == "resume":
            self.append(resume(self.head, running, NOW))

    def _end(self) -> None:
        for debt in react(self.head):
            owed = find_owed(self.head, debt.turn) if isinstance(debt, Interrupt) else None
            if isinstance(debt, Interrupt) and owed is not None:
                self.append(interrupt(self.head, owed, debt.by, Partial(), NOW))

    def _send_due(self) -> None:
        for one in self.head.scheduled[:1]:
            event = self._contexts.event_at(self._slot, one.seq)
            assert isinstance(event, MessageScheduled)
            self.append(send_due(self.head, event, NOW, LIMITS.waiting_turns))

    def state(self) -> dict[str, bytes]:
        return dict(rows.read_state(self._projection.table, ALICE))


def live(life: list[tuple[object, bool]]) -> tuple[World, World]:
    """The same life twice: in a world where everything is confirmed at once, and in one where that is late."""
    prompt, late = World(), World()
    for offset, (what, settles) in enumerate(life):
        if isinstance(what, AnyCommand):
            at = InputPosition(0, offset)
            what = with_id(what, MessageId(f"i{offset}"))
            assert prompt.ask(what, at) == late.ask(what, at)
        else:
            prompt.happen(what)
            late.happen(what)
        prompt.confirm()
        if settles:
            late.confirm()
    late.confirm()
    return prompt, late


@enough
@given(lives)
def test_what_is_decided_does_not_depend_on_when_what_came_before_is_confirmed(life: list[tuple[object, bool]]) -> None:
    prompt, late = live(life)
    assert prompt.events == late.events
    assert prompt.head == late.head
    assert prompt.state() == late.state()


@given(lives)
def test_a_session_stays_sound_whatever_is_asked_of_it(life: list[tuple[object, bool]]) -> None:
    world, _ = live(life)
    head, ends = world.head, [event for event in world.events if isinstance(event, Terminal)]
    assert max(Counter((end.turn, end.version) for end in ends).values(), default=0) <= 1
    owed = {one.turn for one in head.queue} | ({head.running.turn} if head.running else set())
    waiting = {one.seq for one in head.scheduled}
    begun = {event.seq for event in world.events if isinstance(event, MessageAccepted)}
    assert begun - owed <= {end.turn for end in ends}
    assert len(head.queue) <= LIMITS.waiting_turns
    assert len(waiting) <= LIMITS.scheduled_messages
    assert 0 <= head.first <= len(head.queue)
    assert head.state_bytes == sum(len(key.encode()) + len(raw) for key, raw in world.state().items())
