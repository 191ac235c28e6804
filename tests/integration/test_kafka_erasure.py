"""Erasure on real Kafka: after compaction no byte of the session is left in chat.events, and nothing brings it back."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import ClientSession
from confluent_kafka import Producer

from tests.broker import Cluster, require_kafka
from tests.checking.raw import DEAD_LETTERS, EVENTS, Raw, read_kafka
from tests.nodes import ROOT, NodeProcess, Nodes
from tests.until import until

SECRET = "a-secret-that-is-nowhere-else"
ALICE = "/v1/sessions/alice"
BOB = "/v1/sessions/bob"
COMPACTED_S = 120.0
MANY = 400
"""Messages of the session, each with a reply."""
QUICK = {
    "segment.ms": 300,
    "max.compaction.lag.ms": 300,
    "min.cleanable.dirty.ratio": 0.01,
    "delete.retention.ms": 0,
    "file.delete.delay.ms": 0,
}
"""In place of days, moments."""
READS = ["", "/messages", "/events?offset=-1", "/events?offset=-1&live=long-poll", "/events?offset=-1&live=sse",
         "/events?offset=now", "/live", "/state", "/state/color", "/export"]  # fmt: skip

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@pytest.fixture
def cleaning(tmp_path: Path) -> Iterator[Cluster]:
    """A broker that looks for what it may remove all the time."""
    require_kafka()
    with Cluster(1, {"log.cleaner.backoff.ms": "100"}, tmp_path / "kafka") as cluster:
        yield cluster


def declared(directory: Path) -> str:
    """Our topics as they are declared, but one partition, and the events cleaned at once."""
    topics = yaml.safe_load((ROOT / "topics.yaml").read_text())
    topics["defaults"]["partitions"] = 1
    topics["topics"]["chat.events"]["config"] |= QUICK
    path = directory / "topics.yaml"
    path.write_text(yaml.safe_dump(topics))
    return str(path)


class Talk:
    """Somebody who asks a node for things."""

    def __init__(self, node: NodeProcess, client: ClientSession) -> None:
        self._node = node
        self._client = client

    async def ask(self, method: str, path: str, status: int, body: Any = None, **headers: str) -> Any:
        """A request that has to be answered with this status; the answer's body."""
        async with self._client.request(method, self._node.url + path, json=body, headers=headers) as answer:
            assert answer.status == status, (path, answer.status, await answer.text())
            return await answer.json() if answer.content_type.endswith("json") else None

    async def say(self, path: str, text: str) -> None:
        await self.ask("POST", f"{path}/messages", 200, {"text": text}, Prefer="wait=30")

    async def is_gone(self) -> None:
        """No way of reading or asking finds anything but that there was a session."""
        for path in READS:
            assert (await self.ask("GET", ALICE + path, 410))["code"] == "session-erased"
        await self.ask("POST", f"{ALICE}/messages", 410, {"text": "again"})
        listed = await self.ask("GET", "/v1/sessions", 200)
        assert [one["session"] for one in listed["data"]] == ["bob"]


def of_alice(raw: Raw) -> bool:
    """Does the record hold anything of what was said, by whatever writer?"""
    return SECRET.encode() in (raw.value or b"") or (raw.value is not None and (raw.key or b"").startswith(b"alice/"))


def events(cluster: Cluster) -> list[Raw]:
    return read_kafka(cluster.bootstrap, [EVENTS])[EVENTS]


def files(cluster: Cluster) -> bytes:
    """All that is on the broker's disk of chat.events."""
    return b"".join(path.read_bytes() for path in sorted(cluster.directory.glob(f"*/data/{EVENTS}-*/*.log*")))


async def compacted(cluster: Cluster, talk: Talk) -> None:
    """Wait until the broker has removed it: it closes a segment when the next record comes, so somebody goes on talking."""
    deadline_s = asyncio.get_running_loop().time() + COMPACTED_S
    while SECRET.encode() in await asyncio.to_thread(files, cluster):
        assert asyncio.get_running_loop().time() < deadline_s, "the secret is still on the disk"
        await talk.say(BOB, "hello")
        await asyncio.sleep(0.5)


def produce(cluster: Cluster, *values: str) -> None:
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "partitioner": "murmur2_random", "log_level": 0})
    for value in values:
        producer.produce("chat.messages", key="alice", value=value)
    assert producer.flush(30) == 0


async def test_after_compaction_no_byte_is_left_and_nothing_brings_it_back(tmp_path: Path, cleaning: Cluster) -> None:
    said = json.dumps({"text": f"/remember color {SECRET}", "message_id": "m-1"})
    with Nodes(tmp_path, cleaning.bootstrap) as nodes:
        node = nodes.add("--topics", declared(tmp_path), responder="offline")
        await nodes.serve(1)
        async with ClientSession() as client:
            talk = Talk(node, client)
            await talk.say(BOB, "hello")
            produce(cleaning, said)
            await talk.say(ALICE, f"{SECRET} again")
            assert await talk.ask("GET", f"{ALICE}/state/color", 200) == SECRET
            await talk.ask("PATCH", ALICE, 200, {"title": SECRET, "metadata": {"of": SECRET}})
            assert sum(SECRET.encode() in (raw.value or b"") for raw in events(cleaning)) >= 5
            assert SECRET.encode() in files(cleaning)
            produce(cleaning, *(f"{SECRET} {number}" for number in range(MANY)))
            async with asyncio.timeout(60):
                while (await talk.ask("GET", ALICE, 200))["replies"] < MANY + 2:  # noqa: ASYNC110  # the node is another party
                    await asyncio.sleep(0.1)
            await talk.ask("DELETE", ALICE, 204)
            # Hundreds of tombstones are still to be written: that is for the next owner.
            node.kill9()
            node.start()
            await nodes.serve(1)
            await talk.is_gone()
            await compacted(cleaning, talk)
            left = [json.loads(raw.value or b"")["type"] for raw in events(cleaning) if of_alice(raw)]
            assert left == ["session.erased"]
            # What is delivered again, or comes late, is a dead letter, and what was said is not in it.
            letters = len(read_kafka(cleaning.bootstrap, [DEAD_LETTERS])[DEAD_LETTERS])
            produce(cleaning, said)
            produce(cleaning, f"late {SECRET}")
            await until(lambda: len(dead(cleaning)) == letters + 2, 60, "both are dead letters", nodes.tails)
            assert {(raw.headers["reason"], raw.value) for raw in dead(cleaning)} == {(b"session-erased", None)}
            await talk.is_gone()
            history = await talk.ask("GET", f"{BOB}/messages", 200)
            # A new owner knows only what compaction has left.
            node.kill9()
            node.drop_table()
            node.start()
            await nodes.serve(1)
            await talk.is_gone()
            assert await talk.ask("GET", f"{BOB}/messages", 200) == history
        nodes.check_calm()
    assert [raw for raw in events(cleaning) if SECRET.encode() in (raw.value or b"")] == []


async def test_what_lands_behind_the_erasure_goes_too_though_nobody_says_anything_any_more(tmp_path: Path, broker: str) -> None:
    def last() -> Raw:
        return read_kafka(broker, [EVENTS])[EVENTS][-1]

    with Nodes(tmp_path, broker, "--topics", declared(tmp_path), "--limit", "look_s=1") as nodes:
        node = nodes.add()
        await nodes.serve(1)
        async with ClientSession() as client:
            talk = Talk(node, client)
            await talk.say(ALICE, SECRET)
            await talk.ask("DELETE", ALICE, 204)
        await until(lambda: not any(map(of_alice, removed(broker))), 60, "every record has its tombstone", node.tail)
        producer = Producer({"bootstrap.servers": broker, "log_level": 0})
        producer.produce(EVENTS, key="alice/9/0-dead", value=SECRET, headers={"claim": b"0-dead"}, partition=0)
        assert producer.flush(30) == 0
        await until(lambda: (last().key, last().value) == (b"alice/9/0-dead", None), 60, "it has its tombstone", node.tail)
        assert node.served() == 1
        nodes.check_calm()


def removed(broker: str) -> list[Raw]:
    """What compaction would leave of what was said: of each key the last record, but not the erasure."""
    left = {raw.key: raw for raw in read_kafka(broker, [EVENTS])[EVENTS]}
    return [raw for raw in left.values() if raw.value is not None and b"session.erased" not in raw.value]


def dead(cluster: Cluster) -> list[Raw]:
    return read_kafka(cluster.bootstrap, [DEAD_LETTERS])[DEAD_LETTERS]
