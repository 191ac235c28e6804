"""Other people's producers: other partitioners, transactions that end in one way or the other."""

from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.checking.checker import check
from tests.checking.raw import MESSAGES, lag, read_kafka
from tests.load import KafkaSender, numbered, tally
from tests.nodes import Nodes
from tests.until import until

PARTITIONS = 16
SESSIONS = 40
MESSAGES_EACH = 5

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


async def test_a_producer_with_librdkafkas_own_partitioner_reaches_the_same_sessions(tmp_path: Path, broker: str) -> None:
    count = SESSIONS * MESSAGES_EACH
    with Nodes(tmp_path, broker) as nodes:
        await nodes.add().serves(PARTITIONS)
        elsewhere, home = KafkaSender(broker, {"partitioner": "consistent_random"}), KafkaSender(broker)
        async with tally(broker) as answered:
            await elsewhere.send(numbered(SESSIONS, count))
            await home.send(numbered(SESSIONS, count))
            await answered.reaches(2 * count, 60)
        await until(lambda: lag(broker) == 0, 30, "nothing is left to be read", nodes.tails)
        checker = check(read_kafka(broker), elsewhere.sent)
        check(read_kafka(broker), home.sent)
        nodes.check_calm()
    assert checker.report.answered == 2 * count
    assert checker.report.forwarded > count // 2  # of 16 partitions it finds the right one by chance only
    texts = [event.fields["text"] for event in checker.history["s-7"] if event.type == "message.accepted"]
    assert sorted(texts) == sorted(2 * [f"message {n}" for n in range(7, count, SESSIONS)])


async def test_what_a_transaction_took_back_is_never_answered(tmp_path: Path, broker: str) -> None:
    with Nodes(tmp_path, broker) as nodes:
        await nodes.add().serves(PARTITIONS)
        producer = Producer(
            {
                "bootstrap.servers": broker,
                "transactional.id": "shop",
                "partitioner": "murmur2_random",
                "log_level": 0,
            }
        )
        producer.init_transactions(60)
        async with tally(broker) as answered:
            for number, ends_well in enumerate([True, False, True, False, False, True]):
                producer.begin_transaction()
                for session in range(SESSIONS):
                    text = f"{'kept' if ends_well else 'taken back'} {number}"
                    producer.produce(MESSAGES, key=f"s-{session}", value=text)
                producer.flush(60)
                if ends_well:
                    producer.commit_transaction(60)
                else:
                    producer.abort_transaction(60)
            await answered.reaches(3 * SESSIONS, 60)
        behind = KafkaSender(broker)
        await behind.send([(f"s-{session}", "the last") for session in range(SESSIONS)])
        async with tally(broker) as answered:
            await answered.reaches(4 * SESSIONS, 60)
        assert await nodes.all[0].end() == 0
        checker = check(read_kafka(broker), behind.sent)
        nodes.check_calm()
    assert checker.report.answered == 4 * SESSIONS
    for history in checker.history.values():
        texts = [event.fields["text"] for event in history if event.type == "message.accepted"]
        assert texts == ["kept 0", "kept 2", "kept 5", "the last"]
