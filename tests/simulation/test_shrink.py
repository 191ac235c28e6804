"""Failing histories are cut down to what matters, and a seed is the same history every time."""

import msgspec

from tests.simulation.plan import Plan, draw
from tests.simulation.scenario import run
from tests.simulation.shrink import shrink, told


def test_only_what_makes_it_fail_is_left() -> None:
    def happen(plan: Plan) -> BaseException | None:
        return ValueError() if any(send.number == 3 for send in plan.sends) and plan.mishaps else None

    plan = next(plan for plan in map(draw, range(100)) if len(plan.mishaps) > 2)
    short = shrink(plan, happen=happen)
    assert [send.number for send in short.sends] == [3]
    assert len(short.mishaps) == 1
    assert (short.nodes, short.partitions, short.readers, short.tight) == (1, 1, 0, False)
    assert "3" in told(short)


def test_another_failure_is_not_taken_for_the_same() -> None:
    def happen(plan: Plan) -> BaseException | None:
        return ValueError() if len(plan.sends) > 4 else KeyError()

    assert len(shrink(draw(1), happen=happen).sends) == 5


def test_the_search_ends_when_its_tries_are_used_up() -> None:
    tried: list[Plan] = []

    def happen(plan: Plan) -> BaseException | None:
        tried.append(plan)
        return ValueError()

    shrink(draw(1), tries=3, happen=happen)
    assert len(tried) == 1 + 3


def test_a_seed_is_the_same_history_every_time() -> None:
    for seed in (3, 8, 26):
        assert msgspec.json.encode(draw(seed)) == msgspec.json.encode(draw(seed))
        assert run(draw(seed), noting=True).notes == run(draw(seed), noting=True).notes
