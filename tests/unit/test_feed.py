"""The feed: who waits is woken, whatever the order of things."""

import asyncio

import pytest

from chatstream.core.errors import TooManyReaders
from chatstream.core.ids import SessionId
from chatstream.engine.feed import Feed

ALICE = SessionId("alice")
LONG_S = 60.0


async def test_a_wake_before_the_wait_is_not_lost() -> None:
    feed = Feed(10)
    with feed.watch(ALICE) as watch:
        feed.wake(ALICE)
        assert await watch.wait(LONG_S)
        assert not await watch.wait(0.0)


async def test_a_wake_ends_the_wait_once() -> None:
    feed = Feed(10)
    with feed.watch(ALICE) as watch:
        waiting = asyncio.create_task(watch.wait(LONG_S))
        await asyncio.sleep(0)
        feed.wake(ALICE)
        feed.wake(ALICE)
        assert await waiting
        assert not await watch.wait(0.001)


async def test_a_wake_after_forgetting_counts() -> None:
    feed = Feed(10)
    with feed.watch(ALICE) as watch:
        feed.wake(ALICE)
        watch.forget()
        assert not await watch.wait(0.0)
        feed.wake(ALICE)
        assert await watch.wait(LONG_S)


@pytest.mark.parametrize("wait_s", [-1.0, 0.0, 0.001])
async def test_without_a_wake_the_wait_ends(wait_s: float) -> None:
    with Feed(10).watch(ALICE) as watch:
        assert not await watch.wait(wait_s)


async def test_a_cancelled_wait_leaves_the_watch_usable() -> None:
    feed = Feed(10)
    with feed.watch(ALICE) as watch:
        waiting = asyncio.create_task(watch.wait(LONG_S))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        feed.wake(ALICE)
        assert await watch.wait(LONG_S)


async def test_only_readers_of_the_session_are_woken_and_closing_wakes_all() -> None:
    feed = Feed(10)
    with feed.watch(ALICE) as watch, feed.watch(SessionId("bob")) as other:
        feed.wake(SessionId("bob"))
        assert await other.wait(LONG_S)
        assert not await watch.wait(0.0)
        feed.close()
        assert await watch.wait(LONG_S)
        assert await other.wait(LONG_S)
        assert feed.closed


def test_one_reader_more_than_there_may_be_is_refused_until_another_leaves() -> None:
    feed = Feed(2)
    with feed.watch(ALICE):
        with feed.watch(ALICE):
            assert len(feed) == 2
            with pytest.raises(TooManyReaders), feed.watch(SessionId("bob")):
                pass
        with feed.watch(SessionId("bob")):
            assert len(feed) == 2
    assert len(feed) == 0
