"""Thousands of bad days in a minute: each seed is one history, judged by an oracle that reads the log on its own."""

import logging
from collections.abc import Iterator

import pytest

from tests.simulation.plan import Trouble, draw, with_more
from tests.simulation.scenario import run

SEEDS_EACH = 100
BATCHES = 20
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
