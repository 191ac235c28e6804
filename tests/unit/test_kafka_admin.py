"""An admin client through which the log is unavailable is replaced, once: it may be waiting for a controller that is dead."""

import asyncio
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicCollection

from chatstream.core.errors import LogUnavailable
from chatstream.core.ids import NodeId, PartitionNo
from chatstream.log import kafka_admin
from chatstream.log.kafka_admin import KafkaAdmin
from chatstream.log.kafka_settings import KafkaSettings
from chatstream.log.port import Topic


class Client:
    """In place of the library's. made: all so far; the first one waits for a broker that is dead, the others answer."""

    made: list["Client"]

    def __init__(self, _: dict[str, Any]) -> None:
        self.number = len(self.made)
        self.made.append(self)

    def _answer(self, value: Any) -> "Future[Any]":
        answer: Future[Any] = Future()
        if self.number:
            answer.set_result(value)
        else:
            answer.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT, "Timed out waiting for controller")))
        return answer

    def describe_topics(self, _: TopicCollection, **__: float) -> dict[str, "Future[Any]"]:
        return {Topic.MESSAGES.value: self._answer(Described())}

    def list_offsets(self, places: dict[Any, Any], **_: float) -> dict[Any, "Future[Any]"]:
        return {place: self._answer(Ends()) for place in places}


class Described:
    topic_id = "id"
    partitions = (1, 2)


class Ends:
    offset = 7


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> KafkaAdmin:
    Client.made = []
    monkeypatch.setattr(kafka_admin, "AdminClient", Client)
    return KafkaAdmin(KafkaSettings(bootstrap_servers="nowhere:9", node_id=NodeId("n1")))


async def test_the_next_request_goes_through_a_new_client(admin: KafkaAdmin) -> None:
    with pytest.raises(LogUnavailable, match="waiting for controller"):
        await admin.identify()
    assert (await admin.identify())[Topic.MESSAGES].partitions == 2
    assert len(Client.made) == 2


async def test_the_ends_of_a_partition_are_asked_of_a_new_client_too(admin: KafkaAdmin) -> None:
    with pytest.raises(LogUnavailable):
        await admin.bounds(Topic.EVENTS, PartitionNo(0))
    assert await admin.bounds(Topic.EVENTS, PartitionNo(0)) == (7, 7)


async def test_requests_that_fail_together_make_one_new_client(admin: KafkaAdmin) -> None:
    answers = await asyncio.gather(*(admin.identify() for _ in range(16)), return_exceptions=True)
    assert all(isinstance(answer, LogUnavailable) for answer in answers)
    await admin.identify()
    assert len(Client.made) == 2
