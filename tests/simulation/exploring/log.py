"""The log of an exploration: one partition of each topic, lists that only grow; and tasks that are stepped by hand."""

from collections import deque
from collections.abc import Coroutine, Generator
from typing import Any, Final

from chatstream.core.claims import Headers
from chatstream.core.errors import ChatstreamError
from chatstream.core.ids import Offset, PartitionNo
from chatstream.log.port import Record, Topic, TopicIdentity

P0: Final = PartitionNo(0)


_IDENTITY: Final = {topic: TopicIdentity(topic, 1) for topic in Topic}


class Pause:
    """Awaited: the task stands still here until somebody takes its next step. kind: what it waits for."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __await__(self) -> Generator["Pause", Any, Any]:
        return (yield self)


class Task:
    """A coroutine that is stepped by hand. waiting: the kind of its pause, empty when it has ended; error: how, if badly.

    looks, seen: how often it looked where the log ends, and what it saw last.
    """

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self.waiting = "begin"
        self.error: ChatstreamError | None = None
        self.looks = 0
        self.seen = (0, 0)
        self._work = work
        self._running = False
        self._cancelled = False

    def step(self, given: Any = None, error: ChatstreamError | None = None) -> None:
        """Go on until the next pause; with an error: it is raised where the task stands."""
        self._running = True
        try:
            pause = self._work.send(given) if error is None else self._work.throw(error)
        except StopIteration:
            self.waiting = ""
        except ChatstreamError as raised:
            self.waiting, self.error = "", raised
        else:
            # Tasks of the product may also yield to the event loop, with asyncio.sleep(0).
            self.waiting = pause.kind if isinstance(pause, Pause) else "step"
        finally:
            self._running = False
        if self._cancelled:
            self.cancel()

    def cancel(self, _message: Any = None) -> bool:
        """End it here, or when it is running, at its next pause."""
        if self._running:
            self._cancelled = True
        else:
            self.waiting = ""
            self._work.close()
        return True


class Sent:
    """A record on its way."""

    __slots__ = ("headers", "key", "tag", "topic", "value")

    def __init__(self, topic: Topic, key: bytes | None, value: bytes | None, headers: Headers, tag: Any) -> None:
        self.topic = topic
        self.key = key
        self.value = value
        self.headers = headers
        self.tag = tag

    @property
    def content(self) -> tuple[Topic, bytes | None, bytes | None, Headers]:
        """All but whom it belongs to."""
        return self.topic, self.key, self.value, self.headers


class Lane:
    """A producer: what is on its way, in order, and what has landed without anybody knowing."""

    def __init__(self) -> None:
        self.sent: deque[Sent] = deque()
        self.landed: deque[tuple[Any, Offset]] = deque()

    def content(self) -> tuple[Any, ...]:
        """What makes this state another one."""
        return tuple(sent.content for sent in self.sent), tuple(offset for _, offset in self.landed)


class TopicLog:
    """A topic's only partition. chain: a hash of its first n records, for every n."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.chain = [0]

    def append(self, key: bytes | None, value: bytes | None, headers: Headers) -> Offset:
        """One more."""
        offset = Offset(len(self.records))
        self.records.append(Record(offset, key, value, headers))
        self.chain.append(hash((self.chain[-1], key, value, headers)))
        return offset


class SharedLog:
    """All topics. For the oracle it looks like a broker."""

    partitions = 1

    def __init__(self) -> None:
        self.topics = {topic: TopicLog() for topic in Topic}

    def log(self, topic: Topic, _partition: PartitionNo) -> TopicLog:
        """See SimulatedBroker."""
        return self.topics[topic]

    def records(self, topic: Topic, _partition: PartitionNo) -> list[Record]:
        """See SimulatedBroker."""
        return self.topics[topic].records


class _Reader:
    def __init__(self, records: list[Record], offset: Offset) -> None:
        self._records = records
        self.position = offset

    async def read(self, most: int, wait_s: float) -> list[Record]:  # noqa: ARG002  # Reader's signature
        """See Reader. It takes no time: the look at the end, just before, does."""
        found = self._records[self.position : self.position + most]
        self.position = Offset(self.position + len(found))
        return found

    async def close(self) -> None:
        """See Reader."""


class NodeLog:
    """The log as a node has it: looking where it ends is a step, and what others do may come before it."""

    def __init__(self, shared: SharedLog) -> None:
        self._shared = shared

    async def identify(self) -> dict[Topic, TopicIdentity]:
        """See Log."""
        return dict(_IDENTITY)

    async def bounds(self, topic: Topic, _partition: PartitionNo) -> tuple[Offset, Offset]:
        """See Log."""
        if topic is not Topic.MESSAGES:  # nothing is added to it
            await Pause("look")
        return Offset(0), Offset(len(self._shared.topics[topic].records))

    def open_reader(self, topic: Topic, _partition: PartitionNo, offset: Offset) -> _Reader:
        """See Log."""
        return _Reader(self._shared.topics[topic].records, offset)

    async def open(self) -> None:
        """See Log."""

    async def close(self) -> None:
        """See Log."""

    def open_producer(self, on_acks: Any) -> Any:
        """See Log. Producers are Lanes here."""
        raise NotImplementedError

    def group(self) -> Any:
        """See Log. Assignments are steps here."""
        raise NotImplementedError
