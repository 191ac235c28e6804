"""Thousands of bad days in a minute: each seed is one history, judged by an oracle that reads the log on its own."""

import gc
import logging
from collections.abc import Iterator

import pytest

from tests.simulation.plan import Trouble, draw, with_more
from tests.simulation.scenario import run
from tests.simulation.virtual_loop import VirtualLoop

SEEDS_EACH = 100
BATCHES = 45
MORE_SEEDS = 100


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_every_guarantee_holds_whatever_goes_wrong(batch: int) -> None:
    for seed in range(batch * SEEDS_EACH, (batch + 1) * SEEDS_EACH):
        error = run(draw(seed)).error
        assert error is None, f"repeat with: python -m tests.simulation --seed {seed} --trace\n{error!r}"


@pytest.mark.parametrize("trouble", ["rot", "stranger", "rival", "compact", "shuffle"])
def test_every_guarantee_holds_when_one_thing_goes_wrong_again_and_again(trouble: Trouble) -> None:
    for seed in range(MORE_SEEDS):
        error = run(with_more(draw(seed), trouble, 4)).error
        assert error is None, f"seed {seed} with more of {trouble}: {error!r}"


def test_a_history_leaves_nothing_in_memory() -> None:
    """What the engine still held would hold its loop; a soak of many hours runs in one process."""
    for seed in range(40):
        run(draw(seed))
    gc.collect()
    assert not [left for left in gc.get_objects() if type(left) is VirtualLoop]
