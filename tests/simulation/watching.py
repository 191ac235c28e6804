"""What people outside saw of a simulated history, compared with what the log says in the end."""

import asyncio
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from chatstream.core.commands import AnyCommand, Cancel, ClearState, Edit, Erase, Message, Regenerate, Retry, SetState
from chatstream.core.errors import ChatstreamError
from chatstream.core.ids import Offset, PartitionNo, SessionId
from chatstream.engine.desk import Accepted, Answer, Refused, Repeated, Unnumbered
from chatstream.engine.projection import Projection
from chatstream.log.port import Topic
from chatstream.log.simulated import SimulatedBroker
from chatstream.table import reads, rows
from chatstream.table.memory import MemoryTableStore
from chatstream.table.port import View
from tests.simulation.host import Host
from tests.simulation.oracle import Oracle, Reading, Wrong
from tests.simulation.responder import Call
from tests.simulation.values import judge_reply, size_bytes

if TYPE_CHECKING:
    from tests.simulation.scenario import World

Seen = dict[tuple[str, int], bytes]
"""(session, seq) to the event's bytes, as some reader was shown them."""


_REASONS: Final[dict[type[AnyCommand], tuple[str, ...]]] = {
    Cancel: ("not-running",),
    Retry: ("not-ended", "turn-in-progress", "rewound", "queue-full"),
    Regenerate: ("not-ended", "turn-in-progress", "rewound", "queue-full"),
    Erase: ("no-such-session",),
    SetState: ("precondition-failed", "state-too-large"),
    ClearState: ("precondition-failed",),
}
"""Why a command may have led to nothing; whether it could not be followed is judged by its place in the log."""


class Asked(NamedTuple):
    """A request and its answer."""

    session: SessionId
    command: AnyCommand
    answer: Answer


async def read(world: "World", rng: Random, sessions: list[str]) -> None:
    """A reader: looks at some session on some node at odd moments and when it is woken. Raises Wrong: P5."""
    cursors = dict.fromkeys(sessions, 0)
    while not world.done:
        session = SessionId(rng.choice(sessions))
        node = rng.choice(world.hosts).node
        wait_s = rng.choice((0.01, 0.1, 0.5))
        if node is None:
            await _nap(world, wait_s)
            continue
        try:
            with node.feed.watch(session) as watch:
                _look(world, node.table(session).snapshot(), session, cursors)
                await watch.wait(wait_s if world.broker.on_step else 5.0)
        except (ChatstreamError, AttributeError):
            await _nap(world, wait_s)


async def _nap(world: "World", wait_s: float) -> None:
    await asyncio.sleep(wait_s if world.broker.on_step else 5.0)


def _look(world: "World", view: View, session: SessionId, cursors: dict[str, int]) -> None:
    if reads.head(view, session).erased:
        return
    page = reads.events(view, session, 0, 200)
    for seq, value in enumerate(page.values, 1):
        before = world.seen.setdefault((session, seq), value)
        if before != value:
            raise Wrong(f"P5: {session}/{seq} was {before!r} and is {value!r}")
    if len(page.values) != page.last_seq:
        raise Wrong(f"P6: {session} has {len(page.values)} events and its last is {page.last_seq}")
    cursors[session] = page.last_seq


def judge_seen(seen: Seen, oracle: Oracle) -> None:
    """Whatever was shown to anyone is in the log for good: P5, and P7 for what fenced owners showed."""
    for (session, seq), value in seen.items():
        told = oracle.event(session, seq)
        if told is None or told.value != value:
            raise Wrong(f"P5: {session}/{seq} was shown as {value!r} and is {told}")


def judge_answers(asked: list[Asked], oracle: Oracle, broker: SimulatedBroker) -> None:
    """Every answer that a request got is true."""
    for one in asked:
        if not _is_true(one, oracle, broker):
            raise Wrong(f"answer: {one} is not what the log says")


def _is_true(asked: Asked, oracle: Oracle, broker: SimulatedBroker) -> bool:
    session, command, answer = asked
    match answer:
        case Accepted(seq) | Repeated(seq):
            told = oracle.event(session, seq)
            if told is None:
                return False
            name = told.event.get("message_id" if told.event["type"].startswith("message.") else "command_id")
            said = command.text if isinstance(command, Message | Edit) and isinstance(answer, Accepted) else None
            return name == command.command_id and said in (None, told.event.get("text"))
        case Refused("session-erased"):
            return any(session in one.stories and one.stories[session].erased for one in oracle.readings)
        case Refused(reason) if not isinstance(command, Message | Edit):
            return reason in _REASONS[type(command)] and not _came_of_it(asked, oracle, broker)
        case Refused(code):
            story = next(reading.stories[session] for reading in oracle.readings if session in reading.stories)
            return any(
                told.event["type"] == "message.refused"
                and told.event["message_id"] == command.command_id
                and told.event["code"] == code
                for told in story.told
            )
        case Unnumbered():
            found = (broker.records(Topic.MESSAGES, PartitionNo(number)) for number in range(broker.partitions))
            name = command.command_id.encode()
            return any(name in (record.value or b"") for records in found for record in records)


def _came_of_it(asked: Asked, oracle: Oracle, broker: SimulatedBroker) -> bool:
    """Did a command that was sent once lead to an event after all?"""
    name = asked.command.command_id
    found = (broker.records(Topic.MESSAGES, PartitionNo(number)) for number in range(broker.partitions))
    sent = sum(f'"{name}"'.encode() in (record.value or b"") for records in found for record in records)
    return sent == 1 and name in oracle.story(asked.session).ids


def judge_calls(hosts: list[Host], oracle: Oracle) -> None:
    """The model was asked only what stands in the log: no call was made for a message that was not confirmed."""
    for host in hosts:
        for call in host.calls:
            told = oracle.event(call.session, call.turn)
            if told is None or told.event.get("text") != call.text:
                raise Wrong(f"P7: the model was called for {call}, and the log has {told}")
            _judge_shown(call, oracle)


def _judge_shown(call: Call, oracle: Oracle) -> None:
    """The model is shown nothing that an edit took back, and nothing twice. Texts may be the same: producers send again."""
    story = oracle.story(call.session)
    accepted = [told.event for told in story.told if told.event["type"] == "message.accepted"]
    turns = {text: [event["seq"] for event in accepted if event["text"] == text] for text in call.shown}
    # An edit is heeded at the latest by the turn that it brings, and by what ran after that.
    known = max([call.turn, *(seqs[0] for seqs in turns.values() if seqs)])
    for text, seqs in turns.items():
        there = [seq for seq in seqs if seq != call.turn and not story.past.took_back(seq, known)]
        if seqs and len(there) < call.shown.count(text):
            raise Wrong(f"P3: {call} is shown {text!r}, the turns {seqs}; edits: {story.past.edits}")


def judge_fit(oracle: Oracle) -> None:
    """Every answer is the one to its message: scripts put the message's number into it."""
    for reading in oracle.readings:
        for story in reading.stories.values():
            for told in story.told:
                if told.event["type"] == "reply.completed":
                    asked = story.told[told.event["turn"] - 1].event["text"].split()[0]
                    judge_reply(story, told.event)
                    if f"re {asked} " not in told.event["text"]:
                        raise Wrong(f"P3: {told.event} answers {story.told[told.event['turn'] - 1].event}")


def judge_tables(hosts: list[Host], oracle: Oracle, broker: SimulatedBroker) -> None:
    """Every table is the fold of the log as far as it has come, from scratch, row by row: P4."""
    for host in hosts:
        for reading in oracle.readings:
            _judge_table(host, reading, broker)


def _judge_table(host: Host, reading: Reading, broker: SimulatedBroker) -> None:
    number = reading.number
    if number in host.rotten:
        return
    found = _rows(host.tables.copy(), number)
    meta = rows.read_meta(host.tables.copy().open(number))
    fresh = MemoryTableStore()
    projection = Projection(number, fresh.open(number), 100)
    stop = Offset(0) if meta is None else meta.next_offset
    projection.fold_all(record for record in broker.records(Topic.EVENTS, number) if record.offset < stop)
    projection.next_offset = max(projection.next_offset, stop)
    projection.flush()
    wanted = _rows(fresh.copy(), number)
    if projection.alarms:
        raise Wrong(f"P4: folding partition {number} from scratch raised {projection.alarms} alarms")
    _forget_compacted(found, wanted, broker, reading, stop)
    if found != wanted:
        differing = sorted(key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key))
        raise Wrong(
            f"P4: {host.id}'s table of {number}, folded to {stop}, differs in {differing}: "
            f"{found.get(differing[0])!r}, from scratch {wanted.get(differing[0])!r}"
        )


def _forget_compacted(
    found: dict[bytes, bytes], wanted: dict[bytes, bytes], broker: SimulatedBroker, reading: Reading, stop: Offset
) -> None:
    """A table may remember ghosts that the broker has compacted away since: strangers do not keep to unique keys."""
    records = broker.records(Topic.EVENTS, reading.number)
    there = {record.key for record in records if record.value is not None and record.offset < stop}
    for key in [key for key in found if key.startswith(rows.GHOST) and key not in wanted]:
        if key.removeprefix(rows.GHOST).split(b"/", 1)[1] not in there:
            del found[key]
    if broker.log(Topic.EVENTS, reading.number)._cleaned:
        _forget_erased(found, wanted, reading, stop)
        if rows.META in found and rows.META in wanted:
            _forget_carried(found, wanted)


def _forget_erased(found: dict[bytes, bytes], wanted: dict[bytes, bytes], reading: Reading, stop: Offset) -> None:
    """Who has lost the partition may not have seen an erasure, or its tombstones, and the broker has cleaned since."""
    erased = {name.encode(): story.past.erased_at for name, story in reading.stories.items() if story.erased}
    for kept in (found, wanted) if erased else ():
        for key in list(kept):
            gone = [erased[name] for name in key.split(b"/")[1:] if name in erased]
            if gone and (not key.startswith(rows.HEAD) or gone[0] >= stop):
                del kept[key]


def _forget_carried(found: dict[bytes, bytes], wanted: dict[bytes, bytes]) -> None:
    """Records of erased sessions carried positions, too: what compaction left of them may say less, and never more."""
    table, fold = (msgspec.msgpack.decode(of[rows.META], type=rows.TableMeta).ownership for of in (found, wanted))
    later = replace(fold, position=max(fold.position, table.position), published=max(fold.published, table.published))
    if later == table:
        wanted[rows.META] = found[rows.META]


def _rows(store: MemoryTableStore, number: PartitionNo) -> dict[bytes, bytes]:
    found = store.open(number).scan(b"", b"\xff")
    return {key: value for key, value in found if not key.startswith(rows.LOCAL)}


def judge_erased(hosts: list[Host], oracle: Oracle) -> None:
    """Who serves a partition has of its erased sessions nothing but the head."""
    for host in hosts:
        for number in [] if host.node is None else host.node._seats:
            erased = {name.encode() for name, story in oracle.readings[number].stories.items() if story.erased}
            for key, _ in host.tables.copy().open(number).scan(b"", b"\xff") if erased else ():
                if not key.startswith(rows.HEAD) and erased & set(key.split(b"/")[1:]):
                    raise Wrong(f"P4: {host.id} has the row {key!r} of an erased session")


def judge_values(hosts: list[Host], oracle: Oracle) -> None:
    """Who serves a partition has of each session's K/V state what the log makes of it, and its size: P4."""
    for host in hosts:
        for number in [] if host.node is None else host.node._seats:
            view = host.tables.copy().open(number)
            for name, story in oracle.readings[number].stories.items():
                session = SessionId(name)
                found, wanted = dict(rows.read_state(view, session)), story.values.held
                size = rows.read_head(view, session).state_bytes
                if found != wanted or size != size_bytes(wanted):
                    raise Wrong(f"P4: {host.id} has as state of {name} {found}, {size} bytes, and not {wanted}")


def judge_leftovers(hosts: list[Host]) -> None:
    """With everything answered, no call, waiter or reader is left on a running node: P9."""
    for host in hosts:
        node = host.node
        if node is None:
            continue
        left = {
            "calls": len(node._turns),
            "waiting turns": node._turns.waiting,
            "requests": len(node._gateway._waiters),
            "readers": len(node.feed),
            "unconfirmed": sum(seat.writer.unconfirmed for seat in node._seats.values()),
            "undecided": sum(seat.writer.inputs.lag for seat in node._seats.values()),
        }
        if any(left.values()):
            raise Wrong(f"P9: {host.id} still has {left}")


def judge_ends(hosts: list[Host]) -> None:
    """A stopped node leaves no task behind: P9."""
    for host in hosts:
        left = [] if host.life is None else [task for task in host.life.tasks if not task.done()]
        if left:
            raise Wrong(f"P9: {host.id} left tasks behind: {left}")
