"""The search: every state of a scope once, or walks at random through one that is too large for that."""

import time
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import msgspec

from tests.simulation.exploring.world import Scope, Step, World


class Found(msgspec.Struct):
    """What a search has seen. ends: states in which nothing could happen any more, each judged. worst: the longest path.

    error, path: the first thing that was wrong, and the steps that lead to it; then the search ends.
    """

    states: int = 0
    steps: int = 0
    ends: int = 0
    worst: int = 0
    spent_s: float = 0.0
    error: Exception | None = None
    path: tuple[Step, ...] = ()


def replay(scope: Scope, path: Sequence[Step]) -> World:
    """The world after these steps."""
    world = World(scope)
    for step in path:
        world.take(step)
    return world


class Way(NamedTuple):
    """A path as its last step and what was before it: millions of them share their beginnings."""

    before: "Way | None"
    step: Step

    def steps(self) -> tuple[Step, ...]:
        """From the first to the last."""
        found, way = [self.step], self.before
        while way is not None:
            found.append(way.step)
            way = way.before
        return tuple(reversed(found))


def explore(scope: Scope, states_most: int = 10**9) -> Found:
    """Every order of everything, depth first. States that were met before are left out, whatever led there."""
    found, begin_s = Found(), time.process_time()
    seen: set[int] = set()
    tables: dict[tuple[int, int], int] = {}
    open_: list[Way | None] = [None]
    way: Way | None = None
    try:
        while open_ and found.states < states_most:
            way = open_.pop()
            path = () if way is None else way.steps()
            world, length = replay(scope, path), len(path)
            while (mark := world.fingerprint()) not in seen:
                seen.add(mark)
                found.states += 1
                found.worst = max(found.worst, length)
                world.check(tables)
                steps = world.steps()
                found.steps += len(steps)
                if not steps:
                    found.ends += 1
                    world.end()
                    break
                open_ += [Way(way, step) for step in steps[1:]]
                way, length = Way(way, steps[0]), length + 1
                world.take(steps[0])
            world.close()
    except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
        found.error, found.path = error, () if way is None else way.steps()
    found.spent_s = time.process_time() - begin_s
    return found


def walk(scope: Scope, seed: int, steps_most: int = 400) -> Found:
    """One way through, at random, to its end."""
    rng, world, path = Random(seed), World(scope), []
    found, begin_s = Found(), time.process_time()
    tables: dict[tuple[int, int], int] = {}
    try:
        while found.states < steps_most and (steps := world.steps()):
            path.append(rng.choice(steps))
            world.take(path[-1])
            found.states += 1
            world.check(tables)
        found.ends += 1
        world.end()
        world.close()
    except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
        found.error = error
    found.path, found.worst, found.spent_s = tuple(path), len(path), time.process_time() - begin_s
    return found


def shortest(scope: Scope, path: Sequence[Step]) -> tuple[Step, ...]:
    """A path that fails with fewer steps: each step is left out if it fails without it too."""
    kept = list(path)
    place = 0
    while place < len(kept):
        fewer = kept[:place] + kept[place + 1 :]
        if fails(scope, fewer):
            kept, place = fewer, 0
        else:
            place += 1
    return tuple(kept)


def fails(scope: Scope, path: Sequence[Step]) -> bool:
    """Is something wrong on that way, or at the end that follows it? A step that cannot be taken makes it another way."""
    world = World(scope)
    try:
        for step in path:
            if step not in world.steps():
                return False
            world.take(step)
            world.check({})
        world.end()
    except Exception:  # noqa: BLE001  # whatever it is, it is a finding
        return True
    return False
