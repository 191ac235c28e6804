"""What nobody should send is set aside with its reason, and what strangers write to chat.events changes nothing."""

import pytest

from chatstream.core.claims import EPOCH_MAX
from chatstream.core.errors import BadCommand, LogReplaced
from chatstream.core.ids import MessageId, Offset
from chatstream.core.inbound import read_command, read_key
from chatstream.core.limits import Limits
from chatstream.engine.projection import Projection
from chatstream.log.port import Record, Topic
from chatstream.table.memory import MemoryTableStore
from tests.bad_records import BAD, LAST_CLAIM, STRANGERS, BadRecord, Stranger
from tests.logs import P0
from tests.surroundings import Bench
from tests.unit.test_engine_claiming import World, alice_has
from tests.virtual import virtual


def reason_of(bad: BadRecord) -> str:
    """The reason of its dead letter, empty when it is a command."""
    try:
        read_key(bad.key)
        read_command(bad.value, MessageId("k-0-1"), Limits())
    except BadCommand as error:
        return error.reason
    return ""


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_each_has_its_reason(bad: BadRecord) -> None:
    assert reason_of(bad) == bad.reason


def test_all_of_them_in_a_row_do_not_keep_the_next_message_from_its_answer() -> None:
    bench = Bench()
    for bad in BAD:
        bench.take(bad.value, key=bad.key)
    bench.take("and a good one", key=b"alice", waiter="w")
    bench.ack_all()
    assert "answer w accepted 1 at 0" in bench.told()
    assert len(bench.around.aside) == sum(bool(bad.reason) for bad in BAD)


@pytest.mark.parametrize("stranger", STRANGERS, ids=lambda stranger: stranger.name)
def test_a_strangers_record_between_two_of_ours_changes_nothing(stranger: Stranger) -> None:
    bench = Bench()
    bench.take("one")
    bench.write(stranger.key, stranger.value, stranger.headers)
    bench.ack()
    bench.told()
    bench.read_gap()
    bench.take("two")
    bench.ack_all()
    assert not bench.writer.over
    assert bench.projection.alarms == 0


@pytest.mark.parametrize("stranger", [*STRANGERS, LAST_CLAIM], ids=lambda stranger: stranger.name)
def test_a_log_that_has_only_a_strangers_record_can_be_folded(stranger: Stranger) -> None:
    projection = Projection(P0, MemoryTableStore().open(P0), 10)
    projection.fold_all([Record(Offset(0), stranger.key, stranger.value, stranger.headers)])
    assert projection.next_offset == 1
    assert projection.alarms == 0


@virtual
async def test_strangers_records_before_the_first_claim_do_not_keep_anyone_from_it() -> None:
    world = World()
    for stranger in STRANGERS:
        world.broker.produce(Topic.EVENTS, P0, stranger.key, stranger.value, stranger.headers)
    assert (await world.take_over()).epoch == 1


@virtual
async def test_strangers_records_behind_a_conversation_do_not_change_it() -> None:
    world = World().filled()
    for stranger in STRANGERS:
        world.broker.produce(Topic.EVENTS, P0, stranger.key, stranger.value, stranger.headers)
    assert (await world.take_over(alice_has(2))).epoch == 2


@virtual
async def test_a_claim_above_which_there_is_none_stops_the_partition_with_a_sentence() -> None:
    """It could never be claimed again: trying for ever would tell nobody why."""
    world = World()
    assert LAST_CLAIM.value is not None
    world.broker.produce(Topic.EVENTS, P0, LAST_CLAIM.key, LAST_CLAIM.value.replace(b'"partitions":16', b'"partitions":1'))
    with pytest.raises(LogReplaced, match=rf"epoch {EPOCH_MAX}.*no node"):
        await world.take_over()
