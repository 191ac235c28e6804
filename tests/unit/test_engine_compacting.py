"""Summaries as the writer records them: only those that are still true."""

from collections.abc import AsyncIterator

import pytest

from chatstream.core import codec
from chatstream.core.commands import Edit
from chatstream.core.events import AnyEvent, ContextCompacted, ReplyCompleted
from chatstream.core.ids import MessageId, Seq
from chatstream.core.limits import Limits
from chatstream.core.session import Compacted
from chatstream.engine import progress
from chatstream.log.simulated import SimulatedBroker
from chatstream.respond.port import Past, Reply, Turn
from tests.given import ALICE, accepted, compacted, completed, erased, restarted, stepped
from tests.one_node import one_node, say, serving, until
from tests.surroundings import Bench
from tests.unit.test_node_steps import told
from tests.virtual import virtual

GIVEN: list[AnyEvent] = [accepted(1), completed(2, 1), accepted(3), completed(4, 3)]


def summarise(bench: Bench, made_at: int = 4, through: int = 2, text: str = "in short") -> None:
    """A summary of what was there with the event made_at comes in."""
    bench.writer.compacted(ALICE, Seq(made_at), Compacted(through=Seq(through), text=text, usage={"input_tokens": 3}))


def test_a_summary_is_recorded_and_confirmed_as_everything_else_is() -> None:
    bench = Bench(GIVEN)
    summarise(bench)
    assert bench.told() == ["append alice/5 context.compacted"]
    assert bench.around.events == [compacted(5, 2, usage={"input_tokens": 3})]
    bench.ack()
    assert bench.told() == ["wake alice"]
    assert bench.projection.session(ALICE).input_tokens == 3


def test_a_summary_is_recorded_while_a_turn_runs() -> None:
    bench = Bench([*GIVEN, accepted(5)])
    summarise(bench)
    bench.ack()
    assert bench.told() == ["append alice/6 context.compacted", "wake alice", "run alice/5"]


@pytest.mark.parametrize(
    "since",
    [
        [accepted(5, replaces=1)],
        [accepted(5), accepted(6, replaces=3)],
        [restarted(5, 1), completed(6, 1, version=2)],
        [erased(5)],
        [compacted(5, 2)],
    ],
)
def test_a_summary_that_is_no_longer_true_is_dropped(since: list[AnyEvent]) -> None:
    bench = Bench([*GIVEN, *since])
    summarise(bench)
    assert bench.told() == []


@pytest.mark.parametrize(
    "since", [[accepted(5), completed(6, 5)], [restarted(5, 3)], [accepted(5), stepped(6, 5, "a#1"), completed(7, 5)]]
)
def test_a_summary_is_recorded_whatever_else_happened_since(since: list[AnyEvent]) -> None:
    bench = Bench([*GIVEN, *since])
    summarise(bench)
    assert bench.told() == [f"append alice/{4 + len(since) + 1} context.compacted"]


def test_what_is_appended_and_not_confirmed_counts_too() -> None:
    bench = Bench(GIVEN)
    bench.take('{"type":"edit","seq":3,"text":"instead"}')
    bench.told()
    summarise(bench)
    assert bench.told() == []


@pytest.mark.parametrize("more", [0, 1])
def test_a_summary_is_compared_with_so_many_events_and_dropped_when_there_are_more(
    more: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SINCE_MOST", 3)
    bench = Bench([*GIVEN, *(accepted(5 + number) for number in range(3 + more))])
    summarise(bench)
    assert (bench.told() == []) is (more == 1)


def test_a_summary_as_large_as_an_event_may_be_is_recorded_and_a_larger_one_is_not() -> None:
    event = compacted(5, 2, "x" * 1_000, usage={"input_tokens": 3})
    limits = Limits(event_bytes=len(codec.write_event(event)))
    for extra in (0, 1):
        bench = Bench(GIVEN, limits=limits)
        summarise(bench, text="x" * (1_000 + extra))
        assert (bench.told() == []) is (extra == 1)


def test_a_writer_that_is_over_records_none() -> None:
    bench = Bench(GIVEN)
    bench.writer.move()
    bench.told()
    summarise(bench)
    assert bench.told() == []


class Talker:
    """Answers with how many messages it was shown and the first of them, and tells of conversations by their size."""

    async def respond(self, turn: Turn) -> AsyncIterator[str | Reply]:
        first = turn.history[0].text if turn.history else ""
        yield f"{len(turn.history)}: {first}"

    async def compact(self, past: Past) -> str:
        return f"{len(past.history)} messages"

    async def close(self) -> None: ...


@virtual
async def test_a_long_conversation_goes_on_over_its_summaries_also_on_another_node() -> None:
    broker = SimulatedBroker()
    limits = Limits(prompt_tokens=150)
    async with one_node(broker, responder=Talker(), limits=limits, id="n1") as node:
        await serving(node)
        for number in range(20):
            await say(node, f"message {number}", id=f"m{number}")
        await until(lambda: sum(isinstance(event, ContextCompacted) for event in told(broker)) >= 2)
    async with one_node(broker, responder=Talker(), limits=limits, id="n2") as node:
        await serving(node)
        await say(node, "and now?", id="now")
        await until(lambda: sum(isinstance(event, ReplyCompleted) for event in told(broker)) == 21)
    last = [event for event in told(broker) if isinstance(event, ReplyCompleted)][-1]
    assert "What was said before, in short:" in last.text


@virtual
async def test_an_edit_brings_back_what_was_summarised() -> None:
    broker = SimulatedBroker()
    async with one_node(broker, responder=Talker(), limits=Limits(prompt_tokens=150)) as node:
        await serving(node)
        for number in range(20):
            await say(node, f"message {number}", id=f"m{number}")
        await until(lambda: any(isinstance(event, ContextCompacted) for event in told(broker)))
        await until(lambda: sum(event.turn > 0 for event in told(broker)) == 40)
        await node.submit(ALICE, Edit(command_id=MessageId("e"), seq=Seq(1), text="from the start"))
        await until(lambda: sum(event.turn > 0 for event in told(broker)) == 42)
        answers = [event for event in told(broker) if event.turn > 0]
    assert getattr(answers[-1], "text", "") == "0: "
