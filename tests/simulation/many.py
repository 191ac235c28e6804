"""Very many seeds: in chunks, each in a process of its own, several processes side by side.

A chunk's process ends with it, so that however many seeds there are, none of them starts from what the others have left.
"""

import logging
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from tests.simulation.plan import draw
from tests.simulation.scenario import run


class Part(NamedTuple):
    """What one chunk came to. seeds: how many. failed: seed and error of each that failed."""

    seeds: int
    failed: tuple[tuple[int, str], ...]
    spent_s: float


def chunks(first: int, count: int, size: int) -> Iterator[range]:
    """The seeds from `first` on, so many at a time."""
    for start in range(first, first + count, size):
        yield range(start, min(start + size, first + count))


def run_chunk(seeds: range) -> Part:
    """One chunk, in this process."""
    logging.disable(logging.CRITICAL)
    begin_s, failed = time.process_time(), []
    for seed in seeds:
        error = run(draw(seed)).error
        if error is not None:
            failed.append((seed, f"{type(error).__name__}: {error}"))
    return Part(len(seeds), tuple(failed), time.process_time() - begin_s)


def run_many(first: int, count: int, size: int, processes: int) -> Iterator[Part]:
    """All chunks, in the order of their seeds."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, max_tasks_per_child=1) as pool:
        yield from pool.map(run_chunk, chunks(first, count, size))


def add(one: Part, other: Part) -> Part:
    """Both together."""
    return Part(one.seeds + other.seeds, one.failed + other.failed, one.spent_s + other.spent_s)
