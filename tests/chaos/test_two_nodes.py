"""Two nodes on real Kafka: killed, stopped for longer than the group waits, fenced by hand, told to leave."""

import asyncio
import json
import signal
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.checking.checker import Checker, check
from tests.checking.raw import EVENTS, lag, read_kafka
from tests.load import HttpClient, KafkaSender, in_background, numbered, tally
from tests.nodes import Nodes
from tests.scale import FULL, full_only
from tests.until import until

SESSIONS = 40
TALKERS = 8
PARTITIONS = 16
PER_S = 30.0
QUICK_TO_MISS = ("-X", "session.timeout.ms=6000")
"""The least that a broker allows: a node that is away is missed after 6 s in place of 10."""
ROUNDS = 5 if FULL else 1
TAKEOVER_S = 60.0

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900 if FULL else 240)]


async def test_killed_and_stopped_nodes_lose_nothing_and_take_back_nothing_that_was_shown(tmp_path: Path, broker: str) -> None:
    sender = KafkaSender(broker)
    names = [f"talk-{number}" for number in range(TALKERS)]
    with Nodes(tmp_path, broker, *QUICK_TO_MISS) as nodes:
        nodes.add()
        await nodes.serve(PARTITIONS)
        nodes.add()
        async with HttpClient(nodes.urls) as client, tally(broker) as answered:
            stop = asyncio.Event()
            readers = [client.read_along(name) for name in names] + [client.read_along(f"s-{n}") for n in range(10)]
            talks = [asyncio.create_task(client.talk_until(name, stop)) for name in names]
            async with in_background(*readers):
                going = asyncio.create_task(sender.send_until(numbered(SESSIONS, 100_000), stop, PER_S))
                for _ in range(ROUNDS):
                    await one_round(nodes)
                stop.set()
                await asyncio.gather(going, *talks)
                await answered.reaches(len(sender.sent) + len(client.sent), 120)
            await finished(nodes, broker)
            checker = checked(nodes, broker, sender, client)
            final = {name: await client.history(name) for name in [*names, "s-0", "s-1"]}
        assert final == {name: [event.value for event in checker.history[name]] for name in final}
        print(f"sent {len(sender.sent)} by Kafka, {len(client.sent)} over HTTP, statuses {client.statuses}")


async def one_round(nodes: Nodes) -> None:
    """Each node is killed once and stopped once, for so long that the other has taken over."""
    first, second = nodes.all
    first.kill9()
    await second.serves(PARTITIONS, TAKEOVER_S)
    first.start()
    await nodes.serve(PARTITIONS)
    await until(lambda: first.served() > 0, TAKEOVER_S, "the first node gets its share again", nodes.tails)
    second.signal(signal.SIGSTOP)
    await first.serves(PARTITIONS, TAKEOVER_S)
    second.signal(signal.SIGCONT)
    await until(lambda: second.served() > 0 and shared(nodes), TAKEOVER_S, "the stopped node gets its share again", nodes.tails)


def shared(nodes: Nodes) -> bool:
    return sum(node.served() for node in nodes.all) == PARTITIONS


async def finished(nodes: Nodes, broker: str) -> None:
    await until(lambda: lag(broker) == 0, 60, "nothing is left to be read", nodes.tails)


def checked(nodes: Nodes, broker: str, sender: KafkaSender, client: HttpClient | None = None) -> Checker:
    """The checker's word on everything, and no node complained."""
    noted = client.sent if client else []
    checker = check(read_kafka(broker), [*sender.sent, *noted], client.shown if client else [])
    nodes.check_calm()
    return checker


async def test_a_zombies_late_claim_does_not_keep_a_partition_from_its_owner(tmp_path: Path, broker: str) -> None:
    """A claim of a node that is long gone lands late: it fences the owner, who takes the partition back by itself."""
    sender = KafkaSender(broker)
    with Nodes(tmp_path, broker) as nodes:
        node = nodes.add()
        await node.serves(PARTITIONS)
        async with tally(broker) as answered:
            await sender.send(numbered(SESSIONS, 100))
            await answered.reaches(50, 30)
            claim_by_hand(broker)
            await sender.send(numbered(SESSIONS, 100))
            await answered.reaches(200, 60)
            claim_by_hand(broker)  # while idle: noticed with the next message
            await sender.send(numbered(SESSIONS, 100))
            await answered.reaches(300, 60)
        await finished(nodes, broker)
        checker = checked(nodes, broker, sender)
    assert checker.report.answered == 300
    assert checker.report.claims > 3 * PARTITIONS


def claim_by_hand(broker: str) -> None:
    """Onto each partition of chat.events: a claim with the next epoch, of a node that never comes back."""
    highest: dict[int, dict[str, object]] = {}
    for raw in read_kafka(broker, [EVENTS])[EVENTS]:
        if (raw.key or b"").startswith(b"#claim/"):
            highest[raw.partition] = json.loads(raw.value or b"")
    producer = Producer({"bootstrap.servers": broker, "log_level": 0})
    for partition, claim in highest.items():
        assert isinstance(claim["epoch"], int)
        late = claim | {"epoch": claim["epoch"] + 1, "id": "00000000dead", "node": "node-zombie", "url": "http://127.0.0.1:9"}
        key = f"#claim/{late['epoch']}-{late['id']}"
        producer.produce(EVENTS, key=key, value=json.dumps(late), partition=partition)
    assert producer.flush(30) == 0


@full_only
async def test_a_node_that_is_told_to_leave_hands_its_sessions_over(tmp_path: Path, broker: str) -> None:
    sender = KafkaSender(broker)
    with Nodes(tmp_path, broker) as nodes:
        first = nodes.add()
        await nodes.serve(PARTITIONS)
        second = nodes.add()
        await until(lambda: second.served() > 0 and shared(nodes), TAKEOVER_S, "both have a share", nodes.tails)
        async with tally(broker) as answered:
            await sender.send(numbered(SESSIONS, 200))
            left_at = time.monotonic()
            first.signal(signal.SIGTERM)
            await sender.send(numbered(SESSIONS, 200))
            await answered.reaches(400, 60)
            print(f"all 40 sessions were answered {time.monotonic() - left_at:.1f} s after the first node was told to leave")
            assert await first.end() == 0
        await second.serves(PARTITIONS)
        await finished(nodes, broker)
        checked(nodes, broker, sender)
