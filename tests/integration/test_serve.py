"""A node put together in this process."""

import asyncio
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from chatstream.core.errors import BadSettings, DirectoryInUse
from chatstream.serve import CannotListen, bound, keep_node_id, loop_watched, serving
from chatstream.settings import Address, Settings

DEADLINE_S = 30.0


def settings(data: Path, **more: Any) -> Settings:
    return Settings(data=data, listen="127.0.0.1:0", responder="offline", partitions=2, **more)


async def said(url: str, text: str) -> str:
    """What the node replies."""
    async with asyncio.timeout(DEADLINE_S), ClientSession() as client:
        while True:
            headers = {"Prefer": "wait=10", "Content-Type": "text/plain"}
            async with client.post(f"{url}/v1/sessions/alice/messages", data=text, headers=headers) as response:
                if response.status == 200:
                    return str((await response.json())["reply"]["text"])


async def test_a_node_can_be_started_and_stopped_again_in_one_process(tmp_path: Path) -> None:
    for _ in range(2):
        async with serving(settings(tmp_path)) as served:
            assert "You said: hello" in await said(served.url, "hello")


async def test_two_nodes_of_one_process_do_not_share_a_directory(tmp_path: Path) -> None:
    async with serving(settings(tmp_path)):
        with pytest.raises(DirectoryInUse):
            async with serving(settings(tmp_path)):
                pass
        async with serving(settings(tmp_path / "other")) as other:
            assert "You said: hello" in await said(other.url, "hello")


async def test_the_number_of_partitions_is_fixed(tmp_path: Path) -> None:
    async with serving(settings(tmp_path)):
        pass
    with pytest.raises(BadSettings, match="2 partitions"):
        async with serving(settings(tmp_path).model_copy(update={"partitions": 3})):
            pass


async def test_a_foreign_page_is_turned_away_unless_its_origin_is_allowed(tmp_path: Path) -> None:
    allowed = settings(tmp_path, allow_origin="https://chat.example", allow_host="Chat.Example")
    async with serving(allowed) as served, ClientSession() as client:
        for headers, status in [
            ({"Origin": "https://chat.example"}, 200),
            ({"Origin": "https://other.example"}, 403),
            ({"Host": "chat.example"}, 200),
            ({"Host": "other.example"}, 403),
        ]:
            async with client.get(f"{served.url}/healthz", headers=headers) as response:
                assert response.status == status


async def test_an_event_loop_that_stands_still_ends_the_process() -> None:
    ended = threading.Event()
    said: list[str] = []

    def end(sentence: str) -> None:
        said.append(sentence)
        ended.set()

    async with loop_watched(0.2, end):
        # Blocks the loop on purpose, as careless model code does.
        assert ended.wait(DEADLINE_S)
    assert said == ["the event loop made no turn for 0.2 s"]


def test_an_id_is_made_once_and_left_as_it_is(tmp_path: Path) -> None:
    made = keep_node_id(tmp_path / "new" / "data")
    assert keep_node_id(tmp_path / "new" / "data") == made
    assert [path.name for path in (tmp_path / "new" / "data").iterdir()] == ["node-id"]


@pytest.mark.parametrize("content", ["", "two words", "k-1", "x" * 201])
def test_a_file_that_holds_no_id_is_said_so(content: str, tmp_path: Path) -> None:
    (tmp_path / "node-id").write_text(content)
    with pytest.raises(BadSettings, match="does not hold a node's id"):
        keep_node_id(tmp_path)


def test_an_address_is_bound_before_anybody_is_told_of_it() -> None:
    with bound(Address("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(CannotListen, match=f"cannot listen on 127.0.0.1:{port}"):
            bound(Address("127.0.0.1", port))


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_ipv6_can_be_listened_on() -> None:
    with bound(Address("::1", 0)) as listener:
        assert listener.family == socket.AF_INET6


def test_an_address_of_another_machine_is_said_so() -> None:
    with pytest.raises(CannotListen, match=r"cannot listen on 192\.0\.2\.1:80"):
        bound(Address("192.0.2.1", 80))


async def test_a_stopped_node_leaves_no_task_behind(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with serving(settings(tmp_path)) as served:
        await said(served.url, "hello")
    left = asyncio.all_tasks() - before
    if left:
        await asyncio.wait(left, timeout=DEADLINE_S)
    assert asyncio.all_tasks() - before == set()
