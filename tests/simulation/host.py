"""A machine that runs a node: starts it, kills it, stops it, and keeps its tables between its lives."""

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final

from chatstream.core.errors import LogError
from chatstream.core.ids import NodeId, PartitionNo
from chatstream.core.limits import Limits
from chatstream.engine.node import Node
from chatstream.log.simulated import SimulatedBroker, SimulatedCrash, SimulatedLog
from chatstream.table.memory import MemoryTableStore
from tests.simulation.life import Life, LifeLog
from tests.simulation.plan import Fate
from tests.simulation.responder import Call, Scripted
from tests.simulation.rotting import RottingTables
from tests.simulation.waiting import Got

_INSTANT_S: Final = 1e-6
"""Less than anything takes: right before, or right after."""


class Host:
    """One node's machine. note: told of what happens, for the trace."""

    def __init__(self, broker: SimulatedBroker, number: int, limits: Limits, seed: int, note: Callable[[str], None]) -> None:
        self.id = NodeId(f"n{number}")
        self.life: Life | None = None
        self.lives = 0
        self.failures: list[BaseException] = []
        self.calls: list[Call] = []
        self.gets: list[Got] = []
        self._broker = broker
        self._limits = limits
        self._seed = seed
        self._note = note
        self.rotten: set[PartitionNo] = set()
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
        life.log = LifeLog(life, self._broker, self.id)
        process = life.log.process
        process.on_death.append(lambda: self._died(life))
        self._tables.on_write = process.step
        while not life.over:
            try:
                await life.log.open()
                node = life.made = self._make_node(life.log)
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
            tables=RottingTables(self._tables, self.rotten),
            responder=Scripted(self.calls, self.gets, name),
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
        """From now on the table cannot be used, open or not, until it is destroyed."""
        self.rotten.add(partition)

    @property
    def tables(self) -> MemoryTableStore:
        """As they are now."""
        return self._tables
