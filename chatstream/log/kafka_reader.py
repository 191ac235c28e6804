"""Reads one partition of Kafka onward, in threads of its own; and the pool that consumers are lent from."""

import asyncio
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from chatstream.core.errors import LogUnavailable
from chatstream.core.ids import Offset, PartitionNo
from chatstream.log.kafka_errors import is_fatal, translated
from chatstream.log.kafka_record import record_of
from chatstream.log.kafka_settings import KafkaSettings
from chatstream.log.port import Record, Topic

SLICE_S: Final = 0.1
"""Longest wait inside the library: how long closing may have to wait for it."""
SILENCE_S: Final = 10.0
"""Without a record and without being told that this is the end, the log counts as not answering."""
THREADS: Final = 32
"""Reads at once: 16 partitions are restored while gaps of others are read."""
IDLE_CONSUMERS: Final = 4
"""Kept for the next reader, which then need not connect first."""

logger = logging.getLogger(__name__)


class ReadConsumer:
    """A consumer outside the group, lent to one reader at a time. brokers_down: the library said so, and nothing came since."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.brokers_down = False
        try:
            self.consumer = Consumer(settings.reader_config() | {"error_cb": self._on_error})
        except KafkaException as error:
            raise translated(error, "starting a reader") from error

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.brokers_down = True


class ConsumerPool:
    """Consumers and threads for readers."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._idle: list[ReadConsumer] = []
        self._lock = threading.Lock()
        self._closed = False
        self.executor = ThreadPoolExecutor(THREADS, thread_name_prefix="kafka-read")

    def lend(self) -> ReadConsumer:
        """An unassigned consumer. Raises BadSettings."""
        with self._lock:
            if self._closed:
                raise LogUnavailable("the log is closed")
            if self._idle:
                return self._idle.pop()
        return ReadConsumer(self._settings)

    def give_back(self, lent: ReadConsumer) -> None:
        """Take a consumer back; a broken one, or one too many, is closed."""
        if not lent.brokers_down:
            lent.consumer.unassign()
            with self._lock:
                if not self._closed and len(self._idle) < IDLE_CONSUMERS:
                    self._idle.append(lent)
                    return
        lent.consumer.close()

    def close(self) -> None:
        """Close the idle ones and end the threads, without waiting for reads under way. Repeatable."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for lent in idle:
            lent.consumer.close()
        self.executor.shutdown(wait=False)


class KafkaReader:
    """One place in one partition that moves on. A read that is cancelled loses nothing: the next one starts at `position`."""

    def __init__(self, pool: ConsumerPool, topic: Topic, partition: PartitionNo, offset: Offset) -> None:
        self._pool = pool
        self._topic = topic
        self._partition = partition
        self._position = offset
        self._lock = threading.Lock()
        self._lent: ReadConsumer | None = None
        self._fetched_to: Offset | None = None
        self._at_end = False
        self._heard_s = time.monotonic()
        self._closed = False

    @property
    def position(self) -> Offset:
        """Next offset to be read; moves over holes."""
        return self._position

    async def read(self, most: int, wait_s: float) -> list[Record]:
        """Up to `most` records; empty after wait_s, or when only holes were passed. Raises LogUnavailable, LogReplaced."""
        if self._closed:
            raise LogUnavailable(f"the reader of {self._topic}/{self._partition} is closed")
        loop = asyncio.get_running_loop()
        records, position = await loop.run_in_executor(self._pool.executor, self._read, most, wait_s, self._position)
        self._position = position
        return records

    async def close(self) -> None:
        """Give the consumer back. Repeatable."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._pool.executor, self._give_back)

    def _give_back(self) -> None:
        with self._lock:
            lent, self._lent = self._lent, None
            if lent is not None:
                self._pool.give_back(lent)

    def _read(self, most: int, wait_s: float, position: Offset) -> tuple[list[Record], Offset]:
        with self._lock:
            try:
                return self._read_until(self._at(position), most, time.monotonic() + wait_s, position)
            except KafkaException as error:
                self._fetched_to = None
                raise translated(error, self._doing()) from error

    def _read_until(self, lent: ReadConsumer, most: int, deadline_s: float, position: Offset) -> tuple[list[Record], Offset]:
        while True:
            messages = self._messages(lent, most, deadline_s)
            records, moved_to = self._taken(lent, messages, position)
            # Told that this is the end where it stands already: go on waiting.
            if records or moved_to != position or time.monotonic() >= deadline_s or self._closed:
                return records, moved_to

    def _at(self, position: Offset) -> ReadConsumer:
        """The consumer, standing at position. It stands elsewhere after a read whose result nobody took."""
        if self._lent is None:
            self._lent = self._pool.lend()
            self._fetched_to = None
        if self._fetched_to != position:
            self._lent.consumer.assign([TopicPartition(self._topic, self._partition, position)])
            self._heard_s = time.monotonic()
            self._at_end = False
            self._fetched_to = position
        return self._lent

    def _messages(self, lent: ReadConsumer, most: int, deadline_s: float) -> list[Message]:
        # consume(n, timeout) waits until it has n or the time is over: so the first alone, then what is there.
        while True:
            left_s = deadline_s - time.monotonic()
            first = lent.consumer.poll(max(0.0, min(SLICE_S, left_s)))
            if first is not None:
                return [first, *(lent.consumer.consume(most - 1, 0) if most > 1 else ())]
            if left_s <= SLICE_S or self._closed:
                return []

    def _taken(self, lent: ReadConsumer, messages: list[Message], position: Offset) -> tuple[list[Record], Offset]:
        records: list[Record] = []
        failure: KafkaError | None = None
        for message in messages:
            error = message.error()
            if error is None:
                records.append(record_of(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                self._at_end = True
                position = Offset(max(position, message.offset() or 0))
            else:
                failure = error
                break
        if records:
            position = Offset(max(position, records[-1].offset + 1))
        if messages and failure is None:
            self._heard_s = time.monotonic()
            lent.brokers_down = False
        if failure is not None and not records:
            self._judge(lent, failure)
        # An error behind records is met again by the next read, which starts afresh.
        self._fetched_to = position if failure is None else None
        if not messages:
            self._check_silence(lent)
        return records, position

    def _judge(self, lent: ReadConsumer, error: KafkaError) -> None:
        self._fetched_to = None
        if is_fatal(error):
            lent.brokers_down = True
        raise translated(error, self._doing())

    def _check_silence(self, lent: ReadConsumer) -> None:
        if lent.brokers_down:
            raise LogUnavailable(f"{self._doing()}: no broker can be reached")
        if not self._at_end and time.monotonic() - self._heard_s > SILENCE_S:
            raise LogUnavailable(f"{self._doing()}: no answer for {SILENCE_S:.0f} s")

    def _doing(self) -> str:
        return f"reading {self._topic}/{self._partition}"
