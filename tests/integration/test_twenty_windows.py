"""Twenty windows on one session while it is edited, cancelled, regenerated and its node is killed: all end with the same
history, and it is the one that an independent fold reads off the raw log."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final

import pytest

from chatstream import AsyncClient
from chatstream.core.codec import read_event
from chatstream.core.events import ReplyCancelled, ReplyCompleted, ReplyFailed
from tests.checking.checker import Sent, check
from tests.checking.conversation import conversation
from tests.checking.raw import Topics, read_embedded
from tests.nodes import Nodes
from tests.until import until
from tests.windows import PATIENT, Reading, Watching, Window, Windows, windows

SESSION: Final = "alice"
WINDOWS: Final = 20
PARTITIONS: Final = 16
WAIT_S: Final = 120.0
ROUNDS: Final = 2

Kill = Callable[[int], Awaitable[None]]


class Person:
    """Who acts on the session. sent: what was acknowledged."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self.sent: list[Sent] = []

    async def say(self, text: str) -> int:
        """Say something; the turn's seq, as soon as it is known."""
        receipt = await self._client.send(SESSION, text)
        self.sent.append(Sent(SESSION, text, receipt.message_id))
        while receipt.seq is None:
            receipt = await self._client.send(SESSION, text, message_id=receipt.message_id)
        return receipt.seq

    async def converse(self, text: str) -> int:
        """Say something and wait for its end."""
        exchange = await self._client.send_and_wait(SESSION, text, wait_s=WAIT_S)
        self.sent.append(Sent(SESSION, text, exchange.message.message_id))
        return exchange.message.seq

    async def ended(self, turn: int, version: int = 1) -> None:
        """Wait until this version of the turn has ended."""
        async with asyncio.timeout(WAIT_S), aclosing(self._client.follow(SESSION)) as events:
            async for event in events:
                is_end = isinstance(event, ReplyCompleted | ReplyCancelled | ReplyFailed)
                if is_end and (event.turn, event.version) == (turn, version):
                    return

    async def go_through_everything(self, number: int, kill: Kill) -> None:
        """Answers, another answer, a stopped one that is tried again, an edit, and a kill with work in hand."""
        await self.converse(f"{number}: one")
        done = await self._client.regenerate(SESSION)
        await self.ended(done.turn, done.version)
        slow = await self.say(f"sleep:600 {number}: too long")
        waiting = await self.say(f"sleep:600 {number}: never to be run")
        await self._client.cancel(SESSION, turn=waiting)
        await self._client.cancel(SESSION, turn=slow)
        again = await self._client.retry(SESSION, turn=slow)
        await self._client.cancel(SESSION, turn=slow)
        await self.ended(slow, again.version)
        edited = await self._client.edit(SESSION, slow, f"{number}: in short")
        await self.ended(edited.turn)
        await self.say(f"sleep:2 {number}: while the node is killed")
        await self.say(f"{number}: queued behind it")
        await kill(number)
        await self.converse(f"{number}: after the kill")


async def use(urls: Sequence[str], kill: Kill) -> tuple[Windows, Person]:
    """Half of the windows are there from the start, half come in the middle; they are closed when all has been shown."""
    async with AsyncClient(*urls, patience=PATIENT) as client, windows(urls, SESSION) as opened:
        person = Person(client)
        opened.open(WINDOWS // 2)
        for number in range(ROUNDS):
            await person.go_through_everything(number, kill)
            if not number:
                opened.open(WINDOWS - WINDOWS // 2)
        last_seq = (await client.session(SESSION)).last_seq
        await until(lambda: opened.reach(last_seq), WAIT_S, "all windows have seen it all", lambda: seen(opened.all, last_seq))
    return opened, person


def seen(all_windows: Sequence[Window], last_seq: int) -> str:
    return f"the last is {last_seq}, seen were " + str([(type(one).__name__, one.last_seq) for one in all_windows])


def compare(opened: Windows, person: Person, topics: Topics) -> None:
    """With what the raw log says."""
    truth = check(topics, person.sent).history[SESSION]
    said, written = conversation(truth), [read_event(event.value) for event in truth]
    assert len(opened.all) == WINDOWS
    for one in opened.all:
        if isinstance(one, Reading):
            assert one.lines() == said
            assert one.moved == []
            continue
        assert one.seen == written
        if isinstance(one, Watching):
            assert one.wrong == []
    assert any(one.words for one in opened.all if isinstance(one, Watching))
    kinds = {(line.role, line.status, line.superseded, line.rewound) for line in said}
    assert {("assistant", "completed", True, False), ("assistant", "cancelled", True, True)} <= kinds


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_on_the_embedded_log_whose_node_is_killed_and_started_again(tmp_path: Path) -> None:
    with Nodes(tmp_path) as nodes:
        node = nodes.add()
        await node.serves(PARTITIONS)

        async def kill(_: int) -> None:
            await asyncio.to_thread(node.kill9)
            node.start()

        opened, person = await use([node.url], kill)
        nodes.check_calm()
        await asyncio.to_thread(node.kill9)
        compare(opened, person, await read_embedded(node.data / "log"))
