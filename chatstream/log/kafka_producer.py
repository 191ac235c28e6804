"""Appends to Kafka, pipelined, never with a gap.

What one turn of the event loop appends is handed to the library together, at its end. Each record that the library gets wakes
its thread, and what is there by then goes out at once, in a request of its own; with the engine's work between two appends
that was nearly every record. Measured on one broker with a prototype that held back a little more, answering a backlog: that
thread took 109 to 112 µs of CPU a turn of conversation, and 22 to 28 then. `linger.ms` would do as much, but its smallest step
is 1 ms, for a record that is alone as well.

Acks are fetched from the library on the event loop itself, by a timer that runs only while something is in flight. A
thread that waits for them takes the interpreter's lock once per record: measured, 13 µs of CPU a record against 7, and
42 ms to the ack under load against 4.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from chatstream.core.claims import Headers
from chatstream.core.errors import OutcomeUnknown, QueueFull, RecordTooLarge
from chatstream.core.ids import Offset, PartitionNo
from chatstream.log.kafka_errors import error_of, is_fatal, translated
from chatstream.log.kafka_settings import KafkaSettings
from chatstream.log.port import Ack, AckListener, Topic
from chatstream.log.sizes import record_bytes

POLL_S: Final = 0.001
"""Between two looks for acks while some are due. Not below 1 ms: uvloop rounds 0.5 ms to nothing, then all of the patience
below was used up at once, and each ack of a quiet node took 10 ms."""
POLL_SLOW_S: Final = 0.01
"""The same when nothing has come for a while: a broker is away."""
PATIENCE_POLLS: Final = 50
GATHERED_MOST: Final = 256
"""Appends that are kept for the end of the loop's turn; with so many the library has a batch, and the broker may begin."""
BARE_BYTES: Final = record_bytes(None, None, ())
IDLE_POLL_S: Final = 1.0
"""With nothing in flight: only the library's log lines and errors come this way."""
logger = logging.getLogger(__name__)


class _Lane:
    """What goes to one partition of a topic. tags: of what is not acknowledged, in order, which is the acks' order too.

    offset: of the last ack. on_delivery: the library's callback for all of its records.
    """

    __slots__ = ("offset", "on_delivery", "partition", "tags", "topic")

    def __init__(self, topic: Topic, partition: PartitionNo) -> None:
        self.topic: Final = topic
        self.partition: Final = partition
        self.tags: deque[Any] = deque()
        self.offset = -1
        self.on_delivery: Callable[[KafkaError | None, Message], None] = _nothing


_Gathered = tuple[_Lane, bytes | None, bytes | None, Headers]


class KafkaProducer:
    """One librdkafka producer. After its first failure it takes nothing more; open another."""

    def __init__(self, settings: KafkaSettings, on_end: Callable[["KafkaProducer"], None]) -> None:
        config = settings.producer_config() | {"error_cb": self._on_error}
        try:
            self._producer = Producer(config)
        except KafkaException as error:
            raise translated(error, "starting a producer") from error
        # An override may allow less than the topics; more than they do is of no use.
        most = int(config["message.max.bytes"])
        self._limits = {topic: min(limit, most) for topic, limit in settings.record_bytes_max.items()}
        self._queue_records = settings.queue_records
        self._on_acks: AckListener = _nobody
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._produce = self._producer.produce
        self._acks: list[Ack] = []
        self._lanes: dict[tuple[Topic, PartitionNo], _Lane] = {}
        self._waiting = 0
        """Appends without an ack, gathered ones among them."""
        self._gathered: list[_Gathered] = []
        self._full = False
        """The library took no more: what is gathered waits for acks, and nothing is added to it."""
        self._failure: OutcomeUnknown | None = None
        self._purged = False
        self._abandoned = False
        self._empty_polls = 0
        self._fast = False
        self._timer = self._loop.call_later(IDLE_POLL_S, self._poll)
        self._idle = asyncio.Event()

    def listen(self, on_acks: AckListener) -> None:
        """Who is told of the acks: before the first append."""
        self._on_acks = on_acks

    @property
    def usable(self) -> bool:
        """Has neither failed nor been abandoned."""
        return self._failure is None and not self._abandoned

    def append(
        self,
        topic: Topic,
        partition: PartitionNo,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        tag: Any,
    ) -> None:
        """Send a record; its Ack comes later. Raises QueueFull, RecordTooLarge; then nothing was sent."""
        if self._abandoned:
            return
        self._check_size(topic, key, value, headers)
        if self._waiting >= self._queue_records or self._full:
            raise QueueFull(f"{self._waiting} appends wait for their acks")
        lane = self._lanes.get((topic, partition)) or self._open_lane(topic, partition)
        lane.tags.append(tag)
        self._waiting += 1
        if self._failure is not None:
            self._poll_fast()
            return
        gathered = self._gathered
        gathered.append((lane, key, value, headers))
        if len(gathered) == 1:
            self._loop.call_soon(self._hand_over)
        elif len(gathered) >= GATHERED_MOST:
            self._hand_over()

    def _open_lane(self, topic: Topic, partition: PartitionNo) -> _Lane:
        lane = self._lanes[topic, partition] = _Lane(topic, partition)
        lane.on_delivery = partial(self._delivered, lane)
        return lane

    def _hand_over(self) -> None:
        """Give the library what is gathered, in order; what it has no room for stays, until acks have made some."""
        gathered, self._gathered, self._full = self._gathered, [], False
        for place, (lane, key, value, headers) in enumerate(gathered):
            if self._failure is not None:
                break
            if not self._send(lane, key, value, headers):
                self._gathered, self._full = gathered[place:], True
                break
        if gathered:
            self._poll_fast()

    def _poll_fast(self) -> None:
        if not self._fast:
            self._fast = True
            self._empty_polls = 0
            self._timer.cancel()
            self._timer = self._loop.call_later(POLL_S, self._poll)

    def _check_size(self, topic: Topic, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        most = self._limits[topic]
        # An upper bound first, cheaply: a name takes at most 4 bytes a character. Nearly all records are far below.
        bound = BARE_BYTES + len(key or b"") + len(value or b"")
        for name, content in headers:
            bound += 10 + 4 * len(name) + len(content)
        if bound <= most:
            return
        size = record_bytes(key, value, headers)
        if size > most:
            raise RecordTooLarge(f"a record of {size} bytes is larger than {topic} allows ({most} bytes)")

    def _send(self, lane: _Lane, key: bytes | None, value: bytes | None, headers: Headers) -> bool:
        """Give the library one record. False when it has no room."""
        try:
            self._produce(
                lane.topic,
                value,
                key,
                lane.partition,
                on_delivery=lane.on_delivery,
                headers=list(headers) if headers else None,
            )
        except BufferError:
            return False
        except KafkaException as error:
            self._fail(error_of(error), f"appending to {lane.topic}")
        return True

    def _delivered(self, lane: _Lane, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._fail(error, f"appending to {lane.topic}/{lane.partition}")
        elif self._failure is None and lane.tags:
            offset: Offset = message.offset()  # type: ignore[assignment]  # it landed
            if offset <= lane.offset:
                self._fail(f"an ack at {offset} after one at {lane.offset}", f"appending to {lane.topic}/{lane.partition}")
                return
            lane.offset = offset
            self._waiting -= 1
            self._acks.append(Ack(lane.tags.popleft(), offset))

    def _on_error(self, error: KafkaError) -> None:
        if is_fatal(error):
            self._fail(error, "the producer")
        else:
            logger.info("a producer was told: %s", error)

    def _fail(self, error: object, doing: str) -> None:
        if self._failure is None and not self._abandoned:
            logger.warning("%s failed: %s; the producer takes nothing more", doing, error)
            self._failure = OutcomeUnknown(f"{doing}: {error}")

    def _poll(self) -> None:
        """Serve the library's callbacks, then hand on what they left."""
        try:
            self._producer.poll(0)
        except (KafkaException, SystemError) as error:
            # So the library reports a fatal error: it raises and does not call error_cb; SystemError when it calls
            # another callback with that exception already set.
            self._fail(error, "the producer")
        acks, self._acks = self._acks, []
        if self._failure is not None:
            acks += self._give_up(self._failure)
        self._empty_polls = 0 if acks else self._empty_polls + 1
        if self._full:
            self._hand_over()
        self._fast = self._waiting > 0
        self._timer = self._loop.call_later(self._next_poll_s(), self._poll)
        if acks:
            if not self._fast:
                self._idle.set()
            self._on_acks(acks)

    def _give_up(self, failure: OutcomeUnknown) -> list[Ack]:
        """After the first failure nothing later may land, and what became of the rest is for the log to say."""
        if not self._purged:
            self._purged = True
            self._producer.purge(in_queue=True, in_flight=True, blocking=False)
        tags = [tag for lane in self._lanes.values() for tag in lane.tags]
        self._forget()
        return [Ack(tag, None, failure) for tag in tags]

    def _forget(self) -> None:
        for lane in self._lanes.values():
            lane.tags.clear()
        self._waiting = 0
        self._gathered = []
        self._full = False

    def _next_poll_s(self) -> float:
        if not self._fast:
            return IDLE_POLL_S
        return POLL_S if self._empty_polls < PATIENCE_POLLS else POLL_SLOW_S

    def abandon(self) -> None:
        """Throw it away: purge, no more acks. Returns at once; the library's own end is waited for elsewhere."""
        if self._abandoned:
            return
        self._abandoned = True
        self._timer.cancel()
        self._acks = []
        self._forget()
        self._idle.set()
        self._producer.purge(in_queue=True, in_flight=True, blocking=False)
        threading.Thread(target=_finish, args=(self._producer,), name="kafka-producer-end", daemon=True).start()
        self._on_end(self)

    async def close(self, wait_s: float) -> None:
        """Let what is in flight be acked, at most wait_s, then abandon."""
        try:
            async with asyncio.timeout(wait_s):
                while self._waiting and not self._abandoned:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            logger.warning("%d appends were not acknowledged within %s s", self._waiting, wait_s)
        finally:
            self.abandon()


def _nothing(_: KafkaError | None, __: Message) -> None:
    """Until the lane has its own."""


def _nobody(acks: Sequence[Ack], /) -> None:
    raise AssertionError(f"{len(acks)} acks and nobody listens")


def _finish(producer: Producer) -> None:
    # A producer that loses its last reference on the event loop would hold the loop until its broker threads end.
    try:
        producer.flush(1.0)
        producer.close()
    except (KafkaException, SystemError) as error:
        logger.debug("an abandoned producer: %s", error)
