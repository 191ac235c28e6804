"""What Hypothesis makes: commands, whole lives of a session as `decide` made them, and records of the events topic."""

from typing import NamedTuple

from hypothesis import strategies as st

from chatstream.core.commands import AnyCommand, Cancel, Message
from chatstream.core.events import AnyEvent, MessageAccepted, ReplyCompleted, TurnRestarted, brought_id
from chatstream.core.ids import InputPosition, MessageId, Seq, Version
from chatstream.core.session import (
    Completed,
    Context,
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
    interrupt,
    react,
    resume,
)
from tests.given import ALICE

WAITING_TURNS = 3

ids = st.sampled_from([MessageId(f"i{n}") for n in range(12)])
seqs = st.integers(0, 20).map(Seq)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
blocks = st.lists(st.dictionaries(st.text(max_size=4), json_values, max_size=3), max_size=2)
texts = st.text(min_size=1, max_size=20)
usages = st.none() | st.fixed_dictionaries({"input_tokens": st.integers(-1, 10**10), "output_tokens": st.integers(-1, 10**10)})

messages = st.builds(
    lambda id, text, user, metadata, on_busy: Message(
        command_id=id, message_id=id, text=text, user=user, metadata=metadata, on_busy=on_busy
    ),
    ids,
    texts,
    st.text(max_size=4),
    st.none() | st.dictionaries(st.text(max_size=3), json_values, max_size=3),
    st.sampled_from(["enqueue", "reject", "interrupt"]),
)
cancels = st.builds(Cancel, command_id=ids, turn=seqs, message_id=st.just(MessageId("")) | ids)
commands: st.SearchStrategy[AnyCommand] = messages | cancels

outcomes = st.builds(Completed, text=texts, usage=usages, state_bytes=st.none() | st.integers(0, 9)) | st.builds(
    Failed, code=st.just("responder-error")
)
steps = st.one_of(commands, outcomes, st.sampled_from(["settle", "resume", "restart"]))
lives = st.lists(st.tuples(steps, st.integers(0, 999)), max_size=40)


class Happened(NamedTuple):
    """One event with the session before and after it. input_at: the place of the command that caused it, if one did."""

    before: Session
    event: AnyEvent
    input_at: InputPosition | None
    after: Session


def live(life: list[tuple[object, int]]) -> list[Happened]:
    """A session's life: commands come, attempts end, processes die; time jumps as it likes, back too."""
    session, known, happened = Session(ALICE), dict[MessageId, Seq](), list[Happened]()
    for offset, (step, millis) in enumerate(life):
        now = f"2026-01-02T03:04:05.{millis:03}Z"
        place = InputPosition(0, offset) if isinstance(step, Message | Cancel) else None
        decision = _step(session, step, now, place, known, happened)
        if decision is None or isinstance(decision, Duplicate | Nothing):
            continue
        after = evolve(session, decision, place)
        happened.append(Happened(session, decision, place, after))
        if brought_id(decision):
            known[brought_id(decision)] = decision.seq
        session = after
    return happened


def _step(
    session: Session,
    step: object,
    now: str,
    place: InputPosition | None,
    known: dict[MessageId, Seq],
    happened: list[Happened],
) -> Decision | None:
    if isinstance(step, Message | Cancel):
        assert place is not None
        target = known.get(step.message_id) if isinstance(step, Cancel) else None
        context = Context(place, now, known.get(step.command_id), target, Partial("half"), waiting_turns=WAITING_TURNS)
        return decide(session, step, context)
    if step == "restart":
        return _restart(session, now, happened)
    if session.running is None:
        return None
    if isinstance(step, Completed | Failed):
        return conclude(session, session.running, step, now)
    if step == "resume":
        return resume(session, session.running, now)
    debt = react(session)[0]
    return interrupt(session, session.running, debt.by, Partial(), now) if isinstance(debt, Interrupt) else None


def _restart(session: Session, now: str, happened: list[Happened]) -> TurnRestarted | None:
    """The first turn again, if it has ended and the queue has room, as a later version's decide would do it."""
    first = next((one.event for one in happened if isinstance(one.event, MessageAccepted)), None)
    owed = {one.turn for one in session.queue} | ({session.running.turn} if session.running else set())
    if first is None or first.turn in owed or len(session.queue) >= WAITING_TURNS:
        return None
    version = max(one.event.version for one in happened if one.event.turn == first.turn) + 1
    return TurnRestarted(
        session=ALICE,
        seq=Seq(session.last_seq + 1),
        time=max(now, session.updated),
        turn=first.turn,
        version=Version(version),
        message_id=first.message_id,
    )


def answers(happened: list[Happened]) -> list[ReplyCompleted]:
    """The complete answers of a life."""
    return [one.event for one in happened if isinstance(one.event, ReplyCompleted)]
