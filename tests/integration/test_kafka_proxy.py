"""Two nodes on one broker: whatever is asked of the wrong one is answered as its owner does, also when the owner dies."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout

from chatstream.web.proxy import PASSED_ON_BY
from tests.nodes import NodeProcess, Nodes

PARTITIONS: Final = 16
WAIT_S: Final = 60.0
OFFLINE: Final = "offline"
READS: Final = [
    "", "/messages", "/messages?limit=1", "/messages?limit=0", "/events", "/events?offset=now", "/events?offset=wrong",
    "/events?offset=-1&live=long-poll", "/state", "/state/color", "/state/nothing", "/export", "/export?format=md",
]  # fmt: skip
COMPARED: Final = {"content-type", "etag", "stream-next-offset", "stream-up-to-date", "cache-control", "content-disposition",
                   "retry-after"}  # fmt: skip

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


class Two:
    """A session, its owner, and the node that is asked in its place."""

    def __init__(self, client: ClientSession, nodes: Nodes, owner: NodeProcess, other: NodeProcess, session: str) -> None:
        self._client = client
        self.nodes = nodes
        self.owner = owner
        self.other = other
        self.path = f"/v1/sessions/{session}"

    async def ask(self, method: str, path: str, status: int = 200, body: Any = None, **headers: str) -> Any:
        """Ask the wrong node; it has to be answered with this status. The answer's body."""
        async with self._client.request(method, self.other.url + self.path + path, json=body, headers=headers) as answer:
            assert answer.status == status, (method, path, answer.status, await answer.text(), self.nodes.tails())
            return await answer.json() if answer.content_type.endswith("json") else None

    async def say(self, text: str) -> Any:
        return await self.ask("POST", "/messages", 200, {"text": text}, Prefer="wait=50")

    async def read(self, node: NodeProcess, path: str) -> tuple[int, dict[str, str], bytes]:
        """What a node answers: status, the headers that say something of the session, body."""
        async with self._client.get(node.url + self.path + path, headers={"X-Request-Id": "same"}) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return answer.status, {name: value for name, value in headers.items() if name in COMPARED}, await answer.read()

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator["Stream"]:
        """Server-sent events, by way of the wrong node."""
        timeout = ClientTimeout(total=None, sock_read=WAIT_S)
        async with self._client.get(self.other.url + self.path + path, timeout=timeout) as answer:
            assert (answer.status, answer.content_type) == (200, "text/event-stream")
            yield Stream(answer)


class Stream:
    """The data of one stream's frames, as they come."""

    def __init__(self, answer: ClientResponse) -> None:
        self._answer = answer

    async def next(self) -> Any:
        """The next frame's data. Raises ClientError or EOFError where the stream ends."""
        while True:
            line = await self._answer.content.readline()
            if not line:
                raise EOFError
            if line.startswith(b"data:"):
                return json.loads(line.removeprefix(b"data:"))

    async def until(self, kind: str) -> list[Any]:
        """What comes until an event of that type, with it."""
        found: list[Any] = []
        while not found or found[-1].get("type") != kind:
            read = await self.next()
            found += read if isinstance(read, list) else [read]
        return found


@asynccontextmanager
async def two(directory: Path, broker: str) -> AsyncIterator[Two]:
    """Both nodes with their share of the partitions, and a session of the first one's."""
    with Nodes(directory, broker, "-X", "session.timeout.ms=6000") as nodes:
        owner = nodes.add(responder=OFFLINE)
        await nodes.serve(PARTITIONS)
        other = nodes.add(responder=OFFLINE)
        async with ClientSession() as client, asyncio.timeout(200):
            while other.served() != PARTITIONS // 2 or owner.served() != PARTITIONS // 2:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            session = await session_of(client, owner)
            assert not await is_of(client, other, session)
            for node in (owner, other):
                # A node that has just come still reads who announced what: until then the other one's share is unknown to it.
                while await shares(client, node) != {owner.url: PARTITIONS // 2, other.url: PARTITIONS // 2}:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            yield Two(client, nodes, owner, other, session)
        nodes.check_calm()


async def shares(client: ClientSession, node: NodeProcess) -> dict[str, int]:
    """How many partitions each node serves, as one of them tells."""
    async with client.get(f"{node.url}/v1/cluster") as answer:
        body = await answer.json()
    served = [one["url"] for one in body["partitions"] if one["state"] == "active" and one["folded"] == one["end"] > 0]
    assert {one["url"]: one["serves"] for one in body["nodes"]} == Counter(served)
    return dict(Counter(served))


async def session_of(client: ClientSession, node: NodeProcess) -> str:
    """A session that the node owns."""
    for number in range(1000):
        if await is_of(client, node, f"s-{number}"):
            return f"s-{number}"
    raise AssertionError("it owns none of a thousand")


async def is_of(client: ClientSession, node: NodeProcess, session: str) -> bool:
    """Does the node own it? Asked as another node does, it says so instead of passing the request on."""
    async with client.get(f"{node.url}/v1/sessions/{session}", headers={PASSED_ON_BY: "somebody"}) as answer:
        return answer.status != 421


async def test_what_the_wrong_node_is_asked_is_as_if_the_owner_had_been_asked(tmp_path: Path, broker: str) -> None:
    async with two(tmp_path, broker) as asked:
        # Streams stand open before the first message, and are woken by way of the other node.
        polling = asyncio.create_task(asked.read(asked.other, "/events?offset=now&live=long-poll"))
        async with asked.stream("/events?offset=-1&live=sse") as events, asked.stream("/live") as live:
            assert (await live.until("stream.ready"))[-1]["offset"]
            assert "You said: hello" in (await asked.say("hello"))["reply"]["text"]
            status, _, body = await polling
            assert (status, json.loads(body)[0]["type"]) == (200, "message.accepted")
            assert [event["type"] for event in await events.until("reply.completed") if "type" in event] == [
                "message.accepted",
                "reply.completed",
            ]
            seen = await live.until("reply.completed")
            assert "".join(one["text"] for one in seen if one["type"] == "text.delta") == seen[-1]["text"]
            await asked.say("/remember color red")
            for path in READS:
                assert await asked.read(asked.other, path) == await asked.read(asked.owner, path), path
            await every_action(asked)
        for path in ("", "/messages", "/events", "/live", "/state", "/export"):
            assert await asked.read(asked.other, path) == await asked.read(asked.owner, path), path
            assert (await asked.read(asked.other, path))[0] == 410


async def every_action(asked: Two) -> None:
    """Each by way of the other node, the last one the erasure."""
    await asked.ask("PATCH", "", 200, {"title": "Colours"})
    assert (await asked.ask("GET", ""))["title"] == "Colours"
    await asked.ask("PUT", "/state/shape", 412, "round", **{"If-Match": '"none"'})
    await asked.ask("PUT", "/state/shape", 200, "round")
    await asked.ask("DELETE", "/state/shape", 200)
    slow = await asked.ask("POST", "/messages", 202, {"text": "/slow 50"})
    await asked.ask("POST", "/messages", 409, {"text": "now", "on_busy": "reject"})
    assert (await asked.ask("POST", "/cancel"))["turn"] == slow["seq"]
    await asked.ask("POST", "/retry", 200, {"turn": slow["seq"]})
    await asked.ask("POST", "/cancel", 200, {"turn": slow["seq"]})
    last = await asked.say("last")
    await asked.ask("POST", "/regenerate", 200)
    await asked.ask("POST", "/edit", 200, {"seq": last["message"]["seq"], "text": "other"})
    fork = await asked.ask("POST", "/fork", 201, {})
    assert fork["session"]
    await asked.ask("POST", "/approvals/pay", 409, {"decision": "approved"})
    await asked.ask("DELETE", "", 204)


async def test_an_owner_that_dies_is_a_503_at_the_other_node_which_goes_on_by_itself(tmp_path: Path, broker: str) -> None:
    async with two(tmp_path, broker) as asked:
        await asked.say("hello")
        async with asked.stream("/events?offset=-1&live=sse") as events:
            await events.until("reply.completed")
            polling = asyncio.create_task(asked.read(asked.other, "/events?offset=now&live=long-poll"))
            running = await asked.ask("POST", "/messages", 202, {"text": "/slow 1", "message_id": "m-1"})
            assert running["status"] == "running"
            asked.owner.kill9()
            # What was held there ends as an error that may be repeated, or had its answer already; a stream breaks off.
            status, _, body = await polling
            assert status == 200 or json.loads(body)["code"] == "owner-unreachable"
            with pytest.raises((ClientError, EOFError)):
                await events.until("nothing of this kind")
        refused = 0
        async with asyncio.timeout(WAIT_S):
            while True:
                status, headers, body = await asked.read(asked.other, "/messages")
                if status == 200:
                    break
                problem = json.loads(body)
                assert headers["retry-after"] == "1"
                assert (status, problem["retryable"], problem["retry_after_s"]) == (503, True, 1), problem
                assert problem["code"] in ("owner-unreachable", "no-owner", "restoring")
                refused += 1
        assert refused > 0
        again = await asked.ask("POST", "/messages", 200, {"text": "/slow 1", "message_id": "m-1"}, Prefer="wait=50")
        assert (again["duplicate"], again["message"]["seq"]) == (True, running["seq"])
        async with asked.stream("/events?offset=-1&live=sse") as events:
            kinds: list[str] = []
            while kinds.count("reply.completed") < 2:
                kinds += [event["type"] for event in await events.until("reply.completed") if "type" in event]
        assert kinds == ["message.accepted", "reply.completed", "message.accepted", "reply.completed"]
