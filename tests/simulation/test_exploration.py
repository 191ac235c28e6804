"""Every order of everything that can happen, for one or two messages and at most one fault. Larger scopes are run by hand."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatstream.log.port import Topic
from tests.simulation.explore import QUICK, WIDE
from tests.simulation.exploring.search import explore, fails, replay, shortest, walk
from tests.simulation.exploring.world import Scope, World

ROOT = Path(__file__).parents[2]
ENOUGH_S = 110
WALKS = 60
SEEN_THROUGH = (
    "a claim with an equal epoch counts",
    "records under an old claim count",
    "the key lacks the claim",
    "a claim is believed without being read",
    "gaps between acks are not read",
    "a higher claim in a gap is ignored",
    "the table is written before the ack",
    "events are published before they are confirmed",
    "answers do not wait for what they rest on",
    "a turn starts before its message is confirmed",
    "an unknown outcome is ignored",
    "ghosts are published when read back",
)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("scope", QUICK, ids=lambda scope: scope.name)
def test_no_order_of_steps_breaks_a_guarantee(scope: Scope) -> None:
    found = explore(scope)
    assert found.error is None, f"{shortest(scope, found.path)}\n{found.error!r}"
    assert found.ends > 0
    print(f"{found.states} states, {found.steps} steps, {found.ends} ends")


@pytest.mark.parametrize("scope", WIDE, ids=lambda scope: scope.name)
def test_no_walk_through_more_breaks_a_guarantee(scope: Scope) -> None:
    for seed in range(WALKS):
        found = walk(scope, seed)
        assert found.error is None, f"walk {seed}: {shortest(scope, found.path)}\n{found.error!r}"


@pytest.mark.parametrize("mutant", SEEN_THROUGH)
def test_a_broken_rule_shows_in_some_order(mutant: str) -> None:
    command = [sys.executable, "-m", "tests.simulation.mutate", mutant, "explore"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=ENOUGH_S, check=False, cwd=ROOT)
    assert found.returncode == 0, f"{mutant}\n{found.stdout}{found.stderr}"


def test_the_same_steps_lead_to_the_same_state_and_others_to_another() -> None:
    scope = QUICK[0]
    path = walk(scope, 1).path
    assert replay(scope, path).fingerprint() == replay(scope, path).fingerprint()
    assert len({replay(scope, path[:count]).fingerprint() for count in range(len(path) + 1)}) == len(path) + 1


def test_a_failing_way_is_cut_down_to_the_steps_that_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    right = World.end

    def end(world: World) -> None:
        if len(world.log.topics[Topic.EVENTS].records) > 1:
            raise AssertionError
        right(world)

    path = walk(QUICK[4], 2).path
    assert not fails(QUICK[4], path)
    monkeypatch.setattr(World, "end", end)
    # Nothing but what it takes to get a claim and one event into the log.
    whats = [what for what, _ in shortest(QUICK[4], path)]
    assert whats == ["claim", "look", "land", "ack", "look", "look", "take", "land"]
