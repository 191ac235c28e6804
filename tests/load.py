"""Clients for tests with real processes: they send, repeat what was not acknowledged, read along, and note all of it."""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from tests.checking.checker import Sent, Shown
from tests.checking.raw import MESSAGES, REPLIES, headers_of
from tests.until import until

FLUSH_S: Final = 120.0
TRY_S: Final = 0.1
"""Between two tries of a request that failed: the node it went to may just be dead."""


def numbered(sessions: int, messages: int, prefix: str = "s") -> list[tuple[str, str]]:
    """(session, text) of so many messages, the sessions in turn."""
    return [(f"{prefix}-{n % sessions}", f"message {n}") for n in range(messages)]


CONSUMER_S: Final = 20.0
"""How long one consumer counts, before a new one goes on."""


class KafkaSender:
    """A producer as others would write one. sent: what the broker acknowledged, in order for each partition.

    config: over ours; `partitioner` decides whether sessions go where they belong.
    """

    def __init__(self, bootstrap: str, config: dict[str, Any] | None = None) -> None:
        self.sent: list[Sent] = []
        self.failed: list[str] = []
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "message.timeout.ms": 0,
                "linger.ms": 1,
                "reconnect.backoff.max.ms": 1000,
                "log_level": 0,
                **(config or {}),
            }
        )

    async def send(self, messages: Iterable[tuple[str, str]], per_s: float = 0.0) -> None:
        """Produce in this order, at most so many a second, and wait until all are acknowledged."""
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for number, (session, text) in enumerate(messages):
            if per_s and (early_s := start_s + number / per_s - loop.time()) > 0:
                await asyncio.sleep(early_s)
            self.put(session, text)
            self._producer.poll(0)
        await self._flush()

    async def send_until(self, messages: Iterable[tuple[str, str]], stop: asyncio.Event, per_s: float) -> None:
        """The same until told to stop."""
        await self.send(itertools.takewhile(lambda _: not stop.is_set(), messages), per_s)

    async def _flush(self) -> None:
        left = await asyncio.to_thread(self._producer.flush, FLUSH_S)
        assert left == 0, f"the broker did not acknowledge {left} messages"
        assert not self.failed, self.failed[:5]

    def put(self, session: str, text: str) -> None:
        """Produce one."""

        def on_ack(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self.failed.append(str(error))
                return
            partition, offset = message.partition(), message.offset()
            assert partition is not None
            assert offset is not None
            self.sent.append(Sent(session, text, place=(partition, offset)))

        self._producer.produce(MESSAGES, key=session, value=text, on_delivery=on_ack)


class Tally:
    """How many different replies are on chat.replies, counted as they come."""

    def __init__(self) -> None:
        self.sources: set[tuple[int, int]] = set()
        self.following: asyncio.Future[None] | None = None
        self._next: dict[int, int] = {}

    @property
    def count(self) -> int:
        return len(self.sources)

    async def reaches(self, count: int, wait_s: float, seen: Callable[[], str] = str) -> None:
        """Wait for so many. seen: what is told beside the number when they do not come."""

        def reached() -> bool:
            if self.following is not None and self.following.done():
                self.following.result()  # nobody counts any more: say why
            return self.count >= count

        await until(reached, wait_s, f"{count} replies", lambda: f"there are {self.count}\n{seen()}")

    async def follow(self, bootstrap: str) -> None:
        """Count until cancelled. A consumer that lives through many brokers' deaths may stop fetching and say nothing."""
        while True:
            await self._follow(bootstrap, time.monotonic() + CONSUMER_S)

    async def _follow(self, bootstrap: str, until_s: float) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "tally",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "reconnect.backoff.max.ms": 1000,
                "log_level": 0,
            }
        )
        try:
            if not self._next:
                partitions = (await asyncio.to_thread(consumer.list_topics, REPLIES, 30)).topics[REPLIES].partitions
                self._next = dict.fromkeys(partitions, 0)
            consumer.assign([TopicPartition(REPLIES, number, offset) for number, offset in self._next.items()])
            while time.monotonic() < until_s:
                for message in await asyncio.to_thread(consumer.consume, 1000, 0.1):
                    self._note(message)
        finally:
            consumer.close()

    def _note(self, message: Message) -> None:
        if message.error() is not None:
            return  # a broker that is away; the consumer goes on by itself
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        self._next[partition] = offset + 1
        self.sources.add((partition, int(headers_of(message)["source"])))


@asynccontextmanager
async def tally(bootstrap: str) -> AsyncIterator[Tally]:
    """A tally that counts as long as the block runs."""
    counting = Tally()
    counting.following = asyncio.ensure_future(counting.follow(bootstrap))
    async with in_background(counting.following):
        yield counting


@asynccontextmanager
async def in_background(*work: Any) -> AsyncIterator[None]:
    """Run coroutines as long as the block runs, then cancel them. What one of them raised ends the test."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


class HttpClient:
    """A client of a chat that keeps trying. urls: of the nodes; it goes to another after each failure.

    sent: what was acknowledged. shown: every event that a reader got. statuses: how often each status came.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self.sent: list[Sent] = []
        self.shown: list[Shown] = []
        self.statuses: dict[int, int] = {}
        self._urls = list(urls)
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=70, sock_connect=5))

    async def __aenter__(self) -> "HttpClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def talk(self, session: str, texts: Iterable[str], wait: int = 0, first: int = 0) -> None:
        """Send one after the other, each with its id and until it is acknowledged; with wait until it is answered."""
        for number, text in enumerate(texts, first):
            await self._send(session, f"{session}.{number}", text, wait)
            self.sent.append(Sent(session, text, id=f"{session}.{number}"))

    async def talk_until(self, session: str, stop: asyncio.Event, pause_s: float = 0.2) -> None:
        """Send one message after the other until told to stop."""
        number = 0
        while not stop.is_set():
            await self.talk(session, [f"message {number}"], first=number)
            number += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause_s)

    async def _send(self, session: str, message_id: str, text: str, wait: int) -> None:
        headers = {"Prefer": f"wait={wait}"} if wait else {}
        body = {"text": text, "message_id": message_id}
        urls = self._by_turns()
        url = next(urls)
        while True:
            status, found, home = await self._request(
                "POST", f"{url}/v1/sessions/{session}/messages", json=body, headers=headers
            )
            if status == (200 if wait else 202):
                return
            assert status in (0, 202, 421, 503), (status, found)
            url = home or next(urls)
            if not home:
                await asyncio.sleep(TRY_S)

    def _by_turns(self) -> Iterator[str]:
        return itertools.cycle(self._urls)

    async def _request(self, method: str, url: str, **rest: Any) -> tuple[int, Any, str]:
        """(status, body, the owner's url when it was told). Status 0 when there was no answer."""
        try:
            async with self._http.request(method, url, allow_redirects=False, **rest) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError):
            return 0, None, ""
        self.statuses[response.status] = self.statuses.get(response.status, 0) + 1
        found = json.loads(body)
        return response.status, found, str(found.get("owner") or "") if response.status == 421 else ""

    async def history(self, session: str) -> list[bytes]:
        """All events of the session, as a reader gets them now."""
        async with asyncio.timeout(60):
            reader = self._tail(session, live=False)
            return [shown.value async for shown in reader]

    async def read_along(self, session: str) -> None:
        """Note every event of the session as it is shown, until cancelled."""
        async for shown in self._tail(session, live=True):
            self.shown.append(shown)

    async def _tail(self, session: str, live: bool) -> AsyncIterator[Shown]:
        urls = self._by_turns()
        url, offset, seq = next(urls), "-1", 0
        while True:
            place = f"{url}/v1/sessions/{session}/events?offset={offset}{'&live=long-poll' if live else ''}"
            found = await self._page(place)
            if isinstance(found, str):
                url = found or next(urls)
                if not found:
                    await asyncio.sleep(TRY_S)
                continue
            values, offset, at_end = found
            for value in values:
                seq += 1
                yield Shown(session, seq, value)
            if at_end and not live:
                return

    async def _page(self, url: str) -> tuple[list[bytes], str, bool] | str:
        """The events of a page, where to go on, whether it was the last; or the url of whom to ask, empty if unknown."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with self._http.get(url, allow_redirects=False) as response:
                body = await response.read()
                self.statuses[response.status] = self.statuses.get(response.status, 0) + 1
                if response.status in (200, 204):
                    values = list(split(body)) if response.status == 200 else []
                    headers = response.headers
                    return values, headers["Stream-Next-Offset"], headers.get("Stream-Up-To-Date") == "true"
                assert response.status in (421, 503), (response.status, body)
                return str(json.loads(body).get("owner") or "") if response.status == 421 else ""
        return ""


def split(array: bytes) -> Iterable[bytes]:
    """The elements of a JSON array of objects, as they stand in it."""
    text, decoder, at = array.decode(), json.JSONDecoder(), 1
    while at < len(text) and text[at] == "{":
        _, end = decoder.raw_decode(text, at)
        yield text[at:end].encode()
        at = end + 1
