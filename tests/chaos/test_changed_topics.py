"""Topics that were deleted, made again, or given more partitions: a node says so and waits for a person, and shows nothing."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions

from chatstream import topics
from tests.checking.raw import EVENTS, MESSAGES, REPLIES, Topics, read_kafka
from tests.load import KafkaSender, numbered, tally
from tests.nodes import NodeProcess, Nodes
from tests.process import run
from tests.until import until

PARTITIONS = 16
SESSIONS = 40
ADMIN_S = 30.0
SAID_S = 60.0

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


def make_again(broker: str, name: str) -> None:
    """Delete the topic and make it as it is declared."""
    admin = AdminClient({"bootstrap.servers": broker, "log_level": 0})
    admin.delete_topics([name])[name].result(ADMIN_S)
    topics.apply(broker, topics.load(None))


def raise_partitions(broker: str, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker, "log_level": 0})
    admin.create_partitions([NewPartitions(name, PARTITIONS + 8)])[name].result(ADMIN_S)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda broker: make_again(broker, MESSAGES), "was deleted and made again"),
        (lambda broker: make_again(broker, EVENTS), "was deleted and made again"),
        (
            lambda broker: raise_partitions(broker, MESSAGES),
            "need the same number of partitions and would have: chat.messages 24",
        ),
    ],
    ids=["commands made again", "events made again", "partitions raised"],
)
async def test_a_node_that_starts_on_changed_topics_says_so_and_answers_nothing(
    tmp_path: Path, broker: str, change: Callable[[str], None], sentence: str
) -> None:
    sender = KafkaSender(broker)
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


async def test_an_operator_adopts_commands_that_were_made_again_and_the_conversations_go_on(
    tmp_path: Path, broker: str
) -> None:
    there = ["--bootstrap-servers", broker]
    with Nodes(tmp_path, broker) as nodes:
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
