"""Appends to Kafka, pipelined, never with a gap.

Acks are fetched from the library on the event loop itself, by a timer that runs only while something is in flight. A
thread that waits for them takes the interpreter's lock once per record: measured, 13 µs of CPU a record against 7, and
42 ms to the ack under load against 4.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from chatstream.core.claims import Headers
from chatstream.core.errors import OutcomeUnknown, QueueFull, RecordTooLarge
from chatstream.core.ids import PartitionNo
from chatstream.log.kafka_errors import error_of, is_fatal, translated
from chatstream.log.kafka_settings import KafkaSettings
from chatstream.log.port import Ack, AckListener, Topic
from chatstream.log.sizes import record_bytes

POLL_S: Final = 0.0005
"""Between two looks for acks while some are due; the event loop rounds it up to 1 ms."""
POLL_SLOW_S: Final = 0.01
"""The same when nothing has come for a while: a broker is away."""
PATIENCE_POLLS: Final = 50
BARE_BYTES: Final = record_bytes(None, None, ())
IDLE_POLL_S: Final = 1.0
"""With nothing in flight: only the library's log lines and errors come this way."""
logger = logging.getLogger(__name__)


class KafkaProducer:
    """One librdkafka producer. After its first failure it takes nothing more; open another."""

    def __init__(self, settings: KafkaSettings, on_end: Callable[["KafkaProducer"], None]) -> None:
        config = settings.producer_config() | {"error_cb": self._on_error}
        try:
            self._producer = Producer(config)
        except KafkaException as error:
            raise translated(error, "starting a producer") from error
        self._limits = dict(settings.record_bytes_max)
        self._on_acks: AckListener = _nobody
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._produce = self._producer.produce
        self._acks: list[Ack] = []
        self._waiting: dict[int, Any] = {}
        """Number of the append to its tag, in the order of the appends."""
        self._count = 0
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
        number = self._count = self._count + 1
        if self._failure is None:
            self._send(topic, partition, key, value, headers, number)
        self._waiting[number] = tag
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

    def _send(
        self, topic: Topic, partition: PartitionNo, key: bytes | None, value: bytes | None, headers: Headers, number: int
    ) -> None:
        try:
            self._produce(
                topic,
                value,
                key,
                partition,
                on_delivery=partial(self._delivered, number),
                headers=list(headers) if headers else None,
            )
        except BufferError as error:
            raise QueueFull(f"{len(self._waiting)} appends wait for their acks") from error
        except KafkaException as error:
            if error_of(error).code() == KafkaError.MSG_SIZE_TOO_LARGE:
                raise translated(error, f"appending to {topic}") from error
            self._fail(error_of(error), f"appending to {topic}")

    def _delivered(self, number: int, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._fail(error, f"appending to {message.topic()}/{message.partition()}")
        elif self._failure is None and number in self._waiting:
            self._acks.append(Ack(self._waiting.pop(number), message.offset()))  # type: ignore[arg-type]  # it landed

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
        self._fast = bool(self._waiting)
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
        tags = list(self._waiting.values())
        self._waiting.clear()
        return [Ack(tag, None, failure) for tag in tags]

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
        self._waiting.clear()
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
            logger.warning("%d appends were not acknowledged within %s s", len(self._waiting), wait_s)
        finally:
            self.abandon()


def _nobody(acks: Sequence[Ack], /) -> None:
    raise AssertionError(f"{len(acks)} acks and nobody listens")


def _finish(producer: Producer) -> None:
    # A producer that loses its last reference on the event loop would hold the loop until its broker threads end.
    try:
        producer.flush(1.0)
        producer.close()
    except (KafkaException, SystemError) as error:
        logger.debug("an abandoned producer: %s", error)
