"""Answers while they are given: who is woken when, and what there is to see. In virtual time: the loop's clock jumps."""

import asyncio

from chatstream.core.errors import ResponderError
from chatstream.core.ids import Seq, SessionId, Version
from chatstream.engine.feed import Feed
from chatstream.engine.live import FRAME_S, READER_S, LiveAttempt
from tests.simulation.virtual_loop import run_virtual

S = SessionId("alice")
LONG_S = 1000.0


def attempt(number: int = 1) -> LiveAttempt:
    return LiveAttempt(Seq(1), Version(1), number)


async def wake_ups(feed: Feed, for_s: float) -> int:
    """How often a live reader was woken."""
    loop = asyncio.get_running_loop()
    ends_at_s, count = loop.time() + for_s, 0
    with feed.watch(S, live=True) as watch:
        while await watch.wait(ends_at_s - loop.time()):
            count += 1
    return count


def test_a_thousand_pieces_a_second_wake_a_reader_sixty_times() -> None:
    async def scene() -> int:
        feed = Feed(10)
        feed.live.start(S, attempt())
        reading = asyncio.create_task(wake_ups(feed, 10.0))
        for _ in range(10_000):
            await asyncio.sleep(0.001)
            feed.live.said(S)
        return await reading

    assert 10 / FRAME_S * 0.9 < run_virtual(scene(), LONG_S) <= 10 / FRAME_S + 1


def test_many_readers_of_one_session_are_woken_more_rarely() -> None:
    readers = 200

    async def scene() -> int:
        feed = Feed(readers)
        reading = [asyncio.create_task(wake_ups(feed, 10.0)) for _ in range(readers)]
        for _ in range(10_000):
            await asyncio.sleep(0.001)
            feed.live.said(S)
        return sum(await asyncio.gather(*reading))

    assert run_virtual(scene(), LONG_S) <= 10 / READER_S + readers


def test_a_piece_after_a_silence_wakes_at_once() -> None:
    async def scene() -> float:
        feed, loop = Feed(10), asyncio.get_running_loop()
        with feed.watch(S, live=True) as watch:
            feed.live.start(S, attempt())
            assert await watch.wait(1.0)
            began_s = loop.time()
            feed.live.said(S)
            assert await watch.wait(1.0)
            return loop.time() - began_s

    assert run_virtual(scene(), LONG_S) < FRAME_S / 10


def test_a_piece_that_had_to_wait_is_told_without_another_one() -> None:
    async def scene() -> tuple[bool, bool]:
        feed = Feed(10)
        with feed.watch(S, live=True) as watch:
            feed.live.said(S)
            feed.live.said(S)
            return await watch.wait(0.0), await watch.wait(1.0)

    assert run_virtual(scene(), LONG_S) == (True, True)


def test_text_does_not_wake_who_asked_for_events_only() -> None:
    async def scene() -> bool:
        feed = Feed(10)
        with feed.watch(S) as watch, feed.watch(S, live=True), feed.watch(SessionId("bob"), live=True) as other:
            feed.live.start(S, attempt())
            feed.live.said(S)
            return await watch.wait(1.0) or await other.wait(1.0)

    assert run_virtual(scene(), LONG_S) is False


def test_a_reader_that_leaves_while_text_waits_leaves_nothing_behind() -> None:
    async def scene() -> int:
        feed = Feed(10)
        with feed.watch(S, live=True):
            feed.live.said(S)
            feed.live.said(S)
        with feed.watch(S, live=True) as watch:
            return await watch.wait(1.0)

    assert run_virtual(scene(), LONG_S) is False


def test_an_ended_attempt_is_shown_until_the_next_event_is_confirmed() -> None:
    feed, first = Feed(10), attempt()
    feed.live.start(S, first)
    feed.live.finish(S)
    assert feed.live.of(S) is first
    feed.wake(SessionId("bob"))
    assert feed.live.of(S) is first
    feed.wake(S)
    assert feed.live.of(S) is None


def test_a_partition_that_is_lost_takes_its_ended_attempts_along() -> None:
    feed = Feed(10)
    feed.live.start(S, attempt())
    feed.live.finish(S)
    feed.wake_all()
    assert feed.live.of(S) is None


def test_a_stopped_attempt_is_gone_at_once_and_a_later_one_takes_its_place() -> None:
    feed, second = Feed(10), attempt(2)
    feed.live.start(S, attempt())
    feed.live.drop(S)
    assert feed.live.of(S) is None
    feed.live.start(S, attempt())
    feed.live.finish(S)
    feed.live.start(S, second)
    assert feed.live.of(S) is second
    feed.wake(S)
    assert feed.live.of(S) is second


def test_a_failed_attempt_says_why_and_when_the_next_one_comes() -> None:
    async def scene() -> bool:
        feed, first = Feed(10), attempt()
        feed.live.start(S, first)
        with feed.watch(S, live=True) as watch:
            feed.live.failed(S, first, ResponderError("busy", failure="overloaded"), 7.0)
            assert feed.live.of(S) is first
            assert (first.reason, first.detail, first.retry_at_s) == ("overloaded", "busy", 7.0)
            return await watch.wait(0.0)

    assert run_virtual(scene(), LONG_S) is True
