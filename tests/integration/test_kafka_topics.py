"""topics plan, apply and check on a real broker."""

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions
from msgspec.structs import replace

from chatstream import topics
from chatstream.core.errors import BadSettings, LogReplaced, LogUnavailable
from chatstream.log.port import Topic
from tests.broker import Cluster, fresh_topics

pytestmark = pytest.mark.kafka


def changed(topic: Topic, **what: object) -> topics.Declared:
    declared = topics.load()
    declared[topic] = replace(declared[topic], **what)
    return declared


def test_apply_creates_what_plan_said_and_then_nothing_is_left(broker: str) -> None:
    declared = topics.load()
    planned = topics.plan(broker, declared)
    assert [(step.kind, step.topic) for step in planned] == [("create", topic) for topic in declared]
    assert topics.apply(broker, declared) == planned
    assert topics.plan(broker, declared) == []
    assert topics.apply(broker, declared) == []
    assert topics.check(broker, declared) == []


def test_check_names_the_topics_that_are_missing(broker: str) -> None:
    with pytest.raises(BadSettings, match=r"chat\.messages, chat\.events"):
        topics.check(broker, topics.load())


def test_a_setting_that_differs_is_changed_and_others_are_left(broker: str) -> None:
    large = {"max.message.bytes": "8388608"}
    topics.apply(broker, changed(Topic.REPLIES, config={"retention.ms": "1000", "segment.ms": "777777", **large}))
    declared = changed(Topic.REPLIES, config={"retention.ms": "2000", **large})
    assert [step.sentence for step in topics.check(broker, declared)] == ["change chat.replies: retention.ms from 1000 to 2000"]
    topics.apply(broker, declared)
    kept = {"retention.ms": "2000", "segment.ms": "777777", **large}
    assert topics.plan(broker, changed(Topic.REPLIES, config=kept)) == []


@pytest.mark.parametrize("partitions", [8, 32])
def test_another_partition_count_is_refused_and_nothing_is_done(broker: str, partitions: int) -> None:
    topics.apply(broker, topics.load())
    declared = topics.load()
    for topic in topics.TIED:
        declared[topic] = replace(declared[topic], partitions=partitions)
    declared[Topic.OWNERS] = replace(declared[Topic.OWNERS], config={"max.message.bytes": "1000000"})
    assert "refuse" in {step.kind for step in topics.plan(broker, declared)}
    for refused in (topics.apply, topics.check):
        with pytest.raises(BadSettings, match=f"chat.messages has 16 partitions and is declared with {partitions}: .* fixed"):
            refused(broker, declared)
    assert topics.plan(broker, topics.load()) == []


def test_partitions_raised_behind_our_back_are_refused(kafka: Cluster) -> None:
    fresh_topics(kafka.bootstrap, partitions=16)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_partitions([NewPartitions(Topic.MESSAGES.value, 17)])[Topic.MESSAGES.value].result(30)
    for _ in range(100):  # until the broker shows it
        if any(step.kind == "refuse" for step in topics.plan(kafka.bootstrap, topics.load())):
            break
    with pytest.raises(BadSettings, match=r"need the same number of partitions and would have: chat\.messages 17"):
        topics.check(kafka.bootstrap, topics.load())


def test_a_missing_topic_that_would_not_fit_the_others_is_not_created(kafka: Cluster) -> None:
    fresh_topics(kafka.bootstrap, partitions=4)
    declared = topics.load()
    with pytest.raises(BadSettings, match="fixed for life"):
        topics.apply(kafka.bootstrap, declared)


def test_another_number_of_replicas_is_refused_unless_it_is_the_brokers_choice(broker: str) -> None:
    topics.apply(broker, topics.load())
    with pytest.raises(BadSettings, match=r"chat\.events has 1 replicas and is declared with 3"):
        topics.check(broker, changed(Topic.EVENTS, replication_factor=3))
    assert topics.check(broker, changed(Topic.EVENTS, replication_factor=1)) == []


def test_topics_that_would_lose_conversations_are_refused_until_apply_has_set_them_right(kafka: Cluster) -> None:
    fresh_topics(kafka.bootstrap, 16, {Topic.EVENTS: {"cleanup.policy": "delete"}})
    with pytest.raises(BadSettings, match=r"chat\.events has cleanup\.policy=delete: .* `chatstream topics apply` sets what"):
        topics.check(kafka.bootstrap, topics.load())
    topics.apply(kafka.bootstrap, topics.load())
    assert topics.check(kafka.bootstrap, topics.load()) == []


def test_a_topic_that_was_made_again_is_refused(broker: str) -> None:
    declared = topics.load()
    topics.apply(broker, declared)
    with pytest.raises(LogReplaced, match=r"chat\.events is not the topic that was here before"):
        topics.check(broker, declared, known_ids={Topic.EVENTS: "AAAAAAAAAAAAAAAAAAAAAA"})


def test_more_replicas_than_brokers_is_one_clear_sentence(broker: str) -> None:
    with pytest.raises(BadSettings, match=r"creating chat\.messages"):
        topics.apply(broker, changed(Topic.MESSAGES, replication_factor=3))


def test_no_broker_is_one_clear_sentence() -> None:
    with pytest.raises(LogUnavailable, match=r"no Kafka broker answers at 127\.0\.0\.1:1"):
        topics.plan("127.0.0.1:1", topics.load())
