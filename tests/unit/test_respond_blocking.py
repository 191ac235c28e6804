"""Steps and approvals of plain functions, which run in threads."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chatstream.core.errors import ResponderError, ResponderRefused
from chatstream.respond.blocking import BlockingTurn, TurnOver
from chatstream.respond.port import Approval, PlainTurn, Reply
from chatstream.respond.threads import Threads
from chatstream.respond.usercode import responder_of
from tests.turns import FakeTurn, answer

WAIT_S = 30.0


async def said(respond: Callable[[PlainTurn], Any], turn: FakeTurn | None = None) -> str:
    text, _ = await answer(responder_of(respond, "respond", Threads()), turn or FakeTurn())
    return text


async def test_a_plain_function_gets_the_recorded_result_of_its_step() -> None:
    turn = FakeTurn()
    assert await said(lambda turn: f"{turn.step('find', lambda: 1)} {turn.step('find', lambda step: step.key)}", turn) == (
        "1 alice/1/1/find#2"
    )
    assert turn.recorded == {"find#1": 1, "find#2": "alice/1/1/find#2"}
    assert await said(lambda turn: f"{turn.step('find', print)}", FakeTurn(recorded={"find#1": "again"})) == "again"


async def test_its_steps_run_in_its_thread_and_do_not_hold_up_the_loop() -> None:
    begun, go_on, seen = threading.Event(), threading.Event(), []

    def waits() -> bool:
        seen.append(threading.get_ident())
        begun.set()
        return go_on.wait(WAIT_S)

    def respond(turn: PlainTurn) -> str:
        seen.append(threading.get_ident())
        turn.step("wait", waits)
        return "done"

    answering = asyncio.ensure_future(said(respond))
    assert await asyncio.to_thread(begun.wait, WAIT_S)
    go_on.set()
    assert await answering == "done"
    assert seen[0] == seen[1] != threading.get_ident()


async def test_a_step_of_a_plain_function_may_be_async() -> None:
    async def find() -> int:
        await asyncio.sleep(0)
        return threading.get_ident()

    assert await said(lambda turn: f"{turn.step('find', find)}") == f"{threading.get_ident()}"


@pytest.mark.parametrize("error", [ValueError("no"), StopIteration("no"), SystemExit("no"), TurnOver("no")])
async def test_what_a_step_raises_is_raised_in_the_thread(error: BaseException) -> None:
    def fails() -> None:
        raise error

    def respond(turn: PlainTurn) -> str:
        with pytest.raises((type(error), RuntimeError), match=r"no|StopIteration"):
            turn.step("find", fails)
        return "went on"

    turn = FakeTurn()
    assert await said(respond, turn) == "went on"
    assert turn.recorded == {}


async def test_an_exit_in_an_async_step_ends_its_attempt_and_not_the_node() -> None:
    async def leaves() -> None:
        raise SystemExit

    with pytest.raises(ResponderError, match="SystemExit"):
        await said(lambda turn: turn.step("find", leaves))


async def test_what_the_engine_refuses_is_raised_in_the_thread() -> None:
    class Refusing(FakeTurn):
        async def step(self, name: str, fn: Callable[..., Any]) -> Any:
            raise ResponderRefused(f"no step {name} of {fn}")

    with pytest.raises(ResponderRefused, match="no step find"):
        await said(lambda turn: turn.step("find", lambda: 1), Refusing())


async def test_a_plain_function_gets_what_was_decided() -> None:
    def respond(turn: PlainTurn) -> str:
        found = turn.approval("pay", {"eur": 5})
        return f"{found.approved} {found.comment}"

    assert await said(respond, FakeTurn(decisions={"pay#1": Approval("rejected", "too much")})) == "False too much"


async def test_a_question_ends_the_thread_that_asked_it_whatever_errors_it_catches() -> None:
    ended = threading.Event()

    def respond(turn: PlainTurn) -> str:
        try:
            return f"{turn.approval('pay', 5).approved}"
        except Exception:  # noqa: BLE001  # as users do
            return "caught"
        finally:
            ended.set()

    turn = FakeTurn()
    with pytest.raises(BaseException, match="TurnOver") as caught:
        await said(respond, turn)
    assert not isinstance(caught.value, asyncio.CancelledError)
    assert ended.wait(WAIT_S)
    assert turn.asked == {"pay#1": 5}


class Endless(FakeTurn):
    """A turn whose steps and questions nobody ever answers."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def step(self, name: str, fn: Callable[..., Any]) -> Any:  # noqa: ARG002  # nothing is done
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


def _pieces(respond: Callable[[PlainTurn], Any], turn: FakeTurn) -> AsyncIterator[str | Reply]:
    return responder_of(respond, "respond", Threads()).respond(turn)


async def test_a_thread_that_waits_for_a_step_ends_when_its_turn_is_stopped() -> None:
    ended, raised = threading.Event(), []

    def respond(turn: PlainTurn) -> str:
        try:
            return str(turn.step("find", lambda: 1))
        except BaseException as error:
            raised.append(error)
            raise
        finally:
            ended.set()

    turn = Endless()
    call = asyncio.ensure_future(anext(_pieces(respond, turn)))
    await turn.begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await asyncio.to_thread(ended.wait, WAIT_S)
    assert isinstance(raised[0], TurnOver)
    await asyncio.wait_for(turn.cancelled.wait(), WAIT_S)


async def test_a_thread_that_goes_on_after_its_turn_takes_no_more_steps() -> None:
    begun, go_on, ended, raised = threading.Event(), threading.Event(), threading.Event(), []

    def respond(turn: PlainTurn) -> str:
        begun.set()
        assert go_on.wait(WAIT_S)
        try:
            return str(turn.step("find", lambda: 1))
        except BaseException as error:
            raised.append(error)
            raise
        finally:
            ended.set()

    turn = FakeTurn()
    call = asyncio.ensure_future(anext(_pieces(respond, turn)))
    assert await asyncio.to_thread(begun.wait, WAIT_S)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    go_on.set()
    assert await asyncio.to_thread(ended.wait, WAIT_S)
    assert isinstance(raised[0], TurnOver)
    assert turn.recorded == {}


async def test_a_step_that_is_stopped_while_its_function_runs_ends_when_that_does() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def waits() -> bool:
        begun.set()
        return go_on.wait(WAIT_S)

    def respond(turn: PlainTurn) -> str:
        try:
            return str(turn.step("find", waits))
        finally:
            ended.set()

    turn = FakeTurn()
    call = asyncio.ensure_future(anext(_pieces(respond, turn)))
    assert await asyncio.to_thread(begun.wait, WAIT_S)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    go_on.set()
    assert await asyncio.to_thread(ended.wait, WAIT_S)
    assert turn.recorded == {}


async def test_threads_of_the_functions_own_may_take_steps_at_once() -> None:
    def respond(turn: PlainTurn) -> str:
        with ThreadPoolExecutor(4) as pool:
            return " ".join(str(found) for found in pool.map(lambda n: turn.step(f"s{n}", lambda: n * n), range(20)))

    assert await said(respond) == " ".join(str(n * n) for n in range(20))


async def test_a_turn_whose_loop_is_gone_takes_no_more_steps() -> None:
    turn = BlockingTurn(FakeTurn())
    turn.leave()
    with pytest.raises(TurnOver):
        turn.step("find", lambda: 1)
    with pytest.raises(TurnOver):
        turn.approval("pay")


async def test_everything_else_of_the_turn_is_there() -> None:
    assert await said(lambda turn: f"{turn.text} {turn.session} {turn.system}", FakeTurn("hi", system="s")) == "hi alice s"
