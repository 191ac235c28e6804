"""Explore every order of everything that can happen, in small scopes; and wider ones at random.

python -m tests.simulation.explore                 all scopes, with counts of states
python -m tests.simulation.explore NAME …          some of them
python -m tests.simulation.explore --walks 10000   that many random walks through each of the wide ones
"""

import argparse
import logging
import sys
from typing import Final

from tests.simulation.exploring.search import Found, explore, shortest, walk
from tests.simulation.exploring.world import Message, Scope

ONE: Final = (Message("s0", "m0"),)
TWO: Final = (Message("s0", "m0"), Message("s0", "m1"))
THREE: Final = (*TWO, Message("s0", "m2"))
TWICE: Final = (Message("s0", "m0"), Message("s0", "m0"))
CANCELLED: Final = (*ONE, Message("s0", "c1", "cancel"))
AGAIN: Final = (*ONE, Message("s0", "c1", "regenerate"))
ERASED: Final = (*ONE, Message("s0", "c1", "erase"))
APART: Final = (Message("s0", "m0"), Message("s1", "m1"))

QUICK: Final = (
    Scope("one message, a hand-over, its reply", ONE, moves=1, replies=True),
    Scope("one message, a fault", ONE, faults=1),
    Scope("one message, marks, a crash", ONE, faults=1, kinds=("crash",), ticks=True),
    Scope("a message twice, no fault", TWICE, claims=1, ticks=True),
    Scope("two messages, no fault", TWO, claims=1, replies=True),
    Scope("a message, cancelled, answered again or erased, no fault", (*CANCELLED, *AGAIN[1:], *ERASED[1:]), claims=1),
    Scope("a message and its cancel, a crash", CANCELLED, faults=1, kinds=("crash",)),
)
"""Some seconds each: part of the tests."""

FULL: Final = (
    Scope("three messages, no fault, their replies", THREE, claims=1, replies=True),
    Scope("three messages, a hand-over, a prompt model", THREE, moves=1, prompt=True),
    Scope("two messages, a crash", TWO, faults=1, kinds=("crash",)),
    Scope("two messages, a zombie", TWO, faults=1, kinds=("zombie",)),
    Scope("two messages, an unknown outcome", TWO, faults=1, kinds=("lost",)),
    Scope("a message twice, a zombie", TWICE, faults=1, kinds=("zombie",)),
    Scope("two sessions, a zombie, a prompt model", APART, faults=1, kinds=("zombie",), prompt=True),
    Scope("a message and its cancel, a zombie", CANCELLED, faults=1, kinds=("zombie",)),
    Scope("a message answered again, a crash", AGAIN, faults=1, kinds=("crash",)),
    Scope("a message, erased, a crash", ERASED, faults=1, kinds=("crash",)),
    Scope("one message, a fault, its reply", ONE, faults=1, replies=True),
    Scope("one message, marks, a zombie", ONE, faults=1, kinds=("zombie",), ticks=True),
)
"""Minutes each."""

WIDE: Final = (
    Scope(
        "four messages, three nodes, everything", (*THREE, *APART[1:]), 3, faults=3, moves=2, claims=8, ticks=True, replies=True
    ),
    Scope("two messages, two faults, marks", TWO, faults=2, moves=1, claims=5, ticks=True, replies=True),
    Scope("three messages of two sessions, one twice", (*TWICE, *APART[1:]), faults=2, moves=1, claims=5),
)
"""Too many states to see them all: walks."""


def main() -> int:
    """Exit code 1 when something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.explore")
    parser.add_argument("names", nargs="*", help="scopes; all when none is named")
    parser.add_argument("--walks", type=int, default=0, help="so many random walks through each of the wide scopes")
    parser.add_argument("--seed", type=int, default=0, help="of the first walk")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if options.walks:
        return max(walks(scope, options.seed, options.walks) for scope in WIDE)
    scopes = [scope for scope in (*QUICK, *FULL) if not options.names or scope.name in options.names]
    return max(tell(scope, explore(scope)) for scope in scopes)


def tell(scope: Scope, found: Found) -> int:
    """Print what a search has found; 1 when something was wrong."""
    print(
        f"{scope.name}: {found.states} states, {found.steps} steps, {found.ends} ends judged, "
        f"paths of up to {found.worst} steps, {found.spent_s:.0f} s of CPU",
        flush=True,
    )
    if found.error is None:
        return 0
    print(f"{found.error!r}\n" + "\n".join(f"  {who} {what}" for what, who in shortest(scope, found.path)), flush=True)
    return 1


def walks(scope: Scope, seed: int, count: int) -> int:
    """Many walks through one scope; 1 when something was wrong."""
    total = Found()
    for each in range(seed, seed + count):
        found = walk(scope, each)
        total.states += found.states
        total.ends += found.ends
        total.worst = max(total.worst, found.worst)
        total.spent_s += found.spent_s
        if found.error is not None:
            total.error, total.path = found.error, found.path
            print(f"walk {each}")
            break
    return tell(scope, total)


if __name__ == "__main__":
    sys.exit(main())
