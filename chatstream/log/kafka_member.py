"""The thread that alone touches the group's consumer: it polls, runs commands, and replaces a consumer that broke.

The rules of this file:
- Rebalance callbacks only note and pause. An exception must not leave them: the library raises it again from `poll` as
  an object that no `except` clause catches.
- Partitions are paused from the moment they are assigned; a record is handed on only under a lease, so after fetch_from.
- Each error that poll and consume return is looked at. A fatal one, records gone from in front of the position, or a
  partition that has stalled ends the consumer: the listener is told that all is revoked, and a new one joins.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from chatstream.core.ids import Offset, PartitionNo
from chatstream.log.kafka_batch import Batch
from chatstream.log.kafka_errors import error_of, is_fatal
from chatstream.log.kafka_handover import Handover
from chatstream.log.kafka_proofs import Proofs, Proved
from chatstream.log.kafka_settings import KafkaSettings
from chatstream.log.kafka_stalls import Stalls
from chatstream.log.port import GroupListener, Lease, Record, Topic

POLL_S: Final = 0.05
"""Longest wait for a record: how long a command may have to wait for its turn."""
BATCH: Final = 1_000
"""Records per turn."""
LEAVE_S: Final = 3.0
"""For the revocation to come after unsubscribe; then the consumer is closed all the same."""
WATERMARKS_S: Final = 2.0
REBUILD_FIRST_S: Final = 0.1
REBUILD_MOST_S: Final = 10.0
"""Between two consumers; doubles as long as none of them is given a partition."""

logger = logging.getLogger(__name__)

Command = Callable[[], object]


class Member:
    """Owns the consumer. Every method that starts with an underscore runs in the thread; the others may be called anywhere."""

    def __init__(self, settings: KafkaSettings, listener: GroupListener, handover: Handover) -> None:
        self._settings = settings
        self._listener = listener
        self._handover = handover
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._consumer: Consumer | None = None
        self._broken: str | None = None
        self._assigned: set[PartitionNo] = set()
        self._leases: dict[PartitionNo, Lease] = {}
        self._wanted: dict[PartitionNo, tuple[Offset, Lease]] = {}
        self._paused: set[PartitionNo] = set()
        self._kept: dict[PartitionNo, list[Record]] = {}
        """Records of paused partitions that came out of the library with the pause already asked for: one turn's at most."""
        self._next: dict[PartitionNo, Offset] = {}
        """Behind the last record that was handed over: an end beyond it has holes before it."""
        self._ends: dict[PartitionNo, Offset] = {}
        """Ends that paused partitions have reached."""
        self._proofs = Proofs(handover)
        self._drained = False
        """Nothing was left in the library's queue after the last turn."""
        self.stalls = Stalls()
        self._rebuild_at_s = 0.0
        self._rebuild_wait_s = REBUILD_FIRST_S
        self._leaving = False
        self._left: Callable[[], None] | None = None
        self.turns = 0
        """Grows with each turn of the loop; the watchdog looks at it."""

    def start(self) -> None:
        """Start the thread. It ends with `leave`, or with the process."""
        threading.Thread(target=self._run, name="kafka-consumer", daemon=True).start()

    def fetch_from(self, partition: PartitionNo, offset: Offset, lease: Lease) -> None:
        """Have the partition delivered from offset on, under this lease."""
        self._commands.put(partial(self._want, partition, offset, lease))

    def pause(self, partition: PartitionNo) -> None:
        """Have nothing more of it delivered."""
        self._commands.put(partial(self._pause, partition))

    def resume(self, partition: PartitionNo) -> None:
        """Have it delivered again."""
        self._commands.put(partial(self._resume, partition))

    def commit(self, offsets: Mapping[PartitionNo, Offset]) -> None:
        """Have offsets published."""
        self._commands.put(partial(self._commit, dict(offsets)))

    def prove(self, partition: PartitionNo, offset: Offset, proved: Proved) -> None:
        """Have an offset committed; `proved` is called on the loop with the outcome, or never if the broker is silent."""
        self._commands.put(partial(self._prove, partition, offset, proved))

    def leave(self, left: Callable[[], None]) -> None:
        """End the membership; `left` is called on the loop when that is done."""
        self._commands.put(partial(self._start_leaving, left))

    def break_consumer(self, error: KafkaError) -> None:
        """Have an error looked at as if the consumer had returned it: for tests, a fatal one cannot be had on demand."""
        self._commands.put(partial(self._judge, error))

    def run(self, command: Callable[[], object]) -> None:
        """Have anything run in the thread."""
        self._commands.put(command)

    def _run(self) -> None:
        while not self._leaving:
            self._turn()
        self._say_farewell()

    def _turn(self) -> None:
        self.turns += 1
        commanded = self._run_commands()
        if self._broken is not None:
            self._throw_away(self._broken)
        if self._leaving:
            return
        if self._consumer is None:
            self._join_again()
        elif self._handover.full:
            # Heartbeats go on meanwhile, in the library's thread; only rebalances wait, as they would for the loop anyway.
            self._wait_for_command()
        else:
            self._seek_wanted(self._consumer)
            self._poll(self._consumer, 0.0 if commanded else POLL_S)
            self._look_for_stalls(self._consumer)

    def _run_commands(self) -> bool:
        ran = False
        while True:
            try:
                command = self._commands.get_nowait()
            except queue.Empty:
                return ran
            ran = True
            self._run_command(command)

    def _run_command(self, command: Command) -> None:
        try:
            command()
        except KafkaException as error:
            self._judge(error_of(error))

    def _wait_for_command(self) -> None:
        try:
            self._run_command(self._commands.get(timeout=POLL_S))
        except queue.Empty:
            return

    # The consumer's life

    def _join_again(self) -> None:
        if time.monotonic() < self._rebuild_at_s:
            self._wait_for_command()
            return
        self._rebuild_at_s = time.monotonic() + self._rebuild_wait_s
        self._rebuild_wait_s = min(REBUILD_MOST_S, 2 * self._rebuild_wait_s)
        try:
            self._consumer = Consumer(
                self._settings.group_config() | {"on_commit": self._on_commit, "error_cb": self._on_error}
            )
            self._consumer.subscribe(
                [Topic.MESSAGES.value], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
            )
        except KafkaException as error:
            self._broken = str(error_of(error))

    def _throw_away(self, reason: str) -> None:
        logger.error("the consumer is of no use any more, a new one joins: %s", reason)
        self._broken = None
        consumer, self._consumer = self._consumer, None
        self._forget(list(self._assigned))
        self._proofs.end()
        if consumer is not None:
            threading.Thread(target=_close, args=(consumer,), name="kafka-consumer-end", daemon=True).start()

    def _forget(self, partitions: list[PartitionNo]) -> None:
        for partition in partitions:
            self._assigned.discard(partition)
            self._leases.pop(partition, None)
            self._wanted.pop(partition, None)
            self._kept.pop(partition, None)
            self._ends.pop(partition, None)
            self._next.pop(partition, None)
            self._paused.discard(partition)
        if partitions:
            self._handover.put(partial(self._listener.on_revoked, sorted(partitions)))

    def _start_leaving(self, left: Callable[[], None]) -> None:
        self._leaving = True
        self._left = left

    def _say_farewell(self) -> None:
        """Leave so that others take over at once.

        1 unsubscribe: of a static member this alone makes the broker forget it, close() does not.
        2 poll until all is revoked: only then the library sends the request.
        3 close.
        """
        consumer = self._consumer
        if consumer is not None:
            deadline_s = time.monotonic() + LEAVE_S
            try:
                consumer.unsubscribe()
                while (self._assigned or consumer.assignment()) and time.monotonic() < deadline_s:
                    self.turns += 1
                    consumer.poll(POLL_S)
            except KafkaException as error:
                logger.warning("leaving the group: %s", error)
            self._consumer = None
            _close(consumer)
        self._forget(list(self._assigned))
        if self._left is not None:
            self._handover.put(self._left)

    # Rebalance callbacks: called by the library inside poll, consume and close

    def _on_assign(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        if consumer is not self._consumer:
            return
        try:
            # Any valid place will do, they stay paused until fetch_from. A stored offset would have to be asked for.
            consumer.incremental_assign([_place(each.partition, OFFSET_BEGINNING) for each in given])
            consumer.pause([_place(each.partition) for each in given])
        except KafkaException as error:
            self._broken = f"taking partitions: {error}"
            return
        self._rebuild_wait_s = REBUILD_FIRST_S
        partitions = sorted(PartitionNo(each.partition) for each in given)
        logger.info("assigned: %s", partitions)
        if partitions:
            self._assigned.update(partitions)
            self._handover.put(partial(self._listener.on_assigned, partitions))

    def _on_revoke(self, consumer: Consumer, taken: list[TopicPartition]) -> None:
        if consumer is not self._consumer:
            return
        partitions = [PartitionNo(each.partition) for each in taken]
        logger.info("revoked: %s", partitions)
        self._forget([partition for partition in partitions if partition in self._assigned])
        try:
            consumer.incremental_unassign(taken)
        except KafkaException as error:
            self._broken = f"giving up partitions: {error}"

    def _on_error(self, error: KafkaError) -> None:
        self._judge(error)

    def _judge(self, error: KafkaError) -> None:
        if is_fatal(error) or error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._broken = str(error)
        else:
            # Brokers that come and go: the library logs them itself.
            logger.info("the consumer was told: %s", error)

    # Records

    def _look_for_stalls(self, consumer: Consumer) -> None:
        if self._drained and self._broken is None and self.stalls.due:
            fetched = {each: self._next[each] for each in self._leases if each not in self._paused}
            self._broken = self.stalls.look(consumer, fetched)

    def _poll(self, consumer: Consumer, wait_s: float) -> None:
        batch: list[Message] = []
        try:
            first = consumer.poll(wait_s)
            self._drained = first is None
            if first is None:
                return
            batch.append(first)
            batch += consumer.consume(BATCH - 1, 0)
            self._drained = len(batch) < BATCH
        except (KafkaException, SystemError) as error:
            # Raised for a fatal error and out of callbacks. Records may have been lost on the way, and would be skipped.
            self._broken = str(error)
        # A pause that was asked for while this turn waited for records holds for them already.
        self._run_commands()
        self._deliver(batch)

    def _deliver(self, messages: list[Message]) -> None:
        batch = Batch(messages, self._leases)
        for error in batch.errors:
            self._judge(error)
        for partition, records in batch.records.items():
            if partition in self._paused:
                self._kept.setdefault(partition, []).extend(records)
            else:
                self._hand_over(partition, records)
        for partition, end in batch.ends.items():
            if partition in self._paused:
                self._ends[partition] = end
            else:
                self._reach(partition, end)

    def _hand_over(self, partition: PartitionNo, records: list[Record]) -> None:
        size_bytes = sum([len(record.value or b"") for record in records])
        deliver = partial(self._listener.on_records, partition, self._leases[partition], records)
        self._handover.put(deliver, len(records), size_bytes)
        self._next[partition] = Offset(records[-1].offset + 1)

    def _reach(self, partition: PartitionNo, end: Offset) -> None:
        if end > self._next[partition]:
            self._next[partition] = end
            self._handover.put(partial(self._listener.on_reached, partition, self._leases[partition], end))

    def _want(self, partition: PartitionNo, offset: Offset, lease: Lease) -> None:
        if partition not in self._assigned:
            return
        self._leases.pop(partition, None)
        self._kept.pop(partition, None)
        self._ends.pop(partition, None)
        self._paused.discard(partition)
        self._wanted[partition] = (offset, lease)

    def _seek_wanted(self, consumer: Consumer) -> None:
        """Seek where fetch_from said. A partition whose leader does not answer is tried again with the next turn."""
        for partition, (offset, lease) in list(self._wanted.items()):
            self.turns += 1
            try:
                low, high = consumer.get_watermark_offsets(_place(partition), timeout=WATERMARKS_S, cached=False)
                start = Offset(min(max(offset, low), high))
                consumer.seek(_place(partition, start))
                if partition not in self._paused:
                    consumer.resume([_place(partition)])
            except KafkaException as error:
                logger.info("fetching %s/%d from %d: %s", Topic.MESSAGES, partition, offset, error)
                if is_fatal(error_of(error)):
                    self._broken = str(error)
                return
            self._leases[partition] = lease
            self._next[partition] = start
            del self._wanted[partition]

    def _pause(self, partition: PartitionNo) -> None:
        if partition in self._assigned and self._consumer is not None:
            self._paused.add(partition)
            self._consumer.pause([_place(partition)])

    def _resume(self, partition: PartitionNo) -> None:
        if partition in self._assigned and self._consumer is not None:
            self._paused.discard(partition)
            if partition in self._leases:
                kept = self._kept.pop(partition, None)
                if kept:
                    self._hand_over(partition, kept)
                end = self._ends.pop(partition, None)
                if end is not None:
                    self._reach(partition, end)
                self._consumer.resume([_place(partition)])

    # Commits

    def _commit(self, offsets: dict[PartitionNo, Offset]) -> None:
        places = [_place(partition, offset) for partition, offset in offsets.items() if partition in self._assigned]
        if places and self._consumer is not None:
            self._consumer.commit(offsets=places, asynchronous=True)

    def _prove(self, partition: PartitionNo, offset: Offset, proved: Proved) -> None:
        if self._consumer is None or partition not in self._assigned:
            self._proofs.refuse(proved)
        else:
            self._proofs.ask(self._consumer, partition, offset, proved)

    def _on_commit(self, error: KafkaError | None, places: list[TopicPartition]) -> None:
        if error is not None:
            self._judge(error)
        self._proofs.answered(error, places, self._assigned)


def _place(partition: int, offset: int | None = None) -> TopicPartition:
    if offset is None:
        return TopicPartition(Topic.MESSAGES.value, partition)
    return TopicPartition(Topic.MESSAGES.value, partition, offset)


def _close(consumer: Consumer) -> None:
    try:
        consumer.close()
    except (KafkaException, SystemError) as error:
        logger.info("closing a consumer: %s", error)
