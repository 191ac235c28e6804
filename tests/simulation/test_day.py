"""A day of one small service: what goes wrong now and then leaves nothing behind that grows."""

import logging

import pytest

from tests.simulation.day import DAY_S, day
from tests.simulation.scenario import run


@pytest.mark.timeout(600)
def test_a_day_with_something_going_wrong_every_few_minutes() -> None:
    plan = day(1)
    assert plan.end_s == DAY_S
    assert len(plan.mishaps) > 300
    logging.disable(logging.CRITICAL)
    try:
        error = run(plan).error
    finally:
        logging.disable(logging.NOTSET)
    assert error is None, f"repeat with: python -m tests.simulation.day 1\n{error!r}"
