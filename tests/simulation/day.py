"""A whole day of one small service in virtual time: a message now and then, something going wrong every few minutes.

python -m tests.simulation.day [SEED]
"""

import logging
import sys
import time
from random import Random
from typing import Final

from msgspec.structs import replace

from tests.simulation.plan import Mishap, Plan, Send, draw
from tests.simulation.scenario import run

DAY_S: Final = 86_400.0
EVERY_S: Final = 450.0
"""Between two mishaps, at the mean."""
NODES: Final = 2


def day(seed: int, hours: float = 24.0) -> Plan:
    """Bursts of messages and the mishaps of as many seeds as fit, spread over the hours."""
    rng, end_s = Random(f"day {seed}"), hours * 3_600.0
    quiet = replace(draw(seed), nodes=NODES, partitions=2, tight=False, readers=1, sends=(), mishaps=(), end_s=end_s)
    sends: list[Send] = []
    mishaps: list[Mishap] = []
    at_s, part = 0.0, 0
    while at_s < end_s - 60.0:
        drawn = draw(1_000_000 * seed + part)
        sends += [
            replace(
                send,
                at_s=at_s + send.at_s,
                number=len(sends) + place,
                node=min(send.node, NODES - 1),
                astray=send.astray % 2,
                session=f"{send.session}h{part // 10}",
                message_id=send.message_id and f"{send.message_id}p{part}",
            )
            for place, send in enumerate(drawn.sends)
        ]
        mishaps += [_moved(mishap, at_s) for mishap in drawn.mishaps]
        at_s, part = at_s + rng.expovariate(1 / EVERY_S), part + 1
    return replace(quiet, sends=tuple(sends), mishaps=tuple(mishaps))


def _moved(mishap: Mishap, at_s: float) -> Mishap:
    return replace(mishap, at_s=at_s + mishap.at_s, node=mishap.node % NODES)


def main() -> int:
    """Exit code 1 when something was wrong."""
    logging.disable(logging.CRITICAL)
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    plan, begin_s = day(seed), time.process_time()
    error = run(plan).error
    spent_s = time.process_time() - begin_s
    print(f"24 h, {len(plan.sends)} messages, {len(plan.mishaps)} mishaps in {spent_s:.0f} s of CPU: {error!r}")
    return 0 if error is None else 1


if __name__ == "__main__":
    sys.exit(main())
