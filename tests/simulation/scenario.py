"""One simulated history: the real engine on the simulated log, what befalls it, and whether every guarantee held."""

import asyncio
import json
from random import Random
from typing import Final, NamedTuple

from msgspec.structs import replace

from chatstream.core.errors import ChatstreamError
from chatstream.core.ids import PartitionNo, SessionId
from chatstream.core.limits import Limits
from chatstream.core.partitioner import partition_of
from chatstream.log.port import Topic
from chatstream.log.simulated import Faults, SimulatedBroker, SimulatedCrash
from tests.simulation import waiting, watching
from tests.simulation.host import Host
from tests.simulation.life import watch_tasks
from tests.simulation.oracle import Oracle, Wrong
from tests.simulation.plan import Mishap, Plan, Send
from tests.simulation.sending import command_of, record_of, with_tag
from tests.simulation.virtual_loop import run_virtual

SESSION_TIMEOUT_S: Final = 3.0
SETTLE_S: Final = 300.0
"""Virtual seconds after the last fault in which everything has to be done: the longest queue of turns that never end."""
LATEST_S: Final = 10.0
"""Whatever was on its way at the last fault has landed by then: the largest late_s and slow_s together."""
IDLE_S: Final = 150.0
"""Beyond that, where idle sessions are erased: the longest idle_s, two walks over them, and a while."""
LOOK_S: Final = 0.5
DAY_S: Final = 86_400.0

LIMITS: Final = Limits(
    attempts=3,
    chunk_wait_s=4.0,
    turn_s=10.0,
    retry_first_s=0.1,
    retry_most_s=1.0,
    append_s=6.0,
    resumes=3,
    waiting_turns=8,
    prompt_tokens=70,
    compact_rest_s=1.0,
    look_s=5.0,
)
TIGHT: Final = Limits(
    attempts=2, chunk_wait_s=2.0, turn_s=5.0, retry_first_s=0.1, retry_most_s=1.0, append_s=2.0, resumes=1, waiting_turns=2,
    calls=1, cached_sessions=1, unconfirmed_records=3, mark_s=0.3, look_s=1.0,
    scheduled_messages=2, prompt_tokens=70, compact_rest_s=1.0, steps=2, state_bytes=60,
)  # fmt: skip


class World:
    """One history while it happens. notes: what happened when, if anybody wants to know."""

    def __init__(self, plan: Plan, noting: bool) -> None:
        self.plan = plan
        self.notes: list[str] = []
        self._noting = noting
        self._loop = asyncio.get_running_loop()
        watch_tasks(self._loop)
        self.broker = SimulatedBroker(plan.seed, plan.partitions, plan.faults, SESSION_TIMEOUT_S)
        self.broker.on_step = self._step
        self.limits = replace(TIGHT if plan.tight else LIMITS, erase_idle_days=plan.idle_s / DAY_S)
        self.hosts = [Host(self.broker, number, self.limits, plan.seed, self.note) for number in range(plan.nodes)]
        self.oracle = Oracle(self.broker, self.limits)
        self.asked: list[watching.Asked] = []
        self.seen: watching.Seen = {}
        self.done = False
        self._rivals = 0
        self._decided: set[tuple[str, int]] = set()
        self._armed: dict[str, list[tuple[int, str, Mishap]]] = {}
        self._chores: list[asyncio.Task[None]] = []

    def note(self, what: str) -> None:
        """Write down what happens."""
        if self._noting:
            self.notes.append(f"{self._loop.time():9.4f} {what}")

    async def run(self) -> None:
        """The history, then the verdict. Raises Wrong.

        1. The nodes start; clients send, readers read, mishaps befall, until the plan's end.
        2. Nothing goes wrong any more and every node is up again: everything has to be done in SETTLE_S.
        3. Wait until nothing can be on its way any more: what landed late must not have changed anything. What landed of
           erased sessions is found, and removed, though nobody says anything any more.
        4. Judge while the nodes still run, stop them, and judge what they leave behind.
        """
        for host in self.hosts:
            host.start()
        self._schedule()
        await asyncio.sleep(self.plan.end_s)
        self._end_faults()
        await self._settle()
        await asyncio.sleep(LATEST_S)
        await self._settle()
        await self._settle(removed=True)
        self.done = True
        await self._end_chores()
        self.oracle.judge()
        watching.judge_seen(self.seen, self.oracle)
        watching.judge_calls(self.hosts, self.oracle)
        watching.judge_fit(self.oracle)
        waiting.judge_got((got for host in self.hosts for got in host.gets), self.oracle.recorded)
        watching.judge_answers(self.asked, self.oracle, self.broker)
        watching.judge_tables(self.hosts, self.oracle, self.broker)
        watching.judge_erased(self.hosts, self.oracle)
        watching.judge_values(self.hosts, self.oracle)
        watching.judge_leftovers(self.hosts)
        for host in self.hosts:
            await host.stop(0.5)
        self.oracle.judge()
        watching.judge_ends(self.hosts)
        watching.judge_tables(self.hosts, self.oracle, self.broker)

    def _schedule(self) -> None:
        for send in self.plan.sends:
            self._loop.call_at(send.at_s, self._send, send)
        for mishap in self.plan.mishaps:
            self._loop.call_at(mishap.at_s, self._arm, mishap)
        for number in range(self.plan.readers):
            rng = Random(f"{self.plan.seed}/reader{number}")
            self._chore(watching.read(self, rng, sorted({send.session for send in self.plan.sends})))

    def _chore(self, work: "asyncio._CoroutineLike[None]") -> None:
        self._chores.append(self._loop.create_task(work))

    def _end_faults(self) -> None:
        self.note("from here on nothing goes wrong")
        self.broker.faults = Faults()
        self.broker.on_step = None
        self._armed.clear()

    async def _settle(self, *, removed: bool = False) -> None:
        within_s = SETTLE_S + (IDLE_S if self.plan.idle_s else 0.0)
        deadline = self._loop.time() + within_s
        while True:
            for host in self.hosts:
                host.start()
                if host.failures:
                    raise Wrong(f"P8: {host.id} cannot go on: {host.failures[0]!r}") from host.failures[0]
            unfinished = self.oracle.unfinished(removed)
            self._decide()
            if unfinished is None and all(task.done() for task in self._chores if task not in self._reading()):
                return
            if self._loop.time() > deadline:
                raise Wrong(f"P8: {within_s:g} s after the last fault: {unfinished or 'a request still waits'}")
            await asyncio.sleep(LOOK_S)

    def _decide(self) -> None:
        """Somebody has time at last for what is asked."""
        for reading in self.oracle.readings:
            for session, story in reading.stories.items():
                name, at = story.waiting.parked, (session, story.waiting.asked_at)
                if name and at not in self._decided:
                    self._decided.add(at)
                    fields = {"type": "approve", "name": name.split("#")[0], "decision": "approved"}
                    self.broker.produce(Topic.MESSAGES, reading.number, session.encode(), json.dumps(fields).encode())

    def _reading(self) -> list["asyncio.Task[None]"]:
        return self._chores[: self.plan.readers]

    async def _end_chores(self) -> None:
        if self._chores:
            await asyncio.wait(self._chores)
        for task in self._chores:
            task.result()

    # -- clients --------------------------------------------------------------------------------------------------

    def _send(self, send: Send) -> None:
        self.note(f"client: {send.kind} {send.session} {send.number} id={send.message_id!r} {send.on_busy} {send.script}")
        if send.over:
            self.oracle.read()
            send = with_tag(send, self.oracle.story(send.session).values.held.get(send.key))
        if send.node >= 0:
            self._chore(self._submit(send))
            return
        key, value = record_of(send)
        home = partition_of(key or b"", self.plan.partitions)
        partition = (home + send.astray) % self.plan.partitions
        self.broker.produce(Topic.MESSAGES, PartitionNo(partition), key, value)

    async def _submit(self, send: Send) -> None:
        life, node = self.hosts[send.node % len(self.hosts)].life, self.hosts[send.node % len(self.hosts)].node
        if life is None or node is None:
            return
        command = command_of(send)
        asking = life.run(self._loop.create_task, node.submit(SessionId(send.session), command))
        while not asking.done() and not life.over:
            await asyncio.wait([asking], timeout=LOOK_S)
        if not asking.done() or asking.cancelled():
            asking.cancel()
            return
        try:
            answer = asking.result()
        except (ChatstreamError, SimulatedCrash) as error:
            self.note(f"client: {send.number} was told {error!r}")
            return
        self.note(f"client: {send.number} was told {answer!r}")
        self.asked.append(watching.Asked(SessionId(send.session), command, answer))

    # -- mishaps --------------------------------------------------------------------------------------------------

    def _arm(self, mishap: Mishap) -> None:
        host = self.hosts[mishap.node % len(self.hosts)]
        if mishap.step and mishap.trouble in ("crash", "pause"):
            self._armed.setdefault(host.id, []).append((mishap.step, mishap.what, mishap))
        else:
            self._befall(host, mishap)

    def _step(self, node_id: str, what: str) -> None:
        armed = self._armed.get(node_id)
        if not armed:
            return
        for place, (left, kind, mishap) in enumerate(armed):
            if kind in what:
                armed[place] = (left - 1, kind, mishap)
                if left <= 1:
                    del armed[place]
                    self.note(f"{node_id} at {what!r}: {mishap.trouble} for {mishap.for_s:g} s")
                    self._at_step(node_id, mishap)
                return

    def _at_step(self, node_id: str, mishap: Mishap) -> None:
        host = next(host for host in self.hosts if host.id == node_id)
        if mishap.trouble == "pause":
            host.pause(mishap.for_s)
        else:
            self._loop.call_later(mishap.for_s, host.start, mishap.fate)
            raise SimulatedCrash(f"{node_id} is killed")

    def _befall(self, host: Host, mishap: Mishap) -> None:
        self.note(f"{host.id}: {mishap.trouble} for {mishap.for_s:g} s, table {mishap.fate}")
        match mishap.trouble:
            case "crash":
                host.crash()
                self._loop.call_later(mishap.for_s, host.start, mishap.fate)
            case "pause":
                host.pause(mishap.for_s)
            case "stop":
                self._chore(self._stop_and_start(host, mishap))
            case "shuffle":
                self.broker.shuffle()
            case "backup":
                host.back_up()
            case "rot":
                host.rot(PartitionNo(mishap.step % self.plan.partitions))
            case "compact":
                self._compact()
            case "stranger":
                self._stranger(PartitionNo(mishap.step % self.plan.partitions), mishap)
            case "rival":
                self._rival(PartitionNo(mishap.step % self.plan.partitions))

    def _compact(self) -> None:
        """The broker cleans the compacted topics: nothing that anybody still needs may go. The judge knows what was there."""
        self.oracle.read()
        self.broker.log(Topic.OWNERS, PartitionNo(0)).compact()
        for number in range(self.plan.partitions):
            self.broker.log(Topic.EVENTS, PartitionNo(number)).compact()

    async def _stop_and_start(self, host: Host, mishap: Mishap) -> None:
        life = host.life
        stopping = self._loop.create_task(host.stop(min(mishap.for_s, 2.0)))
        while not stopping.done() and life is not None and not life.over:
            await asyncio.wait([stopping], timeout=LOOK_S)
        stopping.cancel()
        await asyncio.sleep(mishap.for_s)
        host.start(mishap.fate)

    def _stranger(self, partition: PartitionNo, mishap: Mishap) -> None:
        """Somebody who does not know the rules writes to chat.events."""
        strange: tuple[tuple[bytes | None, bytes | None], ...] = (
            (None, b"hello"),
            (b"s0/1/x", b'{"type":"message.accepted","session":"s0","seq":1}'),
            (b"s0/1/x", b'{"type":"from.the.future","session":"s0","seq":1}'),
            (b"#claim/9-x", b'{"epoch": "nine"}'),
            (b"#claim/0-x", b'{"type":"claim","epoch":0,"id":"x"}'),
            (b"#mark/0-x/1", b"{}"),
            (b"s0/1/x", None),
        )
        self.broker.produce(Topic.EVENTS, partition, *strange[mishap.step % len(strange)], (("claim", b"0-x"),))

    def _rival(self, partition: PartitionNo) -> None:
        """A claim lands from a node that is never heard of again."""
        self.oracle.read()
        epoch = self.oracle.readings[partition].epoch + 1
        # Fresh, as every claim's id, and once, as an idempotent producer's record: two claims under one key would be one to
        # compaction.
        self._rivals += 1
        rival = f"rival{self._rivals}"
        claim = {
            "type": "claim",
            "epoch": epoch,
            "id": rival,
            "node": "n99",
            "url": "",
            "format": 1,
            "topics": {str(topic): found.id for topic, found in self.broker.identity().items()},
            "partitions": self.plan.partitions,
        }
        self.broker.land(Topic.EVENTS, partition, f"#claim/{epoch}-{rival}".encode(), json.dumps(claim).encode(), ())
        self.broker.log(Topic.EVENTS, partition).wake()


class Verdict(NamedTuple):
    """How a history ended. error: what went wrong, None for nothing. notes: what happened, if that was asked for."""

    error: BaseException | None
    notes: list[str]


def run(plan: Plan, noting: bool = False) -> Verdict:
    """Let a plan happen."""
    worlds: list[World] = []

    async def happen() -> None:
        worlds.append(World(plan, noting))
        await worlds[0].run()

    error: BaseException | None = None
    try:
        run_virtual(happen(), plan.end_s + 3 * (SETTLE_S + IDLE_S), expected=(SimulatedCrash,))
    except Exception as raised:  # noqa: BLE001  # whatever it is, it is a finding
        error = raised
    return Verdict(error, worlds[0].notes)
