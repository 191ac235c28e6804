"""A node on real Kafka, with everything on its topics that nobody should have sent."""

import asyncio
from pathlib import Path
from typing import Final

import pytest
from confluent_kafka import KafkaError, Message, Producer

from tests.bad_records import BAD, LAST_CLAIM, STRANGERS
from tests.checking.checker import check
from tests.checking.raw import DEAD_LETTERS, EVENTS, MESSAGES, lag, read_kafka
from tests.load import KafkaSender, numbered, tally
from tests.nodes import NodeProcess, Nodes
from tests.until import until

PARTITIONS: Final = 16
SESSIONS: Final = 40
FLUSH_S: Final = 60.0
COUNTED: Final = [bad for bad in BAD if bad.name != "blanks"]
"""What the model is not shown would confuse the checker, which counts what it was shown."""

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


def produce(broker: str, strangers_on: int, bad_on: int) -> list[str]:
    """Everything bad, onto one partition each; the names of what the broker itself refuses."""
    refused: list[str] = []
    producer = Producer({"bootstrap.servers": broker, "message.max.bytes": 2_000_000, "log_level": 0})
    for stranger in STRANGERS:
        producer.produce(EVENTS, stranger.value, stranger.key, strangers_on, headers=list(stranger.headers))
    for bad in COUNTED:

        def on_delivery(error: KafkaError | None, _: Message, name: str = bad.name) -> None:
            if error is not None:
                refused.append(name)

        producer.produce(MESSAGES, bad.value, bad.key, bad_on, timestamp=bad.at_ms, on_delivery=on_delivery)
        assert producer.flush(FLUSH_S) == 0  # one by one: the broker refuses whole batches
    return refused


def seat_of(broker: str, session: str) -> int:
    """The partition of a session, as the log has it."""
    return next(raw.partition for raw in read_kafka(broker, [MESSAGES])[MESSAGES] if raw.key == session.encode())


async def test_bad_records_are_set_aside_and_everybody_else_is_answered(tmp_path: Path, broker: str) -> None:
    sender = KafkaSender(broker)
    with Nodes(tmp_path, broker) as nodes:
        node = nodes.add()
        await node.serves(PARTITIONS)
        async with tally(broker) as answered:
            await sender.send([("s0", "where is it")])
            await answered.reaches(1, 60, nodes.tails)
            home = seat_of(broker, "s0")
            for other in (home, (home + 1) % PARTITIONS):
                assert await asyncio.to_thread(produce, broker, other, other) == ["from the future"]
                await sender.send(numbered(SESSIONS, SESSIONS))
            await until(lambda: lag(broker) == 0, 60, "nothing is left to be read", nodes.tails)
            node.kill9()  # and from scratch, as a node without a table meets it
            node.drop_table()
            node.start()
            await node.serves(PARTITIONS)
            await sender.send(numbered(SESSIONS, SESSIONS))
            await until(lambda: lag(broker) == 0, 60, "nothing is left to be read", nodes.tails)
            await answered.reaches(len(sender.sent), 60, nodes.tails)
        checker = check(read_kafka(broker), sender.sent)
        letters = [raw.headers["reason"].decode() for raw in read_kafka(broker, [DEAD_LETTERS])[DEAD_LETTERS]]
        assert node.starts == 2
        nodes.check_calm()
    assert checker.report.claims >= 2 * PARTITIONS
    # What lay on the wrong partition has gone to the right one first, if it had a key that tells which that is.
    assert sorted(letters) == sorted(2 * [bad.reason for bad in BAD if bad.reason])


async def test_a_claim_above_which_there_is_none_is_told_and_the_other_partitions_are_served(
    tmp_path: Path, broker: str
) -> None:
    with Nodes(tmp_path, broker) as nodes:
        node = nodes.add()
        await node.serves(PARTITIONS)
        node.kill9()
        producer = Producer({"bootstrap.servers": broker, "log_level": 0})
        producer.produce(EVENTS, LAST_CLAIM.value, LAST_CLAIM.key, 3)
        assert producer.flush(FLUSH_S) == 0
        node.start()
        await until(lambda: "partition 3 is not served" in refusal(node), 60, "it is told", node.tail)
        assert "no node wrote that" in refusal(node)
        await node.serves(PARTITIONS - 1)
        nodes.check_calm()


def refusal(node: NodeProcess) -> str:
    """What it says of partitions that it does not serve."""
    return "\n".join(line["message"] for line in node.said() if "is not served" in line["message"])
