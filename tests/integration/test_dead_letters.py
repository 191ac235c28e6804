"""A command that could not be taken, on real Kafka: seen, produced again once its cause is mended, and answered once."""

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any, Final

import pytest

from tests.checking.raw import REPLIES, lag, read_kafka
from tests.load import KafkaSender
from tests.nodes import NodeProcess, Nodes
from tests.until import until

PARTITIONS: Final = 16
WAIT_S: Final = 60.0
TEXT: Final = "a long letter " * 8_000  # 112,000 bytes

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


def ask(node: NodeProcess, path: str, method: str = "GET") -> Any:
    with urllib.request.urlopen(urllib.request.Request(node.url + path, method=method), timeout=30) as answer:
        return json.load(answer)


def letters(node: NodeProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(node, "/v1/console/dead-letters")["data"]
    return found


def texts(broker: str) -> list[str]:
    """What was answered, of whom."""
    return [json.loads(raw.value or b"{}")["session"] for raw in read_kafka(broker, [REPLIES])[REPLIES]]


async def test_a_message_too_large_for_a_node_is_answered_once_by_one_that_takes_it(tmp_path: Path, broker: str) -> None:
    with Nodes(tmp_path, broker) as nodes:
        strict = nodes.add("--limit", "text_bytes=100000", responder="offline")
        await strict.serves(PARTITIONS)
        await KafkaSender(broker).send([("alice", TEXT)])
        await until(lambda: len(letters(strict)) == 1, WAIT_S, "the letter is there", nodes.tails)
        (letter,) = letters(strict)
        assert (letter["key"], letter["reason"], letter["size_bytes"], letter["whole"]) == (
            "alice",
            "too-large",
            len(TEXT),
            True,
        )
        assert letter["text"] == TEXT[:4096]
        assert await strict.end() == 0

        generous = nodes.add(responder="offline")
        await generous.serves(PARTITIONS)
        for _ in range(2):  # an impatient operator
            again = await asyncio.to_thread(ask, generous, f"/v1/console/dead-letters/{letter['offset']}/redrive", "POST")
            assert again["id"] == f"k-{letter['place'].replace('/', '-')}"
        await until(lambda: lag(broker) == 0 and texts(broker) == ["alice"], WAIT_S, "it is answered", nodes.tails)
        messages = ask(generous, "/v1/sessions/alice/messages")["data"]
        assert [item["role"] for item in messages] == ["user", "assistant"]
        assert messages[0]["text"] == TEXT
        assert messages[0]["message_id"] == again["id"]
        assert len(letters(generous)) == 1
        nodes.check_calm()
