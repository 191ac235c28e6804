"""Summaries in the making: when, of what, how they fail, and that no turn ever waits for one. In virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import pytest

from chatstream.core import codec
from chatstream.core.errors import TableBroken
from chatstream.core.events import AnyEvent
from chatstream.core.ids import Offset, PartitionNo, Seq, SessionId, Version
from chatstream.core.limits import Limits
from chatstream.core.session import Compacted, Outcome, Session, evolve
from chatstream.engine.compacting import RESTING_MOST, Compactions
from chatstream.engine.feed import Feed
from chatstream.engine.turns import Job, Turns
from chatstream.respond.port import Past, Reply, Turn
from chatstream.table import rows
from chatstream.table.memory import MemoryTable, MemoryTableStore
from tests.given import ALICE, accepted, completed, updated
from tests.rows_of import changes
from tests.unit.test_prompt import pairs, texts
from tests.virtual import virtual

LIMITS = Limits(prompt_tokens=100, compact_s=30.0, compact_rest_s=10.0, compact_rest_most_s=35.0, compacts=2, calls=3)


class Desk:
    """The partition's side: rows, and what it was told."""

    def __init__(self, *events: AnyEvent) -> None:
        self.table: MemoryTable = MemoryTableStore().open(PartitionNo(0))
        self.heads: dict[SessionId, Session] = {}
        self.made: list[tuple[SessionId, Seq, Compacted]] = []
        self.errors: list[TableBroken] = []
        self.outcomes: list[Outcome] = []
        for event in events:
            self.add(event)

    def add(self, event: AnyEvent) -> None:
        head = self.heads.get(event.session, Session(event.session))
        after = self.heads[event.session] = evolve(head, event)
        found = changes(head, event, codec.write_event(event), Offset(0), after)
        self.table.write([*found, rows.write_head(after)])

    def compacted(self, session: SessionId, made_at: Seq, what: Compacted) -> None:
        self.made.append((session, made_at, what))

    def broken(self, error: TableBroken) -> None:
        self.errors.append(error)

    def started(self, *which: object) -> None: ...

    def record(self, *which: object) -> asyncio.Future[None]:
        raise AssertionError(f"nobody takes a step here: {which}")

    def finish(self, *which: Any) -> None:
        self.outcomes.append(which[-1])


class Summarist:
    """A responder whose summaries are as the test says. pasts: what it was given."""

    def __init__(self, summary: Callable[[], Any] = lambda: "in short") -> None:
        self.summary = summary
        self.pasts: list[Past] = []
        self.held: asyncio.Event | None = None

    async def respond(self, turn: Turn) -> AsyncIterator[str | Reply]:
        yield f"{len(turn.history)}"

    async def compact(self, past: Past) -> Any:
        self.pasts.append(past)
        if self.held is not None:
            await self.held.wait()
        return self.summary()

    async def close(self) -> None: ...


def crash(error: BaseException) -> None:
    raise AssertionError("a bug of ours") from error


def compactions(responder: Any, limits: Limits = LIMITS) -> Compactions:
    return Compactions(responder, limits, crash)


def long_ago(count: int = 8) -> list[AnyEvent]:
    """So many answered turns of about ten tokens each."""
    return pairs(count, "four")[:-1]


@virtual
async def test_the_oldest_half_is_summarised_and_recorded_with_where_it_was_made() -> None:
    desk, responder = Desk(*long_ago(), updated(17, system="be brief", model="small")), Summarist()
    compactions(responder).offer(desk, ALICE)
    await asyncio.sleep(1)
    (past,) = responder.pasts
    assert (past.session, past.system, past.model) == (ALICE, "be brief", "small")
    assert texts(list(past.history))[:2] == ["u:four1", "a:four2"]
    kept = 8 - len(past.history) // 2
    assert kept == 3
    assert desk.made == [(ALICE, 17, Compacted(through=Seq(2 * (8 - kept)), text="in short"))]


@virtual
async def test_a_summary_tells_its_model_and_what_it_has_cost() -> None:
    reply = Reply(text="in short", model="small", usage={"input_tokens": 5, "output_tokens": 2})
    desk = Desk(*long_ago())
    compactions(Summarist(lambda: reply)).offer(desk, ALICE)
    await asyncio.sleep(1)
    (_, _, made) = desk.made[0]
    assert (made.text, made.model, made.usage) == ("in short", "small", {"input_tokens": 5, "output_tokens": 2})


@virtual
async def test_one_summary_of_a_session_at_a_time_and_no_more_than_allowed_in_all() -> None:
    responder = Summarist()
    responder.held = asyncio.Event()
    desk = Desk(*long_ago())
    some = compactions(responder)
    for session in ("alice", "alice", "bob", "carol"):
        for event in long_ago():
            desk.add(event.__replace__(session=SessionId(session))) if session != "alice" else None
        some.offer(desk, SessionId(session))
    await asyncio.sleep(1)
    assert ([past.session for past in responder.pasts], len(some)) == (["alice", "bob"], LIMITS.compacts)
    responder.held.set()
    await asyncio.sleep(1)
    assert (len(desk.made), len(some)) == (2, 0)


def no_summary() -> Any:
    raise ValueError("no")


def leaves() -> Any:
    raise SystemExit(1)


def cancels() -> Any:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    "summary",
    [no_summary, leaves, cancels, lambda: " \n", lambda: None, lambda: 5, lambda: "x" * 101, lambda: Reply(), lambda: "\ud800",
     lambda: Reply(text="x", usage={"n": "x" * 20_000})],
)  # fmt: skip
def test_what_is_no_summary_is_not_recorded_and_tried_again_after_a_growing_rest(summary: Callable[[], Any]) -> None:
    @virtual
    async def scene() -> None:
        desk, responder = Desk(*long_ago()), Summarist(summary)
        some, loop, asked_s = compactions(responder), asyncio.get_running_loop(), [0.0]
        while loop.time() < 120:
            some.offer(desk, ALICE)
            await asyncio.sleep(0.5)
            if len(responder.pasts) > len(asked_s):
                asked_s.append(loop.time() - 0.5)
        assert desk.made == []
        # 10 s, 20 s, then 35 s, which is the most.
        assert asked_s == pytest.approx([0, 10, 30, 65, 100], abs=0.6)
        responder.summary = lambda: "in short"
        await asyncio.sleep(40)
        some.offer(desk, ALICE)
        await asyncio.sleep(1)
        assert len(desk.made) == 1
        responder.summary = summary
        some.offer(desk, ALICE)
        await asyncio.sleep(11)
        some.offer(desk, ALICE)
        await asyncio.sleep(1)
        assert len(responder.pasts) == 5 + 1 + 2  # after a success the rests begin anew

    scene()


@virtual
async def test_a_summary_of_the_longest_length_is_recorded() -> None:
    desk = Desk(*long_ago())
    compactions(Summarist(lambda: "x" * 100)).offer(desk, ALICE)
    await asyncio.sleep(1)
    assert len(desk.made) == 1


@virtual
async def test_a_summary_that_takes_too_long_is_ended() -> None:
    responder = Summarist()
    responder.held = asyncio.Event()
    desk = Desk(*long_ago())
    some = compactions(responder)
    some.offer(desk, ALICE)
    await asyncio.sleep(LIMITS.compact_s - 1)
    assert len(some) == 1
    await asyncio.sleep(2)
    assert (len(some), desk.made) == (0, [])


@virtual
async def test_the_rests_of_more_sessions_than_are_remembered_are_forgotten_the_oldest_first() -> None:
    some = compactions(Summarist())
    for number in range(RESTING_MOST + 1):
        some._rest(SessionId(f"s{number}"))
    assert len(some._rests) == RESTING_MOST
    assert "s0" not in some._rests
    assert f"s{RESTING_MOST}" in some._rests


@virtual
async def test_what_is_short_or_has_been_summarised_is_left_alone() -> None:
    desk, responder = Desk(*pairs(1)[:-1]), Summarist()
    some = compactions(responder)
    some.offer(desk, ALICE)
    await asyncio.sleep(1)
    assert (responder.pasts, desk.made, some._rests) == ([], [], {})


@virtual
async def test_a_table_that_cannot_be_read_is_told() -> None:
    desk = Desk(*long_ago())
    desk.table.write([(rows.entry_key(ALICE, 3), b"\0" * 8 + b"{")])
    compactions(Summarist()).offer(desk, ALICE)
    await asyncio.sleep(1)
    assert len(desk.errors) == 1


@virtual
async def test_a_partition_that_moved_takes_its_summaries_along() -> None:
    responder = Summarist()
    responder.held = asyncio.Event()
    desk, other = Desk(*long_ago()), Desk()
    some = compactions(responder)
    some.offer(desk, ALICE)
    await asyncio.sleep(1)
    some.abandon(other)
    assert len(some) == 1
    some.abandon(desk)
    assert len(some) == 0
    responder.held.set()
    await asyncio.sleep(1)
    assert desk.made == []


@virtual
async def test_responders_without_a_summary_are_never_asked() -> None:
    class Plain:
        respond = Summarist.respond

    some = compactions(Plain())
    assert not some.wanted(1.0)
    some.offer(Desk(*long_ago()), ALICE)
    assert len(some) == 0


@pytest.mark.parametrize(("share", "fill", "wanted"), [(0.8, 0.79, False), (0.8, 0.8, True), (2.0, 1.0, False)])
def test_a_summary_is_wanted_from_the_set_share_on(share: float, fill: float, wanted: bool) -> None:
    @virtual
    async def scene() -> None:
        assert compactions(Summarist(), Limits(compact_share=share)).wanted(fill) is wanted

    scene()


# -- beside the turns ---------------------------------------------------------------------------------------------


def turns(responder: Any, limits: Limits = LIMITS) -> Turns:
    return Turns(responder, limits, Feed(10), Random(1), crash)


def job(desk: Desk, turn: int = 17, session: str = "alice") -> Job:
    event = accepted(turn).__replace__(session=SessionId(session))
    return Job(desk, SessionId(session), Seq(turn), Version(1), event)


@virtual
async def test_a_turn_that_found_its_window_full_asks_for_a_summary_after_its_end() -> None:
    desk, responder = Desk(*long_ago(), accepted(17)), Summarist()
    turns(responder).run(job(desk))
    await asyncio.sleep(1)
    assert (len(desk.outcomes), len(desk.made)) == (1, 1)


@virtual
async def test_a_turn_with_room_in_its_window_asks_for_none() -> None:
    desk, responder = Desk(*pairs(2, "four")), Summarist()
    turns(responder).run(job(desk, 5))
    await asyncio.sleep(1)
    assert (len(desk.outcomes), responder.pasts) == (1, [])


@virtual
async def test_a_turn_is_answered_while_its_sessions_summary_is_made() -> None:
    desk, responder = Desk(*long_ago(), accepted(17)), Summarist()
    responder.held = asyncio.Event()
    all_turns = turns(responder)
    all_turns.run(job(desk))
    await asyncio.sleep(1)
    assert len(all_turns.compactions) == 1
    desk.add(completed(18, 17))
    desk.add(accepted(19))
    all_turns.run(job(desk, 19))
    await asyncio.sleep(1)
    assert (len(desk.outcomes), len(all_turns.compactions)) == (2, 1)


@virtual
async def test_a_turn_that_needs_its_call_takes_it_from_a_summary() -> None:
    desk, responder = Desk(*long_ago(), accepted(17)), Summarist()
    responder.held = asyncio.Event()
    all_turns = turns(responder, Limits(prompt_tokens=100, calls=1))
    all_turns.run(job(desk))
    await asyncio.sleep(1)
    assert len(all_turns.compactions) == 1
    all_turns.run(job(desk, 1, "bob"))
    await asyncio.sleep(1)
    assert (len(desk.outcomes), len(all_turns.compactions), desk.made) == (2, 0, [])


@virtual
async def test_no_summary_is_begun_while_a_turn_waits_for_a_call_or_the_node_stops() -> None:
    desk, responder = Desk(*long_ago(), accepted(17)), Summarist()
    all_turns = turns(responder, Limits(prompt_tokens=100, calls=1))
    all_turns.run(job(desk))
    all_turns.run(job(desk, 1, "bob"))
    await asyncio.sleep(1)
    assert (len(desk.outcomes), responder.pasts) == (2, [])
    all_turns.run(job(desk))
    await all_turns.drain(5.0)
    await asyncio.sleep(1)
    assert (len(desk.outcomes), responder.pasts) == (3, [])


@virtual
async def test_summaries_end_with_their_partition() -> None:
    desk, responder = Desk(*long_ago(), accepted(17)), Summarist()
    responder.held = asyncio.Event()
    all_turns = turns(responder)
    all_turns.run(job(desk))
    await asyncio.sleep(1)
    all_turns.abandon(desk)
    assert len(all_turns.compactions) == 0
