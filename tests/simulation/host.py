"""A machine that runs a node: starts it, kills it, stops it, and keeps its tables between its lives."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Generator, Sequence
from functools import partial
from random import Random
from typing import Any, Final, TypeVar

from chatstream.core.errors import LogError
from chatstream.core.ids import NodeId, PartitionNo
from chatstream.core.limits import Limits
from chatstream.engine.node import Node
from chatstream.log.port import AckListener, GroupListener, Lease, Record
from chatstream.log.simulated import SimulatedBroker, SimulatedCrash, SimulatedGroup, SimulatedLog, SimulatedProducer
from chatstream.log.simulated_world import Process
from chatstream.table.memory import MemoryTableStore
from tests.simulation.plan import Fate
from tests.simulation.responder import Scripted

T = TypeVar("T")

_INSTANT_S: Final = 1e-6

_life: contextvars.ContextVar["Life | None"] = contextvars.ContextVar("life", default=None)


class Life:
    """One process: from its start to its crash or stop. tasks: all that were made in it.

    over: it was killed, or has stopped; dead: it was killed. frozen: how many pauses it is in; meanwhile its timers are kept, as a process that stands still has none that ring.
    """

    def __init__(self) -> None:
        self.over = False
        self.dead = False
        self.frozen = 0
        self.tasks: list[asyncio.Task[Any]] = []
        self._rung: list[tuple[list[asyncio.TimerHandle], Callable[..., Any], tuple[Any, ...]]] = []
        self.node: Node | None = None
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

    loop.call_at = call_at  # type: ignore[assignment, method-assign]  # the loop is made elsewhere, and only for this one history


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


class _LifeGroup(SimulatedGroup):
    def __init__(self, life: Life, broker: SimulatedBroker, process: Process) -> None:
        super().__init__(broker, process)
        self._its_life = life

    async def join(self, listener: GroupListener) -> None:
        await super().join(_Entrance(self._its_life, listener))


class _LifeLog(SimulatedLog):
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


class Host:
    """One node's machine. note: told of what happens, for the trace."""

    def __init__(self, broker: SimulatedBroker, number: int, limits: Limits, seed: int, note: Callable[[str], None]) -> None:
        self.id = NodeId(f"n{number}")
        self.life: Life | None = None
        self.lives = 0
        self.failures: list[BaseException] = []
        self._broker = broker
        self._limits = limits
        self._seed = seed
        self._note = note
        self._tables = MemoryTableStore()
        self._backup: MemoryTableStore | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def node(self) -> Node | None:
        """The node that runs here now, if one does."""
        return None if self.life is None or self.life.over else self.life.node

    def start(self, fate: Fate = "same") -> None:
        """A new life, unless one is going on."""
        if self.life is not None and not self.life.over:
            return
        if fate == "none":
            self._tables = MemoryTableStore()
        elif fate == "old":
            self._tables = MemoryTableStore() if self._backup is None else self._backup.copy()
        self.lives += 1
        self._note(f"{self.id} starts, life {self.lives}, table {fate}")
        life = self.life = Life()
        life.run(self._loop.create_task, self._live(life))

    async def _live(self, life: Life) -> None:
        life.log = _LifeLog(life, self._broker, self.id)
        process = life.log.process
        process.on_death.append(lambda: self._died(life))
        self._tables.on_write = process.step
        while not life.over:
            try:
                await life.log.open()
                node = self._make_node(life.log)
                node.failed.add_done_callback(partial(self._failed, life))
                await node.start()
            except LogError:
                await asyncio.sleep(0.5)
            else:
                life.node = node
                return

    def _make_node(self, log: SimulatedLog) -> Node:
        name, numbers = f"{self.id}.{self.lives}", iter(range(1_000_000))
        return Node(
            log=log,
            tables=self._tables,
            responder=Scripted(),
            limits=self._limits,
            node_id=self.id,
            url=f"http://{self.id}",
            now_ms=self._broker.now_ms,
            fresh_id=lambda: f"{name}.{next(numbers)}",
            rng=Random(f"{self._seed}/{name}"),
        )

    def _failed(self, life: Life, failed: "asyncio.Future[None]") -> None:
        error = failed.exception()
        if error is not None and not isinstance(error, SimulatedCrash) and not life.over:
            self.failures.append(error)

    def _died(self, life: Life) -> None:
        self._note(f"{self.id} dies")
        self._tables = self._tables.after_crash()
        self._tables.on_write = None
        life.over = life.dead = True
        self._loop.call_soon(life.end)

    def crash(self) -> None:
        """`kill -9`, now."""
        if self.life is not None and not self.life.over:
            self._broker.crash(self.id)

    def pause(self, for_s: float) -> None:
        """SIGSTOP and, after a while, SIGCONT. Which comes first then, its own timers or what the log had for it, varies."""
        life = self.life
        if life is None or life.over or life.log is None:
            return
        self._broker.pause(self.id, for_s)
        life.frozen += 1
        self._loop.call_later(for_s + (-_INSTANT_S if self._broker.random.random() < 0.5 else _INSTANT_S), life.thaw)

    async def stop(self, drain_s: float) -> Life | None:
        """SIGTERM, and wait until it is gone; the life that ended so."""
        life = self.life
        if life is None or life.over:
            return None
        if life.node is not None:
            self._note(f"{self.id} is told to stop")
            await life.run(self._loop.create_task, self._stop(life, drain_s))
        else:
            self._broker.crash(self.id)
        return life

    async def _stop(self, life: Life, drain_s: float) -> None:
        assert life.node is not None
        assert life.log is not None
        await life.node.stop(drain_s)
        await life.log.close()
        self._tables.close()
        self._note(f"{self.id} has stopped")
        life.over = True
        self._tables.on_write = None

    def back_up(self) -> None:
        """Keep a copy of the tables as they are now."""
        self._backup = self._tables.copy()

    def rot(self, partition: PartitionNo) -> None:
        """At the next opening the table cannot be read."""
        self._tables.broken.add(partition)

    @property
    def tables(self) -> MemoryTableStore:
        """As they are now."""
        return self._tables
