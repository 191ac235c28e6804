"""Commands that come in over HTTP: onto chat.messages, and the answer back to the request that waits.

A request is known by a token in a header of its record, so it does not matter whether its ack or its decision is seen
first. Tokens carry a fresh id of this process: a record read again after a restart meets nobody by mistake.
"""

import asyncio
from typing import Final

import msgspec

from chatstream.core import inbound
from chatstream.core.commands import AnyCommand
from chatstream.core.errors import OutcomeUnknown, QueueFull
from chatstream.core.ids import PartitionNo, SessionId
from chatstream.engine.desk import Answer, Unnumbered
from chatstream.engine.producers import SideProducer
from chatstream.engine.surroundings import WAITER_HEADER
from chatstream.log.port import Ack, Topic

WAITING_MOST: Final = 50_000
"""Requests that wait for a decision at once; beyond it QueueFull, which HTTP tells as 503."""


class _Waiter(msgspec.Struct):
    """A request that waits. stored: its record is acknowledged. lost: nobody here will decide it."""

    partition: PartitionNo
    answer: asyncio.Future[Answer]
    since_s: float
    stored: bool = False
    lost: bool = False


class Gateway:
    """All waiting requests of one node."""

    def __init__(self, producer: SideProducer, fresh_id: str, wait_s: float) -> None:
        self._producer = producer
        self._prefix = fresh_id
        self._wait_s = wait_s
        self._number = 0
        self._waiters: dict[bytes, _Waiter] = {}
        self._loop = asyncio.get_running_loop()

    async def submit(self, partition: PartitionNo, session: SessionId, command: AnyCommand) -> Answer:
        """Store a command and wait for its decision. Raises OutcomeUnknown, QueueFull, RecordTooLarge, LogUnavailable."""
        if len(self._waiters) >= WAITING_MOST:
            raise QueueFull(f"{WAITING_MOST} requests wait for a decision already")
        self._number += 1
        token = f"{self._prefix}/{self._number}".encode()
        waiter = _Waiter(partition, self._loop.create_future(), self._loop.time())

        def on_ack(ack: Ack) -> None:
            if ack.offset is None:
                _fail(waiter, f"the log did not answer: {ack.error}")
            elif waiter.lost:
                _give(waiter, Unnumbered())
            waiter.stored = True

        self._waiters[token] = waiter
        try:
            value = inbound.write_command(command)
            headers = ((WAITER_HEADER, token),)
            self._producer.append(Topic.MESSAGES, partition, session.encode(), value, headers, on_ack)
            return await waiter.answer
        finally:
            del self._waiters[token]

    def answer(self, token: bytes, answer: Answer) -> None:
        """The decision on a command is confirmed."""
        waiter = self._waiters.get(token)
        if waiter is not None:
            _give(waiter, answer)

    def lose(self, partition: PartitionNo) -> None:
        """The partition's writer has ended: who waits is told that the command is stored, once it is."""
        for waiter in self._waiters.values():
            if waiter.partition == partition:
                waiter.lost = True
                if waiter.stored:
                    _give(waiter, Unnumbered())

    def producer_replaced(self) -> None:
        """What was not acknowledged by now never will be."""
        for waiter in self._waiters.values():
            if not waiter.stored:
                _fail(waiter, "the log did not answer")

    def tick(self) -> None:
        """Let go of those that have waited too long."""
        now = self._loop.time()
        for waiter in self._waiters.values():
            if now - waiter.since_s > self._wait_s:
                if waiter.stored:
                    _give(waiter, Unnumbered())
                else:
                    _fail(waiter, f"the log did not answer within {self._wait_s:g} s")


def _give(waiter: _Waiter, answer: Answer) -> None:
    if not waiter.answer.done():
        waiter.answer.set_result(answer)


def _fail(waiter: _Waiter, why: str) -> None:
    if not waiter.answer.done():
        waiter.answer.set_exception(OutcomeUnknown(why))
