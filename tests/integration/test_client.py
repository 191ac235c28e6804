"""The clients against whole nodes: every action of the contract, and readers whose node is killed in the middle."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import CancelledError
from contextlib import aclosing
from pathlib import Path

import pytest

from chatstream import AsyncClient, Client, Patience
from chatstream.client import offset_behind
from chatstream.client.following import Mode
from chatstream.core.errors import BadInput, ChatstreamError, Erased, RequestRefused
from chatstream.core.events import AnyEvent, MessageAccepted, ReplyCompleted
from chatstream.core.unlogged import StreamReady, TextDelta
from chatstream.serve import serving
from chatstream.settings import Settings
from tests.nodes import NodeProcess, Nodes
from tests.until import until

DEADLINE_S = 60.0
PARTITIONS = 2


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[AsyncClient]:
    settings = Settings(data=tmp_path, listen="127.0.0.1:0", responder="offline", partitions=PARTITIONS)
    async with serving(settings) as served, AsyncClient(served.url, patience=Patience(attempts=30)) as client:
        yield client


def echo(text: str) -> str:
    return f"I am the offline model. You said: {text}"


async def test_a_message_is_said_answered_and_read(client: AsyncClient) -> None:
    exchange = await client.send_and_wait("alice", "hello", user="ann", metadata={"a": 1})
    assert (exchange.reply.text, exchange.reply.status) == (echo("hello"), "completed")
    again = await client.send("alice", "hello", message_id=exchange.message.message_id, user="ann", metadata={"a": 1})
    assert (again.seq, again.duplicate) == (1, True)
    assert [item.text async for item in client.history("alice")] == ["hello", echo("hello")]
    page = await client.messages("alice", limit=1)
    assert (page.data[0].seq, page.has_more, page.previous) == (2, True, 2)
    overview = await client.session("alice")
    assert (overview.status, overview.title, overview.messages, overview.offset) == ("idle", "hello", 1, page.offset)


async def test_the_list_is_read_page_by_page(client: AsyncClient) -> None:
    for name in ("ada", "adele", "bob"):
        await client.send_and_wait(name, f"I am {name}")
    first = await client.sessions(limit=2)
    second = await client.sessions(limit=2, cursor=first.next or "")
    assert [one.session for one in first.data + second.data] == ["bob", "adele", "ada"]
    assert [one.session async for one in client.all_sessions(prefix="ad", status=["idle", "running"])] == ["adele", "ada"]
    assert [one.session async for one in client.all_sessions(q="bob")] == ["bob"]


async def test_a_turn_is_stopped_tried_again_and_answered_anew(client: AsyncClient) -> None:
    sent = await client.send("alice", "/slow 60")
    stopped = await client.cancel("alice", turn=sent.seq)
    assert stopped.reply is not None
    assert stopped.reply.status == "cancelled"
    with pytest.raises(RequestRefused) as caught:
        await client.cancel("alice", turn=sent.seq)
    assert (caught.value.code, caught.value.status) == ("not-running", 409)
    assert (await client.retry("alice")).version == 2
    await client.cancel("alice")
    edited = await client.edit("alice", 1, "quick")
    await ended(client, "alice", edited.turn)
    done = await client.regenerate("alice", command_id="again")
    repeated = await client.regenerate("alice", command_id="again")
    assert (done.type, done.version, repeated.duplicate, repeated.seq) == ("turn.restarted", 2, True, done.seq)


async def ended(client: AsyncClient, session: str, turn: int) -> None:
    """Wait until the turn has an answer."""
    async with asyncio.timeout(DEADLINE_S), aclosing(client.follow(session)) as events:
        async for event in events:
            if isinstance(event, ReplyCompleted) and event.turn == turn:
                return


async def test_what_is_known_of_a_session_is_set_and_its_state_is_guarded(client: AsyncClient) -> None:
    await client.update("alice", title="of tea", metadata={"a": [1]}, system="be short")
    await client.update("alice", metadata=None)
    overview = await client.session("alice")
    assert (overview.title, overview.metadata, overview.system, overview.model) == ("of tea", None, "be short", "")
    first = await client.set_value("alice", "k", {"a": 1})
    assert await client.get_value("alice", "k") == type(await client.get_value("alice", "k"))({"a": 1}, first.etag)
    await client.set_value("alice", "k", [2], if_match=first.etag)
    with pytest.raises(RequestRefused) as caught:
        await client.set_value("alice", "k", 3, if_match=first.etag)
    assert caught.value.code == "precondition-failed"
    assert await client.get_state("alice") == {"k": [2]}
    await client.clear_value("alice", "k", if_match="*")
    with pytest.raises(RequestRefused, match="no-such-key"):
        await client.get_value("alice", "k")


async def test_a_fork_goes_its_own_way_and_an_erased_session_is_gone(client: AsyncClient) -> None:
    await client.send_and_wait("alice", "one")
    forked = await client.fork("alice")
    assert (forked.source, forked.through_seq) == ("alice", 2)
    await client.erase("alice")
    await client.erase("alice")
    assert (await client.send_and_wait(forked.session, "two")).reply.text == echo("two")
    for gone in (
        client.messages("alice"),
        client.send("alice", "x"),
        anext(client.follow("alice")),
        anext(client.live("alice")),
    ):
        with pytest.raises(Erased):
            await gone


async def test_a_follower_hears_of_the_end_of_its_session(client: AsyncClient) -> None:
    await client.send_and_wait("alice", "one")
    modes: list[Mode] = ["sse", "long-poll"]
    followers = [client.follow("alice", mode=mode) for mode in modes]
    for events in followers:
        assert [(await anext(events)).seq for _ in range(2)] == [1, 2]
    waiting = [asyncio.ensure_future(anext(events)) for events in followers]
    await client.erase("alice")
    for one in waiting:
        with pytest.raises(Erased):
            await one


async def test_a_window_that_joins_in_mid_answer_gets_all_of_it(client: AsyncClient) -> None:
    await client.send("alice", "/long 200")
    text = ""
    async with asyncio.timeout(DEADLINE_S), aclosing(client.live("alice")) as frames:
        async for frame in frames:
            if isinstance(frame, TextDelta):
                text += frame.text
            elif isinstance(frame, ReplyCompleted):
                assert frame.text.startswith(text)
                break
    assert len((await client.messages("alice")).data[1].text.split()) >= 200


@pytest.mark.parametrize("mode", ["sse", "long-poll"])
async def test_a_follower_misses_nothing_and_repeats_nothing_while_its_node_is_killed(mode: Mode, tmp_path: Path) -> None:
    told: list[str] = []
    seen: list[AnyEvent] = []

    def tell(error: ChatstreamError | None) -> None:
        told.append("back" if error is None else "away")

    with Nodes(tmp_path, "", "--partitions", str(PARTITIONS)) as nodes:
        node = nodes.add()
        await node.serves(PARTITIONS)
        async with AsyncClient(node.url, patience=Patience(attempts=1000, most_s=0.2)) as client:
            reading = asyncio.create_task(note(client.follow("alice", mode=mode, told=tell), seen))
            for number in range(6):
                if number in (2, 4):
                    await killed_meanwhile(node, client)
                await client.send("alice", f"message {number}")
                await until(lambda: bool(seen) and has_answer(seen), DEADLINE_S, "it is followed", node.tail)
            reading.cancel()
            texts = [event.text for event in seen if isinstance(event, MessageAccepted)]
            assert len(texts) == len(set(texts)) + 1  # "in between" was sent twice, under two ids
            assert [event.seq for event in seen] == list(range(1, len(seen) + 1))
            rest = client.follow("alice", offset=offset_behind(seen[2]), mode=mode)
            assert [await anext(rest) for _ in seen[3:]] == seen[3:]
            await rest.aclose()
    assert told.count("away") == told.count("back") == 2


async def note(events: AsyncIterator[AnyEvent], seen: list[AnyEvent]) -> None:
    async for event in events:
        seen.append(event)


def has_answer(seen: list[AnyEvent]) -> bool:
    """Is the last message answered?"""
    last = max(event.seq for event in seen if isinstance(event, MessageAccepted))
    return any(isinstance(event, ReplyCompleted) and event.turn == last for event in seen)


async def killed_meanwhile(node: NodeProcess, client: AsyncClient) -> None:
    """kill -9, with a message under way that is sent again until it is taken."""
    sending = asyncio.ensure_future(client.send_and_wait("alice", "in between"))
    await asyncio.to_thread(node.kill9)
    node.start()
    await sending


@pytest.fixture
def blocking(tmp_path: Path) -> Iterator[Client]:
    """A node in a thread of its own, as somebody without asyncio finds it."""
    settings = Settings(data=tmp_path, listen="127.0.0.1:0", responder="offline", partitions=PARTITIONS)
    urls: list[str] = []
    up, down = threading.Event(), threading.Event()

    async def serve() -> None:
        async with serving(settings) as served:
            urls.append(served.url)
            up.set()
            await asyncio.to_thread(down.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert up.wait(DEADLINE_S)
    with Client(urls[0], patience=Patience(attempts=30)) as client:
        yield client
    down.set()
    thread.join()


def test_without_asyncio_it_is_the_same(blocking: Client) -> None:
    assert blocking.send_and_wait("alice", "hello").reply.text == echo("hello")
    assert [item.role for item in blocking.history("alice")] == ["user", "assistant"]
    assert [one.session for one in blocking.all_sessions()] == ["alice"]
    events = blocking.follow("alice")
    assert [next(events).seq for _ in range(2)] == [1, 2]
    events.close()
    frames = blocking.live("alice")
    assert [type(next(frames)) for _ in range(3)] == [MessageAccepted, ReplyCompleted, StreamReady]
    blocking.set_value("alice", "k", 1)
    assert blocking.get_value("alice", "k").value == 1
    with pytest.raises(RequestRefused, match="no-such-session"):
        blocking.messages("nobody")
    blocking.erase("alice")
    with pytest.raises(Erased):
        list(blocking.history("alice"))


def test_closing_ends_the_thread_and_whoever_waits(blocking: Client) -> None:
    events = blocking.follow("quiet")
    ends: list[str] = []

    def wait() -> None:
        try:
            next(events)
        except CancelledError:
            ends.append("cancelled")

    waiter = threading.Thread(target=wait)
    waiter.start()
    while events._pending is None:
        pass
    blocking.close()
    blocking.close()
    waiter.join(DEADLINE_S)
    assert ends == ["cancelled"]
    assert not any(thread.name == "chatstream-client" for thread in threading.enumerate())
    with pytest.raises(BadInput, match="closed"):
        blocking.session("alice")
