"""Two nodes on three brokers (three replicas, two in sync), of which one after the other is killed with -9 or stopped."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.broker import Cluster, require_kafka
from tests.checking.checker import check
from tests.checking.raw import lag, read_kafka
from tests.load import HttpClient, KafkaSender, Tally, in_background, numbered, tally
from tests.nodes import Nodes
from tests.scale import full_only
from tests.until import until

PARTITIONS = 16
SESSIONS = 40
PER_S = 40.0
KILLS = 12
GO_ON_S = 150.0

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(1800)]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    require_kafka()
    with Cluster(3) as three:
        yield three


@full_only
async def test_dead_brokers_lose_nothing_and_the_nodes_go_on_by_themselves(tmp_path: Path, cluster: Cluster) -> None:
    sender = KafkaSender(cluster.bootstrap)
    with Nodes(tmp_path, cluster.bootstrap) as nodes:
        nodes.add()
        await nodes.serve(PARTITIONS)
        nodes.add()
        await until(lambda: min(node.served() for node in nodes.all) > 0, 60, "both have a share", nodes.tails)
        async with HttpClient(nodes.urls) as client, tally(cluster.bootstrap) as answered:
            stop = asyncio.Event()
            talk = asyncio.create_task(client.talk_until("talk", stop))
            going = asyncio.create_task(sender.send_until(numbered(SESSIONS, 1_000_000), stop, PER_S))
            async with in_background(client.read_along("talk"), *(client.read_along(f"s-{n}") for n in range(5))):
                for number in range(KILLS):
                    await kill_one(cluster, number, sender, answered, nodes)
                stop.set()
                await asyncio.gather(talk, going)
                everything = len(sender.sent) + len(client.sent)
                await answered.reaches(everything, GO_ON_S, nodes.tails)
            await until(lambda: lag(cluster.bootstrap) == 0, 60, "nothing is left to be read", nodes.tails)
            final = {name: await client.history(name) for name in ("talk", "s-0", "s-1")}
        checker = check(read_kafka(cluster.bootstrap), [*sender.sent, *client.sent], client.shown)
        assert final == {name: [event.value for event in checker.history[name]] for name in final}
        nodes.check_calm()
        assert all(node.running and node.starts == 1 for node in nodes.all)
        print(f"sent {len(sender.sent)} by Kafka, {len(client.sent)} over HTTP, statuses {client.statuses}")


async def kill_one(cluster: Cluster, number: int, sender: KafkaSender, answered: Tally, nodes: Nodes) -> None:
    """The group's coordinator, killed; then the coordinator, stopped with its connections open; then one at random.

    While it is away, what is sent is answered; then it comes back.
    """
    victim = random.randrange(3) if number % 3 == 2 else await asyncio.to_thread(coordinator, cluster)
    stopped = number % 3 == 1
    if stopped:
        cluster.stop(victim)
    else:
        cluster.kill9(victim)
    enough = max(answered.count, len(sender.sent)) + round(PER_S * random.uniform(1, 3))
    await answered.reaches(enough, GO_ON_S, nodes.tails)
    if stopped:
        cluster.cont(victim)
    else:
        # In this thread: a broker dies with the thread that started it.
        cluster.restart(victim)
    await asyncio.to_thread(cluster.wait_ready)
    await until(lambda: in_sync(cluster), GO_ON_S, "every partition has all its replicas again")


def coordinator(cluster: Cluster) -> int:
    """Index of the broker that coordinates the nodes' group."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap, "log_level": 0})
    described = admin.describe_consumer_groups(["chatstream"])["chatstream"].result(30)
    return next(i for i, server in enumerate(cluster.servers) if server.address.number == described.coordinator.id)


def in_sync(cluster: Cluster) -> bool:
    """Is every replica of every partition in sync? A broker that dies before that could stop the partition."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap, "log_level": 0})
    try:
        topics = admin.list_topics(timeout=5).topics.values()
    except KafkaException:
        return False
    return all(len(each.isrs) == len(each.replicas) for topic in topics for each in topic.partitions.values())
