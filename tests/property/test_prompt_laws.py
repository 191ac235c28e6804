"""What the model sees, against the rules spelled out once more in the plainest way, for any life of a session."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from chatstream.core.events import AnyEvent, ContextCompacted, MessageAccepted, ReplyCompleted, ReplyFailed, Terminal
from chatstream.core.head import find_owed
from chatstream.core.ids import Seq
from chatstream.core.prompt import SUMMARY, Rewind, oldest_part, window
from chatstream.core.session import Session, evolve
from tests.given import ALICE, accepted, cancelled, compacted, completed, failed, restarted

MANY = 1_000_000
Op = tuple[str, int]

ops = st.lists(
    st.tuples(st.sampled_from(["say", "say", "end", "end", "fail", "stop", "again", "edit", "compact"]), st.integers(0, 30)),
    max_size=40,
)


class Life:
    """Events made by operations, as far as each makes sense: the session's own fold says what does."""

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []
        self.head = Session(ALICE)

    def add(self, event: AnyEvent) -> None:
        self.events.append(event)
        self.head = evolve(self.head, event)

    def ends(self) -> list[Terminal]:
        return [event for event in self.events if isinstance(event, Terminal)]

    def do(self, op: str, number: int) -> None:
        seq, running = self.head.last_seq + 1, self.head.running
        if op == "say":
            self.add(accepted(seq, f"q{seq}"))
        elif op in ("end", "fail", "stop") and running is not None:
            if op == "stop" or running.interrupted_by:
                self.add(cancelled(seq, running.turn, f"c{seq}", version=running.version))
            elif op == "fail":
                self.add(failed(seq, running.turn, version=running.version))
            else:
                self.add(completed(seq, running.turn, f"a{seq}", version=running.version))
        elif op == "again" and (ends := self.ends()):
            end = ends[number % len(ends)]
            version = max(one.version for one in ends if one.turn == end.turn) + 1
            if find_owed(self.head, end.turn) is None and not taken_back(self.events, end.turn, seq):
                self.add(restarted(seq, end.turn, version))
        elif op == "edit" and (said := [one.seq for one in self.events if isinstance(one, MessageAccepted)]):
            place = said[number % len(said)]
            if not taken_back(self.events, place, seq):
                self.add(accepted(seq, f"e{seq}", replaces=place))
        elif op == "compact" and (first := sorted(first_ends(self.events).values())):
            self.add(compacted(seq, first[number % len(first)], f"s{seq}"))


def edits(events: Sequence[AnyEvent]) -> list[Rewind]:
    return [Rewind(one.replaces, one.seq) for one in events if isinstance(one, MessageAccepted) and one.replaces]


def taken_back(events: Sequence[AnyEvent], turn: int, before: int) -> bool:
    return any(edit.replaced <= turn < edit.edit < before for edit in edits(events))


def first_ends(events: Sequence[AnyEvent]) -> dict[int, int]:
    """Turn to the seq of its first end."""
    found: dict[int, int] = {}
    for event in events:
        if isinstance(event, Terminal):
            found.setdefault(event.turn, event.seq)
    return found


def latest(events: Sequence[AnyEvent], turn: int) -> Terminal:
    """The turn's newest answer, else its newest end."""
    ends = [one for one in events if isinstance(one, Terminal) and one.turn == turn]
    answers = [one for one in ends if isinstance(one, ReplyCompleted)]
    return (answers or ends)[-1]


def pair(turn: int, events: Sequence[AnyEvent], end: Terminal) -> list[str]:
    asked = events[turn - 1]
    assert isinstance(asked, MessageAccepted)
    return [asked.text] if isinstance(end, ReplyFailed) else [asked.text, end.text]


def plainly(events: Sequence[AnyEvent], turn: int) -> list[str]:
    """The rules, forwards and without a budget."""
    first = first_ends(events)
    limit = first.get(turn, len(events) + 1)
    there = [one for one, end in first.items() if end < limit and not taken_back(events, one, len(events) + 1)]
    summaries = [
        one
        for one in events
        if isinstance(one, ContextCompacted)
        and one.through < limit
        and not any(edit.replaced <= one.through and edit.edit > one.seq for edit in edits(events))
    ]
    through, made = (summaries[-1].through, summaries[-1].seq) if summaries else (0, 0)
    said = [SUMMARY + summaries[-1].text] if summaries else []
    anew = [end for one in there if first[one] <= through and (end := latest(events, one)).seq > made]
    for end in sorted(anew, key=lambda end: end.seq):
        said += pair(end.turn, events, end) if isinstance(end, ReplyCompleted) else []
    for one in sorted((one for one in there if first[one] > through), key=first.__getitem__):
        said += pair(one, events, latest(events, one))
    return said


def lived(done: list[Op]) -> Life:
    life = Life()
    for op, number in done:
        life.do(op, number)
    return life


def seen(events: Sequence[AnyEvent], turn: int, budget_tokens: int = MANY) -> list[str]:
    messages = {one.seq: one for one in events if isinstance(one, MessageAccepted)}
    found = window(reversed(events), messages[Seq(turn)], budget_tokens, messages.get, edits(events))
    assert 0 <= found.fill <= 1
    return [one.text for one in found.said]


@given(ops)
def test_the_running_turn_sees_what_the_rules_say(done: list[Op]) -> None:
    life = lived(done)
    if life.head.running is not None and not life.head.running.interrupted_by:
        assert seen(life.events, life.head.running.turn) == plainly(life.events, life.head.running.turn)


@given(ops, st.integers(0, 200))
def test_with_little_room_it_sees_the_end_of_that(done: list[Op], budget_tokens: int) -> None:
    life = lived(done)
    if life.head.running is None or life.head.running.interrupted_by:
        return
    whole, some = plainly(life.events, life.head.running.turn), seen(life.events, life.head.running.turn, budget_tokens)
    rest = some[1:] if some and some[0].startswith(SUMMARY) else some
    assert rest == whole[len(whole) - len(rest) :]
    assert sum(len(one) + 16 for one in some) <= 4 * budget_tokens


@settings(max_examples=300)
@given(ops, st.integers(0, 60))
def test_a_summary_takes_the_place_of_just_what_it_was_made_of(done: list[Op], keep_tokens: int) -> None:
    life = lived(done)
    messages = {one.seq: one for one in life.events if isinstance(one, MessageAccepted)}
    newest = Seq(life.head.last_seq)
    part = oldest_part(reversed(life.events), newest, keep_tokens, MANY, messages.get, edits(life.events))
    if part is None:
        return
    told = [one.text for one in part.said]
    then = [*life.events, accepted(newest + 1, "next")]
    before = plainly(then, newest + 1)
    assert before[: len(told)] == told
    after = [*life.events, compacted(newest + 1, part.through, "short"), accepted(newest + 2, "next")]
    assert seen(after, newest + 2) == [SUMMARY + "short", *before[len(told) :]]
