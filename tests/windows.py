"""Windows on one session, as people have them open: some live, some by stream, some by long poll, some that read it again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from chatstream import AsyncClient, Patience
from chatstream.client.following import Mode
from chatstream.client.results import Item
from chatstream.core.errors import RequestRefused
from chatstream.core.events import AnyEvent, ReplyCompleted
from chatstream.core.unlogged import AttemptStarted, TextDelta, Unlogged
from tests.checking.conversation import Line

PATIENT: Final = Patience(attempts=10_000, most_s=0.3)
READ_AGAIN_S: Final = 0.3


class Window:
    """One of them. seen: events in the order in which they were shown."""

    def __init__(self, client: AsyncClient, session: str) -> None:
        self.client = client
        self.session = session
        self.seen: list[AnyEvent] = []

    async def run(self) -> None:
        """Look until cancelled."""
        raise NotImplementedError

    @property
    def last_seq(self) -> int:
        return self.seen[-1].seq if self.seen else 0


class Following(Window):
    """By the event stream."""

    def __init__(self, client: AsyncClient, session: str, mode: Mode) -> None:
        super().__init__(client, session)
        self._mode: Mode = mode

    async def run(self) -> None:
        async for event in self.client.follow(self.session, mode=self._mode):
            self.seen.append(event)


class Watching(Window):
    """Live. wrong: answers whose words on the screen were not those on record."""

    def __init__(self, client: AsyncClient, session: str) -> None:
        super().__init__(client, session)
        self.wrong: list[tuple[str, str]] = []
        self.words = 0
        self._said = ""

    async def run(self) -> None:
        async for frame in self.client.live(self.session):
            if isinstance(frame, AttemptStarted):
                self._said = ""
            elif isinstance(frame, TextDelta):
                self._said += frame.text
                self.words += 1
            elif not isinstance(frame, Unlogged):
                self._take(frame)

    def _take(self, event: AnyEvent) -> None:
        self.seen.append(event)
        if isinstance(event, ReplyCompleted):
            if not event.text.startswith(self._said):
                self.wrong.append((self._said, event.text))
            self._said = ""


class Reading(Window):
    """By reading the whole history again and again. moved: readings in which a message was not where it had been."""

    def __init__(self, client: AsyncClient, session: str) -> None:
        super().__init__(client, session)
        self.items: list[Item] = []
        self.moved: list[list[int]] = []

    async def run(self) -> None:
        while True:
            await self.read()
            await asyncio.sleep(READ_AGAIN_S)

    async def read(self) -> None:
        """Once."""
        try:
            items = [item async for item in self.client.history(self.session)]
        except RequestRefused as error:
            if error.code != "no-such-session":
                raise
            return
        before, now = [item.seq for item in self.items], [item.seq for item in items]
        if now[: len(before)] != before:
            self.moved.append(now)
        self.items = items

    def lines(self) -> list[Line]:
        """What was shown at last."""
        return [
            Line(item.seq, item.role, item.text, item.status, item.turn, item.superseded, item.rewound) for item in self.items
        ]


def window(number: int, client: AsyncClient, session: str) -> Window:
    """The kinds in turn."""
    kinds: Sequence[Callable[[], Window]] = (
        lambda: Watching(client, session),
        lambda: Following(client, session, "sse"),
        lambda: Following(client, session, "long-poll"),
        lambda: Reading(client, session),
    )
    return kinds[number % len(kinds)]()


class Windows:
    """All of them, each with a client of its own. urls: of the nodes; each window begins at another one."""

    def __init__(self, urls: Sequence[str], session: str) -> None:
        self._urls = urls
        self._session = session
        self._tasks: list[asyncio.Task[None]] = []
        self.all: list[Window] = []

    def open(self, count: int) -> None:
        """So many more."""
        for _ in range(count):
            first = len(self.all) % len(self._urls)
            client = AsyncClient(*self._urls[first:], *self._urls[:first], patience=PATIENT)
            self.all.append(window(len(self.all), client, self._session))
            self._tasks.append(asyncio.create_task(self.all[-1].run()))

    def reach(self, seq: int) -> bool:
        """Has every one that follows been shown this event? Raises what ended one."""
        for task in self._tasks:
            if task.done():
                task.result()
        return all(isinstance(one, Reading) or one.last_seq >= seq for one in self.all)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for one in self.all:
            if isinstance(one, Reading):
                await one.read()
            await one.client.close()


@asynccontextmanager
async def windows(urls: Sequence[str], session: str) -> AsyncIterator[Windows]:
    """None yet; all are closed in the end."""
    opened = Windows(urls, session)
    try:
        yield opened
    finally:
        await opened.close()
