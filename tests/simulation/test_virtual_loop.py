"""Time that jumps: what the loop of the simulation promises."""

import asyncio

import pytest

from tests.simulation.virtual_loop import Deadlock, OutOfTime, run_virtual


def test_a_deadlock_is_an_error_and_not_a_hang() -> None:
    async def wait_for_nobody() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        run_virtual(wait_for_nobody(), 1.0)


def test_virtual_time_costs_nothing_and_ends_at_its_limit() -> None:
    async def slow() -> float:
        await asyncio.sleep(1_000_000.0)
        return asyncio.get_running_loop().time()

    assert run_virtual(slow(), 1_000_000.1) == pytest.approx(1_000_000.0)
    with pytest.raises(OutOfTime):
        run_virtual(slow(), 999_999.0)


def test_what_a_callback_raises_is_not_lost() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(lambda: [][0])
        await asyncio.sleep(1.0)

    with pytest.raises(IndexError):
        run_virtual(main(), 10.0)
    run_virtual(main(), 10.0, expected=(IndexError,))
