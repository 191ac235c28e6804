"""Simulated histories by hand.

python -m tests.simulation --seed 7 --trace     one history, told
python -m tests.simulation --seed 7 --count 500 many
python -m tests.simulation --count 100000 --processes 2 --chunk 1000
                                                very many, in processes that end after so many each
python -m tests.simulation --soak               until stopped; failing ones are cut down to the shortest that still fails
"""

import argparse
import itertools
import logging
import sys
import time
import traceback

from tests.simulation.many import Part, add, run_many
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
    parser.add_argument("--processes", type=int, default=0, help="so many side by side, each ends after a chunk")
    parser.add_argument("--chunk", type=int, default=1_000, help="seeds a process runs before a fresh one takes over")
    options = parser.parse_args()
    if options.processes:
        return many(options.seed, options.count, options.chunk, options.processes)
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


def many(first: int, count: int, chunk: int, processes: int) -> int:
    """Chunks of seeds over processes, told as they end; 1 when a history failed."""
    total = Part(0, (), 0.0)
    for part in run_many(first, count, chunk, processes):
        total = add(total, part)
        for seed, error in part.failed:
            print(f"seed {seed}: {error}", flush=True)
        print(
            f"{total.seeds} seeds, {len(total.failed)} failed, {total.spent_s:.1f} s of CPU, "
            f"{total.seeds / total.spent_s * 60:.0f} a minute of it; the last chunk {part.seeds / part.spent_s * 60:.0f}",
            flush=True,
        )
    return 1 if total.failed else 0


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
