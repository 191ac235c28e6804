"""A broker, two nodes, senders, and readers that come and go, for a set time; told each minute what the nodes hold.

    python -m tests.chaos.soak --minutes 60

Ends with the checker on the raw topics, and with exit code 1 when memory or descriptors have grown.
"""

import argparse
import asyncio
import itertools
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import aiohttp

from tests.broker import Cluster
from tests.chaos.vitals import Vitals, vitals
from tests.checking.checker import check
from tests.checking.raw import lag, read_kafka
from tests.load import HttpClient, KafkaSender, in_background, tally
from tests.nodes import Nodes
from tests.until import until

PARTITIONS: Final = 16
SESSIONS: Final = 200
GO_ON_S: Final = 120.0
READERS: Final = 50
STAY_S: Final = 2.0
GROWTH_MIB: Final = 40.0
"""Beyond what a node held half-way: caches are full by then."""
GROWTH_DESCRIPTORS: Final = 20


class Soak:
    """per_s: messages a second. taken: what every node held, sample by sample."""

    def __init__(self, duration_s: float, sample_s: float, per_s: float, tell: Callable[[str], None]) -> None:
        self.duration_s = duration_s
        self.sample_s = sample_s
        self.per_s = per_s
        self.taken: list[list[Vitals]] = []
        self._tell = tell

    async def run(self, directory: Path, bootstrap: str) -> None:
        """The whole of it. Raises AssertionError."""
        sender = KafkaSender(bootstrap)
        with Nodes(directory, bootstrap) as nodes:
            nodes.add()
            await nodes.serve(PARTITIONS)
            nodes.add()
            await until(lambda: min(node.served() for node in nodes.all) > 0, 60, "both have a share", nodes.tails)
            async with HttpClient(nodes.urls) as client, tally(bootstrap) as answered:
                stop = asyncio.Event()
                going = asyncio.create_task(sender.send_until(endless(), stop, self.per_s))
                talk = asyncio.create_task(client.talk_until("talk", stop))
                async with in_background(*(come_and_go(nodes.urls, number) for number in range(READERS))):
                    await self._watch(nodes)
                stop.set()
                await asyncio.gather(going, talk)
                await answered.reaches(len(sender.sent) + len(client.sent), GO_ON_S, nodes.tails)
            await until(lambda: lag(bootstrap) == 0, 60, "nothing is left to be read", nodes.tails)
            check(read_kafka(bootstrap), [*sender.sent, *client.sent], client.shown)
            nodes.check_calm()
            self._take(nodes)
        self.judge()

    async def _watch(self, nodes: Nodes) -> None:
        loop = asyncio.get_running_loop()
        end_s = loop.time() + self.duration_s
        while (left_s := end_s - loop.time()) > 0:
            await asyncio.sleep(min(self.sample_s, left_s))
            self._take(nodes)

    def _take(self, nodes: Nodes) -> None:
        found = [vitals(node.process.pid) for node in nodes.all if node.process is not None]
        self.taken.append(found)
        self._tell("; ".join(f"{each.memory_mib:.0f} MiB, {each.descriptors} fds, {each.threads} threads" for each in found))

    def judge(self) -> None:
        """The end against the time half-way: nothing goes on growing; readers that left have left nothing behind."""
        for before, after in zip(middle(self.taken), self.taken[-1], strict=True):
            assert after.memory_mib <= before.memory_mib + GROWTH_MIB, (before, after)
            assert after.descriptors <= before.descriptors + GROWTH_DESCRIPTORS, (before, after)
            assert after.threads <= before.threads + 2, (before, after)


def endless() -> Iterator[tuple[str, str]]:
    """(session, text), the sessions in turn."""
    return ((f"s-{number % SESSIONS}", f"message {number}") for number in itertools.count())


def middle(taken: Sequence[Sequence[Vitals]]) -> list[Vitals]:
    """What each node held in the middle third, at the median."""
    third = len(taken) // 3
    part = taken[third : 2 * third] or taken
    return [
        Vitals(*(statistics.median(sample[number][field] for sample in part) for field in range(3)))  # type: ignore[arg-type]
        for number in range(len(taken[0]))
    ]


async def come_and_go(urls: Sequence[str], number: int) -> None:
    """A reader that listens for a moment, breaks off, and comes back, over and over."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=STAY_S)) as http:
        turn = number
        while True:
            turn += 1
            live = "sse" if turn % 2 else "long-poll"
            place = f"{urls[turn % len(urls)]}/v1/sessions/s-{turn % SESSIONS}/events?offset=-1&live={live}"
            with suppress(aiohttp.ClientError, TimeoutError):
                async with http.get(place) as response:
                    await response.read()
            await asyncio.sleep(STAY_S / 4)


def main() -> int:
    """Exit code 1 when something was lost, doubled, or grew."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--per-s", type=float, default=50.0, help="messages a second")
    options = parser.parse_args()
    soak = Soak(options.minutes * 60, 60.0, options.per_s, lambda line: print(line, flush=True))
    with Cluster(1) as cluster, tempfile.TemporaryDirectory(prefix="chatstream-soak-") as directory:
        try:
            asyncio.run(soak.run(Path(directory), cluster.bootstrap))
        except AssertionError as error:
            print(error)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
