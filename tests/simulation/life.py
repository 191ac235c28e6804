"""One process in a simulation: which tasks and timers are its own, so that it can stand still or die as a whole."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Generator, Sequence
from functools import partial
from typing import Any, TypeVar

from chatstream.core.ids import NodeId, Offset, PartitionNo
from chatstream.engine.node import Node
from chatstream.log.port import AckListener, GroupListener, Lease, Record
from chatstream.log.simulated import SimulatedBroker, SimulatedGroup, SimulatedLog, SimulatedProducer
from chatstream.log.simulated_world import Process

T = TypeVar("T")

_life: contextvars.ContextVar["Life | None"] = contextvars.ContextVar("life", default=None)


class Life:
    """One process: from its start to its crash or stop. tasks: all that were made in it.

    over: it was killed, or has stopped; dead: it was killed. frozen: how many pauses it is in; meanwhile its timers are
    kept, as a process that stands still has none that ring. made: its node, started or not; node: the one that serves.
    """

    def __init__(self) -> None:
        self.over = False
        self.dead = False
        self.frozen = 0
        self.tasks: list[asyncio.Task[Any]] = []
        self._rung: list[tuple[list[asyncio.TimerHandle], Callable[..., Any], tuple[Any, ...]]] = []
        self.node: Node | None = None
        self.made: Node | None = None
        self.log: SimulatedLog | None = None

    def run(self, call: Callable[..., T], *args: Any) -> T:
        """Call something in this life: what it starts belongs to it."""
        context = contextvars.copy_context()
        context.run(_life.set, self)
        return context.run(call, *args)

    def ring(self, handle: list[asyncio.TimerHandle], call: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """A timer of this life is due."""
        if self.dead:
            return
        if self.frozen:
            self._rung.append((handle, call, args))
        else:
            call(*args)

    def thaw(self) -> None:
        """A pause is over."""
        self.frozen -= 1
        if not self.frozen:
            rung, self._rung = self._rung, []
            for handle, call, args in rung:
                if not handle[0].cancelled():
                    self.run(asyncio.get_running_loop().call_soon, self.ring, handle, call, args)

    def end(self) -> None:
        """Nothing of it runs any more."""
        self.over = True
        for task in self.tasks:
            if not task.done():
                task.cancel()
        # A process takes these along. Here the garbage collector would have to, which does not see them (`Pending`).
        for seat in [] if self.made is None else self.made._seats.values():
            seat.writer._appends.forget()


def watch_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """From now on every task belongs to the life it was made in."""

    def make(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T] | Generator[Any, None, T]) -> asyncio.Task[T]:
        task = asyncio.Task(coro, loop=loop)
        life = _life.get()
        if life is not None:
            life.tasks.append(task)
        return task

    loop.set_task_factory(make)
    at = loop.call_at

    def call_at(when: float, call: Callable[..., Any], *args: Any, context: Any = None) -> asyncio.TimerHandle:
        life = _life.get()
        # What the log has on its way is the network's, and lands whether or not the process runs.
        if life is None or call.__module__.startswith(("chatstream.log", "tests.")):
            return at(when, call, *args, context=context)
        handle: list[asyncio.TimerHandle] = []
        handle.append(at(when, life.ring, handle, call, args, context=context))
        return handle[0]

    loop.call_at = call_at  # type: ignore[assignment, method-assign]  # the loop is made for this one history only


class _Entrance:
    """Runs what the log calls in the life that it is meant for: timers run in the context of whoever set them."""

    def __init__(self, life: Life, inner: GroupListener) -> None:
        self._life = life
        self._inner = inner

    def on_assigned(self, partitions: Sequence[PartitionNo]) -> None:
        self._life.run(self._inner.on_assigned, partitions)

    def on_revoked(self, partitions: Sequence[PartitionNo]) -> None:
        self._life.run(self._inner.on_revoked, partitions)

    def on_records(self, partition: PartitionNo, lease: Lease, records: Sequence[Record]) -> None:
        self._life.run(self._inner.on_records, partition, lease, records)

    def on_reached(self, partition: PartitionNo, lease: Lease, end: Offset) -> None:
        self._life.run(self._inner.on_reached, partition, lease, end)


class _LifeGroup(SimulatedGroup):
    def __init__(self, life: Life, broker: SimulatedBroker, process: Process) -> None:
        super().__init__(broker, process)
        self._its_life = life

    async def join(self, listener: GroupListener) -> None:
        await super().join(_Entrance(self._its_life, listener))


class LifeLog(SimulatedLog):
    """The log as one life has it."""

    def __init__(self, life: Life, broker: SimulatedBroker, node_id: NodeId) -> None:
        super().__init__(broker, node_id)
        self._life = life

    def open_producer(self, on_acks: AckListener) -> SimulatedProducer:
        return super().open_producer(partial(self._life.run, on_acks))

    def group(self) -> SimulatedGroup:
        group = _LifeGroup(self._life, self._broker, self.process)
        self._groups.append(group)
        return group
