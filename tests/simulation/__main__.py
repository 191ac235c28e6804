"""Simulated histories by hand.

python -m tests.simulation --seed 7 --trace     one history, told
python -m tests.simulation --seed 7 --count 500 many
python -m tests.simulation --soak               until stopped; failing ones are cut down to the shortest that still fails
"""

import argparse
import itertools
import logging
import sys
import time
import traceback

from tests.simulation.plan import draw
from tests.simulation.scenario import run
from tests.simulation.shrink import shrink, told

SPEAK_EVERY = 1_000


def main() -> int:
    """Exit code 1 when a history failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=1, help="how many seeds")
    parser.add_argument("--trace", action="store_true", help="tell what happened, with the product's own log lines")
    parser.add_argument("--shrink", action="store_true", help="cut failing histories down")
    parser.add_argument("--soak", action="store_true", help="go on until stopped, and cut failing histories down")
    options = parser.parse_args()
    if not options.trace:
        logging.disable(logging.CRITICAL)
    seeds = itertools.count(options.seed) if options.soak else range(options.seed, options.seed + options.count)
    begin_s, done, failed = time.process_time(), 0, 0
    try:
        for done, seed in enumerate(seeds, 1):
            failed += not one(seed, options.trace, options.shrink or options.soak)
            if done % SPEAK_EVERY == 0:
                speak(done, failed, begin_s)
    except KeyboardInterrupt:
        print()
    speak(done, failed, begin_s)
    return 1 if failed else 0


def speak(done: int, failed: int, begin_s: float) -> None:
    """How far it is."""
    spent_s = time.process_time() - begin_s
    print(f"{done} seeds, {failed} failed, {spent_s:.1f} s of CPU, {done / spent_s * 60:.0f} a minute", flush=True)


def one(seed: int, trace: bool, shorter: bool) -> bool:
    """One seed; False when it failed."""
    verdict = run(draw(seed), trace)
    if trace:
        print("\n".join(verdict.notes))
    if verdict.error is None:
        return True
    print(f"seed {seed}: {type(verdict.error).__name__}: {verdict.error}", flush=True)
    if trace:
        traceback.print_exception(verdict.error)
    if shorter:
        short = shrink(draw(seed))
        again = run(short, noting=True)
        print(f"shortest found: {told(short)}\n" + "\n".join(again.notes) + f"\n{again.error!r}", flush=True)
    return False


if __name__ == "__main__":
    sys.exit(main())
