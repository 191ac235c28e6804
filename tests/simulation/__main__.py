"""Run simulated histories by hand: `python -m tests.simulation --seed N --trace`, or `--soak` until stopped."""

import argparse
import itertools
import logging
import sys
import time
import traceback

from tests.simulation.plan import draw
from tests.simulation.scenario import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=1, help="how many seeds")
    parser.add_argument("--trace", action="store_true", help="tell what happened, and the product's own log lines")
    parser.add_argument("--soak", action="store_true", help="go on until stopped")
    options = parser.parse_args()
    if not options.trace:
        logging.disable(logging.CRITICAL)
    begin, failed = time.process_time(), 0
    seeds = itertools.count(options.seed) if options.soak else range(options.seed, options.seed + options.count)
    for number, seed in enumerate(seeds, 1):
        failed += not one(seed, options.trace)
        if number % 1000 == 0:
            print(f"{number} seeds, {failed} failed, {number / (time.process_time() - begin) * 60:.0f} a minute", flush=True)
    print(f"{options.count} seeds, {failed} failed, {time.process_time() - begin:.1f} s")
    return 1 if failed else 0


def one(seed: int, trace: bool) -> bool:
    """One seed; False when it failed."""
    verdict = run(draw(seed), trace)
    if trace:
        print("\n".join(verdict.notes))
    if verdict.error is None:
        return True
    print(f"seed {seed}: {type(verdict.error).__name__}: {verdict.error}", flush=True)
    if trace:
        traceback.print_exception(verdict.error)
    return False


sys.exit(main())
