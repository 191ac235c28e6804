"""Two nodes whose clocks jump by days, in both directions, and never agree."""

import sys
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.jumping_clock import JumpingClock
from tests.checking.checker import check
from tests.checking.raw import lag, read_kafka
from tests.load import KafkaSender, numbered, tally
from tests.nodes import Nodes
from tests.scale import FULL
from tests.until import until

PARTITIONS: Final = 16
SESSIONS: Final = 40
MESSAGES: Final = 400 if FULL else 80
DAY_S: Final = 86_400.0
PROGRAM: Final = (sys.executable, "-m", "tests.chaos.jumping_clock")
QUICK_TO_MISS: Final = ("-X", "session.timeout.ms=6000")
JUMPS: Final = ((400 * DAY_S, -DAY_S), (-3 * DAY_S, 0.0), (3_600.0, -30 * 365 * DAY_S), (0.0, 1.5))
"""By how much the clocks of both nodes are wrong, one pair after the other."""

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


async def test_no_clock_decides_what_counts(tmp_path: Path, broker: str) -> None:
    """Nothing is lost, and the times in a session never go back, also when a node with an earlier clock takes over."""
    sender = KafkaSender(broker)
    clocks = [JumpingClock(tmp_path / f"clock-{number}") for number in range(2)]
    with Nodes(tmp_path, broker, *QUICK_TO_MISS) as nodes:
        for clock in clocks:
            nodes.add(env=clock.env, program=PROGRAM)
        await until(lambda: min(node.served() for node in nodes.all) > 0, 90, "both have a share", nodes.tails)
        async with tally(broker) as answered:
            for number, jump in enumerate(JUMPS):
                await sender.send(numbered(SESSIONS, MESSAGES // 2))
                for clock, wrong_s in zip(clocks, jump, strict=True):
                    clock.jump(wrong_s)
                if number == 1:  # the node whose clock is ahead is gone, and the other one has its sessions
                    nodes.all[0].kill9()
                await sender.send(numbered(SESSIONS, MESSAGES // 2))
                if number == 1:
                    await nodes.all[1].serves(PARTITIONS)
                    nodes.all[0].start()
                await answered.reaches(len(sender.sent), 60, nodes.tails)
        await until(lambda: lag(broker) == 0, 30, "nothing is left to be read", nodes.tails)
        checker = check(read_kafka(broker), sender.sent)
        nodes.check_calm()
    assert checker.report.answered == len(sender.sent)
    for events in checker.history.values():
        times = [event.fields["time"] for event in events]
        assert times == sorted(times)
    assert len({time[:4] for events in checker.history.values() for time in (event.fields["time"] for event in events)}) > 1
