"""How a partition is taken over: what is restored, what is thrown away, what is refused, and who wins."""

from collections.abc import Awaitable, Callable

import pytest

from chatstream.core.claims import Claim
from chatstream.core.codec import FORMAT
from chatstream.core.errors import LogReplaced, LogUnavailable, NotOwner, OutcomeUnknown, TableBroken, UnknownFormat
from chatstream.core.ids import Epoch, NodeId, Offset, PartitionNo
from chatstream.core.limits import Limits
from chatstream.engine.claiming import Candidate, taken_over
from chatstream.engine.projection import Projection
from chatstream.log.port import Topic, TopicIdentity
from chatstream.log.simulated import Faults, SimulatedBroker, SimulatedLog
from chatstream.table import rows
from chatstream.table.memory import MemoryTableStore
from tests.given import ALICE, accepted, completed, place
from tests.logs import P0, ids_of, write_claim, write_events
from tests.virtual import virtual

LIMITS = Limits(append_s=5.0)
Hook = Callable[[], None]


class World:
    """A log, one node's tables, and take-overs by that node. before, after: called around the claim's landing."""

    def __init__(self, partitions: int = 1) -> None:
        self.broker = SimulatedBroker(seed=1, partitions=partitions)
        self.log = SimulatedLog(self.broker, NodeId("n1"))
        self.tables = MemoryTableStore()
        self.before: Hook = lambda: None
        self.after: Hook = lambda: None
        self.claims = 0

    async def _append(self, partition: PartitionNo, key: bytes, value: bytes) -> Offset:
        self.before()
        offset = self.broker.produce(Topic.EVENTS, partition, key, value)
        self.after()
        return offset

    async def take_over(
        self,
        look: Callable[[Projection], None] = lambda _: None,
        append: Callable[[PartitionNo, bytes, bytes], Awaitable[Offset]] | None = None,
    ) -> Claim:
        """The claim, once it is proven; `look` sees the projection while the table is open."""
        self.claims += 1
        candidate = Candidate(node=NodeId("n1"), url="http://n1", fresh_id=f"me{self.claims}")
        taking = taken_over(self.log, self.tables, P0, candidate, LIMITS, append or self._append)
        async with taking as (projection, claim):
            look(projection)
        return claim

    def rows(self) -> dict[bytes, bytes]:
        table = self.tables.open(P0)
        try:
            return dict(table.scan(b"", b"\xff"))
        finally:
            table.close()

    def filled(self) -> "World":
        """A conversation of one turn is in the log, written under claim 1-past."""
        write_claim(self.broker, 1)
        write_events(self.broker, "1-past", [accepted(1), completed(2, 1)])
        return self


def alice_has(seq: int) -> Callable[[Projection], None]:
    def look(projection: Projection) -> None:
        assert rows.read_head(projection.table, ALICE).last_seq == seq

    return look


# -- what is restored ---------------------------------------------------------------------------------------------


@virtual
async def test_the_first_claim_of_a_new_log_is_epoch_1() -> None:
    world = World()
    claim = await world.take_over()
    assert claim == Claim(
        epoch=Epoch(1),
        id="me1",
        node=NodeId("n1"),
        url="http://n1",
        format=FORMAT,
        topics=ids_of(world.broker),
        partitions=1,
    )


@virtual
async def test_a_table_that_is_missing_is_folded_from_the_log() -> None:
    world = World().filled()
    claim = await world.take_over(alice_has(2))
    assert claim.name == "2-me1"


@virtual
async def test_a_table_goes_on_where_it_was() -> None:
    world = World().filled()
    await world.take_over()
    write_events(world.broker, "2-me1", [accepted(3)])
    world.broker.log(Topic.EVENTS, P0).trim(1)  # what the table has is not read again
    await world.take_over(alice_has(3))


@virtual
async def test_a_table_that_cannot_be_opened_is_folded_again() -> None:
    world = World().filled()
    await world.take_over()
    world.tables.broken.add(P0)
    await world.take_over(alice_has(2))


@virtual
async def test_a_table_that_breaks_while_it_is_used_is_gone_at_the_next_attempt() -> None:
    world = World().filled()

    def breaks(projection: Projection) -> None:
        projection.table.write([(b"odd", b"row")])
        raise TableBroken("a block is damaged")

    with pytest.raises(TableBroken):
        await world.take_over(breaks)
    assert world.rows() == {}
    await world.take_over(alice_has(2))


@virtual
async def test_a_table_of_another_version_is_folded_again() -> None:
    world = World().filled()
    await world.take_over()
    table = world.tables.open(P0)
    meta = rows.read_meta(table)
    assert meta is not None
    table.write([rows.write_meta(rows.TableMeta(rows.LAYOUT + 1, meta.next_offset, meta.ownership)), (b"old/row", b"")])
    table.close()
    await world.take_over(alice_has(2))
    assert b"old/row" not in world.rows()


@virtual
async def test_a_table_ahead_of_a_log_that_lost_its_end_is_folded_again() -> None:
    world = World().filled()
    await world.take_over()
    world.broker.log(Topic.EVENTS, P0).truncate(2)
    claim = await world.take_over(alice_has(1))
    assert claim.epoch == 2


@virtual
async def test_a_table_whose_claim_is_not_where_it_was_is_folded_again() -> None:
    world = World().filled()
    await world.take_over()
    world.broker.log(Topic.EVENTS, P0).truncate(2)
    write_claim(world.broker, 2, "other")
    write_events(world.broker, "2-other", [accepted(2), accepted(3), accepted(4)])
    claim = await world.take_over(alice_has(4))
    assert claim.epoch == 3


@virtual
async def test_a_table_of_another_log_is_folded_again_when_this_one_knows_itself() -> None:
    world = World().filled()
    await world.take_over()
    other = World().filled()
    other.broker.recreate(Topic.EVENTS)
    other.filled()
    write_events(other.broker, "1-past", [accepted(n) for n in range(3, 9)])
    other.tables = world.tables
    await other.take_over(alice_has(8))


@virtual
async def test_holes_at_the_end_of_the_log_are_passed() -> None:
    world = World().filled()
    world.broker.log(Topic.EVENTS, P0).skip(3)
    await world.take_over(alice_has(2))


# -- what is refused ----------------------------------------------------------------------------------------------


async def refused(world: World, match: str) -> None:
    """It is refused with that sentence, nothing is claimed, and the table is as it was."""
    before, end = world.rows(), world.broker.log(Topic.EVENTS, P0).end
    with pytest.raises(LogReplaced, match=match):
        await world.take_over()
    assert world.broker.log(Topic.EVENTS, P0).end == end
    assert world.rows() == before


@virtual
async def test_events_that_were_deleted_and_made_again_stop_the_partition_and_leave_the_table() -> None:
    world = World().filled()
    await world.take_over()
    world.broker.recreate(Topic.EVENTS)
    assert world.rows()
    await refused(world, "deleted and made again")
    write_events(world.broker, "2-me1", [accepted(n) for n in range(1, 9)])
    await refused(world, "deleted and made again")


@virtual
async def test_events_made_again_with_the_old_records_in_them_stop_the_partition_too() -> None:
    """A copy of the records into a new topic names the old topic's id in its claims."""
    world = World().filled()
    await world.take_over()
    old = world.broker.records(Topic.EVENTS, P0)
    world.broker.recreate(Topic.EVENTS)
    for record in old:
        world.broker.produce(Topic.EVENTS, P0, record.key, record.value, record.headers)
    await refused(world, "deleted and made again")


@virtual
async def test_a_log_that_lost_its_beginning_does_not_cost_the_table() -> None:
    world = World().filled()
    await world.take_over()
    write_claim(world.broker, 3)
    world.broker.log(Topic.EVENTS, P0).skip(5)
    write_claim(world.broker, 4)
    world.broker.log(Topic.EVENTS, P0).trim(8)
    await refused(world, "its beginning was")


@virtual
async def test_commands_that_were_deleted_and_made_again_stop_the_partition() -> None:
    world = World().filled()
    world.broker.recreate(Topic.MESSAGES)
    with pytest.raises(LogReplaced, match=r"chat\.messages is not the topic that partition 0 was served from: it was deleted"):
        await world.take_over()


@virtual
async def test_a_changed_partition_count_stops_the_partition() -> None:
    world = World()
    write_claim(world.broker, 1, partitions=2)
    with pytest.raises(LogReplaced, match=r"chat\.messages has 1 partitions, it had 2 .* Put the old count back"):
        await world.take_over()


@virtual
async def test_partitions_that_only_the_commands_have_are_refused_and_not_tried_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    found = world.broker.identity()
    more = {**found, Topic.MESSAGES: TopicIdentity(found[Topic.MESSAGES].id, 24)}
    monkeypatch.setattr(world.broker, "identity", lambda: more)
    with pytest.raises(LogReplaced, match=r"chat\.messages 24, chat\.events 1, .*Put the old count back"):
        await world.take_over()


@virtual
async def test_a_topic_that_is_gone_is_said_so_and_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World().filled()
    await world.take_over()
    fewer = {topic: found for topic, found in world.broker.identity().items() if topic is not Topic.EVENTS}
    monkeypatch.setattr(world.broker, "identity", lambda: fewer)
    with pytest.raises(LogUnavailable, match=r"chat\.events does not exist"):
        await world.take_over()


@virtual
async def test_retention_may_reach_the_position_and_not_pass_it() -> None:
    world = World()
    write_claim(world.broker, 1)
    for _ in range(9):
        world.broker.produce(Topic.MESSAGES, P0, b"alice", b"hello")
    write_events(world.broker, "1-past", [accepted(1)], position=place(4))
    world.broker.log(Topic.MESSAGES, P0).trim(5)
    await world.take_over()
    world.broker.log(Topic.MESSAGES, P0).trim(6)
    await refused(world, "starts at offset 6, but only 4 .* lost to retention")


@virtual
async def test_retention_that_removed_only_holes_behind_the_position_is_none_of_our_losses() -> None:
    world = World()
    write_claim(world.broker, 1)
    for _ in range(5):
        world.broker.produce(Topic.MESSAGES, P0, b"alice", b"hello")
    world.broker.log(Topic.MESSAGES, P0).skip(2)
    # The last owner was told of the end at 7: its position went on to 6, over the holes.
    write_events(world.broker, "1-past", [accepted(1)], position=place(6))
    world.broker.log(Topic.MESSAGES, P0).trim(7)
    await world.take_over()


@virtual
async def test_a_position_behind_the_end_of_the_commands_stops_the_partition() -> None:
    world = World()
    write_claim(world.broker, 1)
    for _ in range(5):
        world.broker.produce(Topic.MESSAGES, P0, b"alice", b"hello")
    write_events(world.broker, "1-past", [accepted(1)], position=place(4))
    await world.take_over()
    world.broker.log(Topic.MESSAGES, P0).truncate(4)
    await refused(world, "ends at offset 4, but 4 was decided")


@virtual
async def test_a_partition_written_by_a_newer_version_is_refused() -> None:
    world = World()
    write_claim(world.broker, 1, format=FORMAT + 1)
    with pytest.raises(UnknownFormat):
        await world.take_over()


# -- who wins -----------------------------------------------------------------------------------------------------


@virtual
async def test_a_rivals_claim_that_lands_just_before_ours_wins() -> None:
    world = World().filled()
    world.before = lambda: [write_claim(world.broker, 2, "rival")].clear()
    with pytest.raises(NotOwner):
        await world.take_over()
    world.before = lambda: None
    claim = await world.take_over()
    assert claim.epoch == 3


@virtual
async def test_a_rivals_higher_claim_that_lands_right_behind_ours_wins() -> None:
    world = World().filled()
    world.after = lambda: [write_claim(world.broker, 3, "rival")].clear()
    with pytest.raises(NotOwner):
        await world.take_over()


@virtual
async def test_a_rivals_equal_claim_that_lands_behind_ours_loses() -> None:
    world = World().filled()
    world.after = lambda: [write_claim(world.broker, 2, "rival")].clear()
    claim = await world.take_over()
    assert claim.name == "2-me1"


@virtual
async def test_a_claim_whose_outcome_is_unknown_may_land_late_and_is_passed_by_the_next() -> None:
    world = World().filled()
    late: list[tuple[bytes, bytes]] = []

    async def lose(partition: PartitionNo, key: bytes, value: bytes) -> Offset:  # noqa: ARG001 - there is one
        late.append((key, value))
        raise OutcomeUnknown("no ack")

    with pytest.raises(OutcomeUnknown):
        await world.take_over(append=lose)
    world.before = lambda: [world.broker.produce(Topic.EVENTS, P0, *late[0])].clear()
    with pytest.raises(NotOwner):
        await world.take_over()
    world.before = lambda: None
    claim = await world.take_over(alice_has(2))
    assert claim.epoch == 3


@virtual
async def test_what_a_zombie_wrote_between_restore_and_claim_counts() -> None:
    world = World().filled()
    world.before = lambda: write_events(world.broker, "1-past", [accepted(3)])
    await world.take_over(alice_has(3))


@virtual
async def test_a_log_that_does_not_answer_is_told_so_and_the_table_is_closed() -> None:
    world = World().filled()
    world.broker.faults = Faults(read_fails=1.0)
    with pytest.raises(LogUnavailable):
        await world.take_over()
    world.broker.faults = Faults()
    await world.take_over(alice_has(2))
