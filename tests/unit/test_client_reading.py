"""The client's readers against a server that answers as it is told: every event once and in order, text without a seam."""

from typing import Any

import pytest

from chatstream import AsyncClient, Patience
from chatstream.core.errors import BadAnswer, ChatstreamError, Erased, Unreachable
from chatstream.core.unlogged import AttemptStarted, StreamReady, TextDelta
from tests.answering import (
    IMPATIENT,
    QUICK,
    answering,
    batch,
    event,
    in_turn,
    one,
    polled,
    problem,
    seqs,
    sequence,
    streamed,
    taken,
    token,
)


async def test_a_follower_polls_on_from_where_it_is_and_never_hands_out_an_event_twice() -> None:
    answer = in_turn(polled(1, 2), polled(), problem(503, "stopping"), polled(2, 3), polled())
    async with answering(answer) as (url, asked), AsyncClient(url, patience=QUICK) as client:
        assert seqs(await taken(client.follow("alice", mode="long-poll"), 3)) == [1, 2, 3]
    assert "offset=-1" in asked.paths[0]
    assert all(token(2) in path for path in asked.paths[1:4])


async def test_a_follower_does_not_hand_out_what_stands_behind_a_hole() -> None:
    async with answering(in_turn(polled(1, 3))) as (url, _), AsyncClient(url, patience=QUICK) as client:
        events = client.follow("alice", mode="long-poll")
        assert (await anext(events)).seq == 1
        with pytest.raises(BadAnswer, match=r"event 3 .* behind event 1"):
            await anext(events)


async def test_a_follower_from_now_goes_on_from_where_the_node_says() -> None:
    answer = in_turn(polled(next_seq=7), problem(503, "stopping"), polled(8), polled())
    async with answering(answer) as (url, asked), AsyncClient(url, patience=QUICK) as client:
        assert seqs(await taken(client.follow("alice", offset="now", mode="long-poll"), 1)) == [8]
    assert token(7) in asked.paths[1]


async def test_a_stream_that_breaks_off_is_gone_on_with_and_it_is_told() -> None:
    told: list[str] = []

    def tell(error: ChatstreamError | None) -> None:
        told.append("back" if error is None else error.code)

    cut_in_a_frame = streamed(batch(1, 2) + batch(3)[:40], cut=True)
    answer = sequence(cut_in_a_frame, streamed(b": \n\n", batch(3)), streamed(batch(4)))
    async with answering(answer) as (url, asked), AsyncClient(url, patience=QUICK) as client:
        assert seqs(await taken(client.follow("alice", told=tell), 4)) == [1, 2, 3, 4]
    assert told == ["unreachable", "back"]
    assert token(2) in asked.paths[1]


async def test_a_follower_ends_when_the_session_is_erased_and_when_nobody_comes_back() -> None:
    answer = sequence(streamed(batch(1), b": ended: erased\n\n"), in_turn(problem(410, "session-erased")))
    async with answering(answer) as (url, _), AsyncClient(url, patience=QUICK) as client:
        events = client.follow("alice")
        assert (await anext(events)).seq == 1
        with pytest.raises(Erased):
            await anext(events)
    async with AsyncClient("http://127.0.0.1:1", patience=IMPATIENT) as client:
        with pytest.raises(Unreachable):
            await anext(client.follow("alice"))


def started(attempt: int = 1) -> dict[str, Any]:
    return {"type": "attempt.started", "turn": 1, "version": 1, "attempt": attempt}


def delta(text: str, index: int = 0, attempt: int = 1) -> dict[str, Any]:
    return {"type": "text.delta", "turn": 1, "version": 1, "attempt": attempt, "index": index, "text": text}


def ready(seq: int) -> dict[str, Any]:
    return {"type": "stream.ready", "offset": token(seq)}


async def test_text_that_was_handed_out_is_not_handed_out_again_when_the_stream_goes_on() -> None:
    first = streamed(one(event(1)), one(started()), one(delta("one ")), one(ready(1)), one(delta("two ", 1)), cut=True)
    second = streamed(one(started()), one(delta("one two th")), one(ready(1)), one({"type": "new.thing"}), one(delta("ree", 1)))
    async with answering(sequence(first, second)) as (url, asked), AsyncClient(url, patience=QUICK) as client:
        frames = await taken(client.live("alice"), 7)
    assert [type(frame).__name__ for frame in frames[:2]] == ["MessageAccepted", "AttemptStarted"]
    assert frames[3] == StreamReady(token(1))
    deltas = [frame for frame in frames if isinstance(frame, TextDelta)]
    assert [(frame.index, frame.text) for frame in deltas] == [(0, "one "), (1, "two "), (2, "th"), (3, "ree")]
    assert token(1) in asked.paths[1]


async def test_an_answer_that_is_another_one_after_a_crash_begins_anew() -> None:
    first = streamed(one(started()), one(delta("one two")), cut=True)
    second = streamed(one(started()), one(delta("one ")), one(delta("three", 1)))
    async with answering(sequence(first, second)) as (url, _), AsyncClient(url, patience=QUICK) as client:
        frames = await taken(client.live("alice"), 4)
    assert isinstance(frames[2], AttemptStarted)
    assert (frames[3].index, frames[3].text) == (0, "one three")


async def test_a_frame_beyond_the_limit_ends_the_reader() -> None:
    patience = Patience(bytes_most=200, away_s=0.0)
    answer = streamed(one(started()), one(delta("x" * 300)))
    async with answering(answer) as (url, _), AsyncClient(url, patience=patience) as client:
        frames = client.live("alice")
        await anext(frames)
        with pytest.raises(BadAnswer, match="200 bytes"):
            await anext(frames)


async def test_an_exported_conversation_comes_in_parts_and_one_that_breaks_off_is_no_whole_one() -> None:
    busy = in_turn(problem(503, "restoring"))
    answer = sequence(busy, streamed(b"# alice\n", b"\nhello\n"), streamed(b"# alice\n", cut=True))
    async with answering(answer) as (url, asked), AsyncClient(url, patience=QUICK) as client:
        assert b"".join([part async for part in client.export("alice", format="md")]) == b"# alice\n\nhello\n"
        with pytest.raises(Unreachable):
            _ = [part async for part in client.export("alice")]
    assert asked.paths == [*["/v1/sessions/alice/export?format=md"] * 2, "/v1/sessions/alice/export?format=jsonl"]
