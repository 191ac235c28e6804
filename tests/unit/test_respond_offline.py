import asyncio

import pytest

from chatstream.core.errors import ResponderError, ResponderRefused
from chatstream.respond.offline import FAIL_KINDS, HELP, LONG_WORDS_MAX, SAMPLE, OfflineResponder
from chatstream.respond.port import Reply, Said
from tests.turns import FakeState, FakeTurn, answer


async def test_says_what_it_is_and_echoes_word_by_word() -> None:
    pieces = [piece async for piece in OfflineResponder().respond(FakeTurn("good  morning\nto you"))]
    assert "".join(str(piece) for piece in pieces[:-1]) == "I am the offline model. You said: good  morning\nto you"
    assert len(pieces) > 5
    assert isinstance(pieces[-1], Reply)
    assert pieces[-1].model == "offline"
    assert pieces[-1].usage is not None
    assert {"input_tokens", "output_tokens"} <= pieces[-1].usage.keys()


async def test_a_plain_answer_does_not_read_the_history() -> None:
    turn = FakeTurn("hello", history=[Said(role="user", text="before")])
    await answer(OfflineResponder(), turn)
    assert turn.history_reads == 0


async def test_a_long_message_is_not_echoed_whole() -> None:
    text, _ = await answer(OfflineResponder(), FakeTurn("x" * 100_000))
    assert len(text) < 300


async def test_seen_tells_how_much_history_there_is() -> None:
    history = [Said(role="user", text="one"), Said(role="assistant", text="two")]
    text, _ = await answer(OfflineResponder(), FakeTurn("/seen", history=history))
    assert "2 earlier messages" in text
    assert "one" in text


@pytest.mark.parametrize(("command", "expected"), [("/md", SAMPLE), ("/help", HELP)])
async def test_texts_arrive_as_they_are(command: str, expected: str) -> None:
    assert (await answer(OfflineResponder(), FakeTurn(command)))[0] == expected


async def test_remember_and_recall_use_the_sessions_state() -> None:
    state = FakeState({})
    await answer(OfflineResponder(), FakeTurn("/remember colour dark blue", state=state))
    assert state.values == {"colour": "dark blue"}
    assert (await answer(OfflineResponder(), FakeTurn("/recall colour", state=state)))[0] == "colour: dark blue"
    await answer(OfflineResponder(), FakeTurn("/forget colour", state=state))
    assert "nothing about colour" in (await answer(OfflineResponder(), FakeTurn("/recall colour", state=state)))[0]


async def test_a_value_that_the_state_refuses_is_told_in_words() -> None:
    text, _ = await answer(OfflineResponder(), FakeTurn(f"/remember big {'x' * 70_000}"))
    assert text.startswith("I cannot: ")


async def test_slow_spreads_its_words_over_the_seconds() -> None:
    slept: list[float] = []

    async def sleep(pause_s: float) -> None:
        slept.append(pause_s)

    await answer(OfflineResponder(sleep=sleep), FakeTurn("/slow 10"))
    assert sum(slept) == pytest.approx(10)


async def test_no_delay_unless_asked_for() -> None:
    async def sleep(_pause_s: float) -> None:
        raise AssertionError("slept")

    await answer(OfflineResponder(sleep=sleep), FakeTurn("hello"))


async def test_a_word_delay_is_made_before_each_word() -> None:
    slept: list[float] = []

    async def sleep(pause_s: float) -> None:
        slept.append(pause_s)

    text, _ = await answer(OfflineResponder(word_delay_s=0.25, sleep=sleep), FakeTurn("hello"))
    assert slept == [0.25] * len(text.split())


@pytest.mark.parametrize("words", [1, 7, 5000])
async def test_long_has_as_many_words_as_asked(words: int) -> None:
    text, _ = await answer(OfflineResponder(), FakeTurn(f"/long {words}"))
    assert len(text.split()) == words


async def test_a_long_answer_lets_others_run() -> None:
    ran = asyncio.Event()
    asyncio.get_running_loop().call_soon(ran.set)
    seen = [ran.is_set() async for _ in OfflineResponder().respond(FakeTurn("/long 1000"))]
    assert seen[0] is False
    assert seen[-1] is True


@pytest.mark.parametrize(
    "text", ["/slow", "/slow x", "/slow 601", "/slow nan", "/slow -1", "/long", "/long 0", f"/long {LONG_WORDS_MAX + 1}"]
)
async def test_a_number_out_of_range_is_answered_with_how_to_write_it(text: str) -> None:
    assert "Write `/" in (await answer(OfflineResponder(), FakeTurn(text)))[0]


async def test_an_unknown_command_points_to_help() -> None:
    assert "/help" in (await answer(OfflineResponder(), FakeTurn("/dance")))[0]


async def test_fail_transient_fails_once_then_answers() -> None:
    with pytest.raises(ResponderError) as failed:
        await answer(OfflineResponder(), FakeTurn("/fail transient"))
    assert failed.value.retryable
    assert "attempt 2" in (await answer(OfflineResponder(), FakeTurn("/fail transient", attempt=2)))[0]


async def test_fail_transient_n_fails_n_times() -> None:
    with pytest.raises(ResponderError):
        await answer(OfflineResponder(), FakeTurn("/fail transient 3", attempt=3))
    assert "attempt 4" in (await answer(OfflineResponder(), FakeTurn("/fail transient 3", attempt=4)))[0]


async def test_fail_midway_says_something_before_it_breaks() -> None:
    pieces = OfflineResponder().respond(FakeTurn("/fail midway"))
    assert "half" in str(await anext(pieces))
    with pytest.raises(ResponderError):
        await anext(pieces)
    assert "attempt 2" in (await answer(OfflineResponder(), FakeTurn("/fail midway", attempt=2)))[0]


@pytest.mark.parametrize(
    ("kind", "error"), [("always", ResponderError), ("permanent", ResponderRefused), ("exception", RuntimeError)]
)
async def test_fail_kinds_raise_at_every_attempt(kind: str, error: type[Exception]) -> None:
    for attempt in (1, 5):
        with pytest.raises(error):
            await answer(OfflineResponder(), FakeTurn(f"/fail {kind}", attempt=attempt))


async def test_fail_empty_says_nothing_at_all() -> None:
    assert await answer(OfflineResponder(), FakeTurn("/fail empty")) == ("", None)


async def test_fail_stall_waits_until_it_is_cancelled() -> None:
    task = asyncio.create_task(answer(OfflineResponder(), FakeTurn("/fail stall")))
    for _ in range(20):  # turns of the event loop, in which any other answer would be whole
        await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_fail_without_a_kind_lists_them() -> None:
    text, _ = await answer(OfflineResponder(), FakeTurn("/fail"))
    assert all(kind in text for kind in FAIL_KINDS)
