"""Reading topics.yaml."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from chatstream import topics
from chatstream.core.errors import BadSettings
from chatstream.log.kafka_admin import TopicFacts
from chatstream.log.port import Topic
from chatstream.log.sizes import RECORD_BYTES_MAX

ALL = "topics: {chat.messages: , chat.events: , chat.replies: , chat.dead-letters: , chat.owners: }\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "topics.yaml"
    path.write_text(text)
    return path


def test_the_declared_topics_are_the_ones_that_the_code_knows() -> None:
    declared = topics.load()
    assert set(declared) == set(Topic)
    assert {each.partitions for each in declared.values()} == {16}
    assert {topic: int(each.config["max.message.bytes"]) for topic, each in declared.items()} == dict(RECORD_BYTES_MAX)
    compacted = {topic for topic, each in declared.items() if each.config["cleanup.policy"] == "compact"}
    assert compacted == {Topic.EVENTS, Topic.OWNERS}


def test_defaults_hold_where_a_topic_says_nothing(tmp_path: Path) -> None:
    defaults = "defaults: {partitions: 4, replication_factor: 3, config: {min.insync.replicas: 2, a.flag: true}}\n"
    declared = topics.load(written(tmp_path, defaults + ALL.replace("chat.owners: ", "chat.owners: {partitions: 1}")))
    assert declared[Topic.EVENTS] == topics.Declaration(
        partitions=4, replication_factor=3, config={"min.insync.replicas": "2", "a.flag": "true"}
    )
    assert declared[Topic.OWNERS].partitions == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("topics: {chat.messages: }", "does not declare chat.events"),
        (ALL.replace("chat.owners: ", "chat.owners: , chat.typo: "), "no topic 'chat.typo'"),
        (ALL.replace("chat.owners: ", "chat.owners: {partition: 3}"), "partition"),
        (ALL.replace("chat.events: ", "chat.events: {partitions: 8}"), "the same number of partitions"),
        (ALL.replace("chat.owners: ", "chat.owners: {partitions: 0}"), "may have 1 to 10000"),
        (ALL.replace("chat.owners: ", "chat.owners: {partitions: 10001}"), "may have 1 to 10000"),
        (ALL.replace("chat.owners: ", "chat.owners: {replication_factor: 0}"), "replication_factor 0"),
        ("topics: [", "is not YAML"),
        ("", "Expected `object`"),
    ],
)
def test_a_wrong_file_is_one_clear_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(BadSettings, match=sentence) as raised:
        topics.load(written(tmp_path, text))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("topic", "config", "sentence"),
    [
        (Topic.EVENTS, {"cleanup.policy": "delete"}, "its records are the conversations"),
        (Topic.EVENTS, {"cleanup.policy": "compact,delete"}, "its records are the conversations"),
        (Topic.MESSAGES, {"cleanup.policy": "compact"}, "only the last command would be kept"),
        (Topic.MESSAGES, {"max.message.bytes": "1048575"}, "max.message.bytes=1048575, and records may have 1048576"),
        (Topic.EVENTS, {"max.message.bytes": "1048588"}, "max.message.bytes=1048588"),
        (Topic.REPLIES, {"max.message.bytes": "1048588"}, "max.message.bytes=1048588"),
    ],
)
def test_what_would_lose_records_is_a_danger(topic: Topic, config: dict[str, str], sentence: str) -> None:
    (said,) = topics.dangers(topic, config)
    assert sentence in said


@pytest.mark.parametrize("topic", Topic)
def test_what_is_declared_is_none(topic: Topic) -> None:
    assert topics.dangers(topic, topics.load().get(topic).config) == []  # type: ignore[union-attr]
    assert topics.dangers(topic, {}) == []


def test_most_partitions_are_allowed(tmp_path: Path) -> None:
    declared = topics.load(written(tmp_path, ALL.replace("chat.owners: ", "chat.owners: {partitions: 10000}")))
    assert declared[Topic.OWNERS].partitions == 10_000


def test_a_missing_file_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="cannot be read"):
        topics.load(tmp_path / "none.yaml")


class LateCluster:
    """A cluster whose broker hears of its topics one question after the other."""

    def __init__(self) -> None:
        self.asked = 0

    def facts(self, names: Sequence[str]) -> dict[str, TopicFacts]:
        self.asked += 1
        declared = topics.load()
        known = list(names)[: self.asked]
        return {
            name: TopicFacts(name, declared[Topic(name)].partitions, 1, dict(declared[Topic(name)].config), frozenset())
            for name in known
        }


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> LateCluster:
    cluster = LateCluster()
    monkeypatch.setattr(topics, "_admin", lambda *_: cluster)
    return cluster


def test_topics_that_were_just_created_may_be_heard_of_late(late: LateCluster) -> None:
    assert topics.check("", topics.load(), wait_s=60) == []
    assert late.asked == len(Topic)


def test_topics_that_nobody_creates_are_missed_at_once(late: LateCluster) -> None:
    with pytest.raises(BadSettings, match="these topics do not exist"):
        topics.check("", topics.load())
    assert late.asked == 1
