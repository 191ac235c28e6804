"""What a call of the model shows to live readers, from its first word to the record. In virtual time."""

import asyncio
from collections.abc import AsyncGenerator
from random import Random

from chatstream.core.ids import Seq, Version
from chatstream.core.session import Completed
from chatstream.engine.feed import Feed
from chatstream.engine.live import LiveAttempt
from chatstream.engine.turns import Job, Turns
from tests.simulation.virtual_loop import run_virtual
from tests.unit.test_turns_ends import LIMITS, MESSAGE, Desk, Model, S, answers


async def half_then_fails() -> AsyncGenerator[str, None]:
    yield "ha"
    yield "lf"
    raise ConnectionError("cut")


def crash(error: BaseException) -> None:
    raise AssertionError("a bug of ours") from error


def test_each_attempt_is_shown_with_its_text_and_its_failure_until_the_next() -> None:
    async def scene() -> tuple[list[LiveAttempt], list[object]]:
        feed, desk, seen = Feed(10), Desk(), []
        turns = Turns(Model(half_then_fails, answers), LIMITS, feed, Random(1), crash)
        with feed.watch(S, live=True) as watch:
            turns.run(Job(desk, S, Seq(1), Version(1), MESSAGE))
            while await watch.wait(20):
                attempt = feed.live.of(S)
                assert attempt is not None
                if attempt not in seen:
                    seen.append(attempt)
        return seen, list(desk.outcomes)

    (first, second), outcomes = run_virtual(scene(), 100)
    assert (first.turn, first.version, first.number, "".join(first.parts)) == (1, 1, 1, "half")
    assert (first.reason, first.detail) == ("responder-error", "ConnectionError: cut")
    assert first.retry_at_s is not None
    assert (second.number, second.parts, second.retry_at_s) == (2, ["hi"], None)
    assert outcomes == [Completed(text="hi", attempts=2)]


def test_an_answer_that_is_not_recorded_yet_can_still_be_seen() -> None:
    async def scene() -> list[str]:
        feed = Feed(10)
        turns = Turns(Model(answers), LIMITS, feed, Random(1), crash)
        turns.run(Job(Desk(), S, Seq(1), Version(1), MESSAGE))
        await asyncio.sleep(1)
        attempt = feed.live.of(S)
        assert attempt is not None
        feed.wake(S)
        assert feed.live.of(S) is None
        return attempt.parts

    assert run_virtual(scene(), 100) == ["hi"]
