"""The main job: typed into Kafka's own console producer, answered through the Anthropic SDK, read by the console consumer."""

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.checking.checker import check
from tests.checking.raw import read_kafka
from tests.fake_messages_api import FakeMessagesApi
from tests.load import tally
from tests.nodes import ROOT, Nodes

PARTITIONS = 16
TOOL_S = 60.0

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


async def tool(name: str, *args: str, typed: str = "") -> str:
    """Run one of Kafka's own tools; what it printed."""
    process = await asyncio.create_subprocess_exec(
        str(ROOT / "dev" / "kafka" / "tool"),
        name,
        *args,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TOOL_S):
            out, err = await process.communicate(typed.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def produce(broker: str, typed: str) -> None:
    """`echo … | kafka-console-producer … parse.key=true key.separator=:`"""
    key = ("--reader-property", "parse.key=true", "--reader-property", "key.separator=:")
    await tool("console-producer", "--bootstrap-server", broker, "--topic", "chat.messages", *key, typed=typed)


async def consume(broker: str, topic: str, count: int) -> list[str]:
    """Lines of `kafka-console-consumer` with headers, keys and values, divided by tabs."""
    shown = ("--formatter-property", "print.key=true", "--formatter-property", "print.headers=true")
    args = ("--bootstrap-server", broker, "--topic", topic, "--from-beginning", "--max-messages", str(count))
    return (await tool("console-consumer", *args, *shown)).splitlines()


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.loads(response.read())


async def test_a_typed_line_is_answered_by_the_model_and_read_in_three_ways(tmp_path: Path, broker: str) -> None:
    async with FakeMessagesApi().serve() as model_url:
        with Nodes(tmp_path, broker) as nodes:
            env = {"ANTHROPIC_API_KEY": "sk-test", "ANTHROPIC_BASE_URL": model_url}
            node = nodes.add(responder="anthropic", env=env)
            await node.serves(PARTITIONS)

            await produce(broker, "alice:hello\n")
            (line,) = await consume(broker, "chat.replies", 1)
            headers, key, value = line.split("\t")
            assert key == "alice"
            assert headers.startswith("source:")
            assert value.startswith('{"type":"reply.completed","session":"alice",')
            said = json.loads(value)["text"]
            assert "hello" in said

            found = (await asyncio.to_thread(get, f"{node.url}/v1/sessions/alice/messages"))["data"]
            assert [(each["role"], each["text"]) for each in found] == [("user", "hello"), ("assistant", said)]

            await produce(
                broker,
                'alice:{"type": "message", "text": "as JSON", "message_id": "j-1"}\n'
                "alice:{broken\n"
                'alice:{"text": "no type"}\n'
                'alice:{"type": "dance"}\n'
                "not a session:hello\n"
                "alice:behind them\n"
                "bob:äöü {not JSON}: plain text\n",
            )
            async with tally(broker) as answered:
                await answered.reaches(5, 60)
            dead = await consume(broker, "chat.dead-letters", 3)
            reasons = sorted(line.split("reason:")[1].split(",")[0] for line in dead)
            assert reasons == ["bad-key", "malformed-json", "unknown-type"]
            assert any(line.endswith("\t{broken") for line in dead)
            assert await node.end() == 0
            nodes.check_calm()
        checker = check(read_kafka(broker), [])
        assert (checker.report.answered, checker.report.dead) == (5, 3)
        texts = [event.fields["text"] for event in checker.history["alice"] if event.type == "message.accepted"]
        assert texts == ["hello", "as JSON", "no type", "behind them"]
        assert checker.history["alice"][2].fields["message_id"] == "j-1"
        assert checker.history["bob"][0].fields["text"] == "äöü {not JSON}: plain text"
