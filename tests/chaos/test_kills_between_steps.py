"""The agent of the examples, its process killed with -9 between its two tools."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from tests.fake_messages_api import FakeMessagesApi
from tests.nodes import NodeProcess, Nodes
from tests.until import until

PARTITIONS = 16
WAIT_S = 30.0
LOOK_S = 0.05


def notes(place: Path) -> list[str]:
    found = place / "notes"
    return found.read_text().splitlines() if found.exists() else []


async def test_an_agent_that_is_killed_between_two_tools_goes_on_without_calling_the_first_again(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    api = FakeMessagesApi("find-tables", "book-table", "ok")
    async with api.serve() as url:
        env = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "a-key-of-the-test", "STEPPING": str(place)}
        with Nodes(tmp_path) as nodes:
            node = nodes.add(responder="tests.stepping:Stepping", env=env)
            await node.serves(PARTITIONS)
            async with aiohttp.ClientSession(node.url) as client:
                await (await client.post("/v1/sessions/alice/messages", json={"text": "A table for four, please."})).read()
                await until(lambda: len(notes(place)) == 2, 30, "the second tool is at work", node.tail)
                node.kill9()
                (place / "go").touch()
                node.start()
                await node.serves(PARTITIONS)
                events = await when_ended(client, node)
            nodes.check_calm()
    assert notes(place) == ["find alice/1/1/find_tables#1", "book alice/1/1/book_table#1", "book alice/1/1/book_table#1"]
    assert api.calls == 3
    assert len((place / "bookings.jsonl").read_text().splitlines()) == 1
    assert [event["type"] for event in events] == [
        "message.accepted",
        *("step.completed", "step.completed", "step.completed"),
        "turn.resumed",
        *("step.completed", "step.completed", "reply.completed"),
    ]


async def when_ended(client: aiohttp.ClientSession, node: NodeProcess) -> list[dict[str, Any]]:
    """Alice's events once her turn has ended."""
    async with asyncio.timeout(WAIT_S):
        while True:
            async with client.get("/v1/sessions/alice/events?offset=-1") as answer:
                events: list[dict[str, Any]] = await answer.json()
            if events[-1]["type"].startswith("reply."):
                return events
            assert node.running, node.tail()
            await asyncio.sleep(LOOK_S)
