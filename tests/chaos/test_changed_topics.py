"""Topics that were deleted, made again, or given more partitions: a node says so and waits for a person, and shows nothing."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions

from chatstream import topics
from tests.checking.raw import EVENTS, MESSAGES, REPLIES, Topics, read_kafka
from tests.load import KafkaSender, numbered, tally
from tests.nodes import NodeProcess, Nodes
from tests.process import run
from tests.scale import FULL, full_only
from tests.until import until

PARTITIONS = 16
SESSIONS = 40
ADMIN_S = 30.0
SAID_S = 60.0
QUICK_TO_NOTICE = ("-X", "topic.metadata.refresh.interval.ms=3000")
"""New partitions are looked for every 3 s in place of 5 minutes."""

Cases = dict[str, tuple[Callable[[str], None], str]]
"""What is done to the topics, and what the node says of it."""

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


def make_again(broker: str, name: str) -> None:
    """Delete the topic and make it as it is declared."""
    admin = AdminClient({"bootstrap.servers": broker, "log_level": 0})
    admin.delete_topics([name])[name].result(ADMIN_S)
    topics.apply(broker, topics.load(None))


def raise_partitions(broker: str, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker, "log_level": 0})
    admin.create_partitions([NewPartitions(name, PARTITIONS + 8)])[name].result(ADMIN_S)


AGAIN = "was deleted and made again"
AT_START: Cases = {
    "commands made again": (lambda broker: make_again(broker, MESSAGES), AGAIN),
    "partitions raised": (
        lambda broker: raise_partitions(broker, MESSAGES),
        "need the same number of partitions and would have: chat.messages 24",
    ),
    "events made again": (lambda broker: make_again(broker, EVENTS), AGAIN),
}
RUNNING: Cases = {
    "commands made again": (lambda broker: make_again(broker, MESSAGES), AGAIN),
    "events made again": (lambda broker: make_again(broker, EVENTS), AGAIN),
    "partitions raised": (lambda broker: raise_partitions(broker, MESSAGES), "Put the old count back"),
}


@pytest.mark.parametrize("case", AT_START if FULL else ["events made again"])
async def test_a_node_that_starts_on_changed_topics_says_so_and_answers_nothing(tmp_path: Path, broker: str, case: str) -> None:
    sender, (change, sentence) = KafkaSender(broker), AT_START[case]
    with Nodes(tmp_path, broker) as nodes:
        node = nodes.add()
        await node.serves(PARTITIONS)
        async with tally(broker) as answered:
            await sender.send(numbered(SESSIONS, SESSIONS))
            await answered.reaches(SESSIONS, 60)
        assert await node.end() == 0
        change(broker)
        before = told(broker)
        node.start()
        await until(lambda: refuses(node, sentence), SAID_S, "the node refuses", node.tail)
        await KafkaSender(broker).send(numbered(SESSIONS, SESSIONS))
        assert told(broker) == before
        nodes.check_calm()


@full_only
async def test_an_operator_adopts_commands_that_were_made_again_and_the_conversations_go_on(
    tmp_path: Path, broker: str
) -> None:
    there = ["--bootstrap-servers", broker]
    with Nodes(tmp_path, broker, "--limit", "refused_s=1") as nodes:
        node = nodes.add()
        await node.serves(PARTITIONS)
        nothing = await asyncio.to_thread(run, ["adopt", *there], tmp_path)
        assert (nothing.returncode, nothing.stderr.splitlines()[-1]) == (
            1,
            "chatstream: every partition can be served as its topics are: there is nothing to adopt",
        )
        async with tally(broker) as answered:
            await KafkaSender(broker).send(numbered(SESSIONS, SESSIONS))
            await answered.reaches(SESSIONS, 60)
            assert await node.end() == 0
            make_again(broker, MESSAGES)
            node.start()
            await until(lambda: refuses(node, "was deleted and made again"), SAID_S, "the node refuses", node.tail)
            await KafkaSender(broker).send(numbered(SESSIONS, SESSIONS))
            adopted = await asyncio.to_thread(run, ["adopt", *there], tmp_path)
            assert adopted.returncode == 0, adopted.stderr
            assert adopted.stdout.count("goes on from offset 0 of chat.messages, as input generation 1") == PARTITIONS
            await node.serves(PARTITIONS)
            await answered.reaches(2 * SESSIONS, 60, node.tail)
        again = await asyncio.to_thread(run, ["adopt", *there], tmp_path)
        assert again.returncode == 1
        replies = read_kafka(broker, [REPLIES])[REPLIES]
        assert len(replies) == len({(reply.key, json.loads(reply.value or b"")["turn"]) for reply in replies}) == 2 * SESSIONS
        nodes.check_calm()


def refuses(node: NodeProcess, sentence: str) -> bool:
    """It ended with the sentence, or serves no partition and says why for each."""
    lines = [line for line in node.log_file.read_text().splitlines() if sentence in line]
    return bool(lines) and (not node.running or (node.served() == 0 and len(lines) >= PARTITIONS))


def told(broker: str) -> Topics:
    """What the node has said to the world so far."""
    return read_kafka(broker, [EVENTS, REPLIES])


@pytest.mark.parametrize("case", RUNNING if FULL else ["partitions raised"])
async def test_topics_that_change_under_a_running_node_are_refused_and_it_goes_on(
    tmp_path: Path, broker: str, case: str
) -> None:
    """The partitions that cannot be served are named one by one; the node does not end, and no reply comes from nowhere."""
    sender, (change, sentence) = KafkaSender(broker), RUNNING[case]
    added = case == "partitions raised"
    refused = range(PARTITIONS, PARTITIONS + 8) if added else range(PARTITIONS)
    with Nodes(tmp_path, broker, *QUICK_TO_NOTICE) as nodes:
        node = nodes.add()
        await node.serves(PARTITIONS)
        async with tally(broker) as answered:
            await sender.send(numbered(SESSIONS, SESSIONS))
            await answered.reaches(SESSIONS, 60)
        before = read_kafka(broker, [REPLIES])
        change(broker)
        if not added:  # a node that has nothing to do need not look
            await KafkaSender(broker).send(numbered(SESSIONS, SESSIONS))
        await until(lambda: names(node, sentence) >= set(refused), SAID_S, "the node refuses", node.tail)
        assert node.running
        assert node.starts == 1
        assert read_kafka(broker, [REPLIES]) == before
        nodes.check_calm()


def names(node: NodeProcess, sentence: str) -> set[int]:
    """The partitions that the node says it does not serve, and why."""
    said = (
        re.match(r"partition (\d+) is not served: ", line["message"]) for line in node.said() if sentence in line["message"]
    )
    return {int(found[1]) for found in said if found}
