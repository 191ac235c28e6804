"""Who may write a partition, and which of its records count: each rule of the fold."""

from typing import Any

import msgspec
import pytest

from chatstream.core.claims import (
    EPOCH_MAX,
    Claim,
    Headers,
    Ownership,
    Verdict,
    claim_record,
    counts,
    event_key,
    fold_record,
    mark_key,
    read_claim,
    read_position,
    session_of_key,
    write_position,
)
from chatstream.core.codec import FORMAT
from chatstream.core.errors import UnknownFormat
from chatstream.core.ids import NO_INPUT, ClaimName, Epoch, InputPosition, NodeId, Offset, SessionId
from tests.given import ALICE, accepted, completed, given, place

KEY = b"alice/1/1-aa"


def claim(epoch: int, id: str = "aa", **fields: Any) -> Claim:
    base: dict[str, Any] = {"format": FORMAT, "topics": {"chat.messages": "t1"}, "partitions": 16}
    return Claim(epoch=Epoch(epoch), id=id, node=NodeId(f"node-{id}"), url="http://a", **{**base, **fields})


def fold(
    ownership: Ownership, offset: int, key: bytes | None, value: bytes | None, **headers: bytes
) -> tuple[Ownership, Verdict]:
    return fold_record(ownership, Offset(offset), key, value, tuple(headers.items()))


def claimed(*claims: Claim) -> Ownership:
    ownership = Ownership()
    for offset, one in enumerate(claims):
        ownership, _ = fold(ownership, offset, *claim_record(one))
    return ownership


def raw_claim(epoch: object, **fields: object) -> tuple[bytes, bytes]:
    value = {"type": "claim", "epoch": epoch, "id": "aa", "node": "n", "url": "u", "format": 1, "topics": {}, "partitions": 1}
    return b"#claim/%s-aa" % str(epoch).encode(), msgspec.json.encode({**value, **fields})


def test_a_claim_with_a_higher_epoch_is_the_current_one() -> None:
    ownership, verdict = fold(Ownership(), 5, *claim_record(claim(1)))
    assert verdict == "claimed"
    assert (ownership.epoch, ownership.claim, ownership.anchor, ownership.node) == (1, "1-aa", 5, "node-aa")
    assert (ownership.topics, ownership.partitions, ownership.position) == ({"chat.messages": "t1"}, 16, NO_INPUT)
    ownership, verdict = fold(ownership, 9, *claim_record(claim(7, "bb")))
    assert (verdict, ownership.claim, ownership.anchor) == ("claimed", "7-bb", 9)


@pytest.mark.parametrize("late", [claim(3, "bb"), claim(3), claim(2, "zz"), claim(0)])
def test_a_claim_with_an_equal_or_lower_epoch_is_lost(late: Claim) -> None:
    before = claimed(claim(3))
    assert fold(before, 9, *claim_record(late)) == (before, "lost-claim")


def test_records_of_a_lost_claim_are_ghosts() -> None:
    ownership = claimed(claim(3), claim(3, "bb"))
    assert fold(ownership, 9, KEY, b"{}", claim=b"3-bb") == (ownership, "ghost")
    assert fold(ownership, 9, KEY, b"{}", claim=b"3-aa") == (ownership, "event")


def test_records_of_an_earlier_claim_are_ghosts_for_ever() -> None:
    ownership = claimed(claim(3), claim(4, "bb"))
    assert fold(ownership, 9, KEY, b"{}", claim=b"3-aa")[1] == "ghost"
    assert fold(ownership, 9, mark_key(ClaimName("3-aa"), 1), b"{}", claim=b"3-aa")[1] == "ghost"


def test_a_ghost_moves_nothing() -> None:
    ownership = claimed(claim(3))
    assert fold(ownership, 9, KEY, b"{}", claim=b"2-aa", pos=b"0:99", pub=b"99")[0] == ownership
    assert fold(ownership, 9, KEY, b"{}", pos=b"0:99", pub=b"99")[0] == ownership
    assert fold(ownership, 9, KEY, None, claim=b"3-aa", pos=b"0:99")[0] == ownership


def test_what_has_no_claim_no_value_or_no_key_is_a_ghost() -> None:
    ownership = claimed(claim(3))
    assert fold(ownership, 9, KEY, b"{}")[1] == "ghost"
    assert fold(ownership, 9, KEY, None, claim=b"3-aa")[1] == "ghost"
    assert fold(ownership, 9, None, b"{}", claim=b"3-aa")[1] == "ghost"


def test_before_the_first_claim_everything_is_a_ghost() -> None:
    assert fold(Ownership(), 0, KEY, b"{}", claim=b"") == (Ownership(), "ghost")


def test_position_and_published_only_grow() -> None:
    ownership = claimed(claim(3))
    ownership, verdict = fold(ownership, 9, KEY, b"{}", claim=b"3-aa", pos=b"0:7", pub=b"5")
    assert (verdict, ownership.position, ownership.published) == ("event", place(7), 5)
    assert fold(ownership, 10, KEY, b"{}", claim=b"3-aa", pos=b"0:6", pub=b"4")[0] == ownership
    ownership, verdict = fold(ownership, 10, mark_key(ClaimName("3-aa"), 1), b"{}", claim=b"3-aa", pos=b"0:8")
    assert (verdict, ownership.position, ownership.published) == ("mark", place(8), 5)
    ownership, _ = fold(ownership, 11, KEY, b"{}", claim=b"3-aa", pos=b"0:8", pub=b"6")
    assert (ownership.position, ownership.published) == (place(8), 6)
    ownership, _ = fold(ownership, 12, KEY, b"{}", claim=b"3-aa", pos=b"0:9", pub=b"2")
    assert (ownership.position, ownership.published) == (place(9), 6)


@pytest.mark.parametrize("raw", [b"", b"7", b"0:", b":7", b"0:x", b"-1:7", b"0:--1", b"0: 7", b"0:7:8", b"0:" + b"9" * 19])
def test_an_ill_formed_position_reads_as_absent(raw: bytes) -> None:
    assert read_position(raw) is None
    ownership = claimed(claim(3))
    assert fold(ownership, 9, KEY, b"{}", claim=b"3-aa", pos=raw) == (ownership, "event")


@pytest.mark.parametrize("raw", [b"", b"-1", b"x", b"1.5", b"9" * 19])
def test_an_ill_formed_published_offset_reads_as_absent(raw: bytes) -> None:
    ownership = claimed(claim(3))
    assert fold(ownership, 9, KEY, b"{}", claim=b"3-aa", pub=raw) == (ownership, "event")


def test_positions_read_as_they_were_written() -> None:
    for position in (NO_INPUT, place(0), InputPosition(3, 10**18 - 1)):
        assert read_position(write_position(position)) == position
    assert read_position(None) is None


def test_of_two_headers_of_one_name_the_last_holds() -> None:
    headers: Headers = (("claim", b"2-aa"), ("claim", b"3-aa"))
    assert fold_record(claimed(claim(3)), Offset(9), KEY, b"{}", headers)[1] == "event"


def test_a_new_generation_starts_the_position_again_above_all_of_the_old() -> None:
    ownership, _ = fold(claimed(claim(3)), 9, KEY, b"{}", claim=b"3-aa", pos=b"0:500")
    ownership, _ = fold(ownership, 10, *claim_record(claim(4, "bb", generation=1)))
    assert (ownership.generation, ownership.position) == (1, InputPosition(1, -1))
    assert fold(ownership, 11, KEY, b"{}", claim=b"4-bb", pos=b"0:900")[0] == ownership
    ownership, _ = fold(ownership, 12, KEY, b"{}", claim=b"4-bb", pos=b"1:0")
    assert ownership.position == InputPosition(1, 0)


def test_a_new_claim_of_the_same_generation_keeps_the_position() -> None:
    ownership, _ = fold(claimed(claim(3)), 9, KEY, b"{}", claim=b"3-aa", pos=b"0:500", pub=b"7")
    ownership, _ = fold(ownership, 10, *claim_record(claim(4)))
    assert (ownership.position, ownership.published) == (place(500), 7)


@pytest.mark.parametrize(
    "value",
    [None, b"", b"hello", b"{}", b"[]", b"\xff", b"[" * 100_000, b'{"type":"claim","epoch":4}', b'{"epoch":4,"format":1}'],
)
def test_a_strangers_record_under_a_claims_key_is_no_claim(value: bytes | None) -> None:
    before = claimed(claim(3))
    assert fold(before, 9, b"#claim/4-aa", value, claim=b"3-aa", pos=b"0:9") == (before, "lost-claim")


def test_a_claim_under_another_ones_key_is_no_claim() -> None:
    _, value = claim_record(claim(4))
    assert fold(claimed(claim(3)), 9, b"#claim/5-aa", value)[1] == "lost-claim"
    assert read_claim(b"#claim/5-aa", value) is None


@pytest.mark.parametrize("epoch", [EPOCH_MAX + 1, 2**63, 2**64, 10**30, -1])
def test_an_epoch_that_would_end_all_claiming_does_not_count(epoch: int) -> None:
    before = claimed(claim(3))
    assert fold(before, 9, *raw_claim(epoch)) == (before, "lost-claim")


def test_the_highest_epoch_counts() -> None:
    assert fold(claimed(claim(3)), 9, *raw_claim(EPOCH_MAX))[1] == "claimed"


@pytest.mark.parametrize("fields", [{"generation": 10**30}, {"partitions": -1}, {"generation": -1}, {"format": 2**60}])
def test_a_claim_with_numbers_that_no_row_can_hold_does_not_count(fields: dict[str, int]) -> None:
    assert fold(Ownership(), 0, *raw_claim(1, **fields))[1] == "lost-claim"


def test_a_partition_of_a_newer_format_is_refused() -> None:
    with pytest.raises(UnknownFormat, match="upgrade"):
        fold(claimed(claim(3)), 9, *claim_record(claim(4, format=FORMAT + 1)))


def test_a_newer_claim_is_refused_even_when_its_fields_are_strange_here() -> None:
    value = msgspec.json.encode({"type": "claim", "epoch": 4, "format": FORMAT + 1, "id": {"new": "shape"}})
    with pytest.raises(UnknownFormat):
        fold(claimed(claim(3)), 9, b"#claim/4-x", value)


def test_a_newer_claim_that_lost_refuses_nothing() -> None:
    before = claimed(claim(3))
    assert fold(before, 9, *claim_record(claim(3, "bb", format=FORMAT + 1))) == (before, "lost-claim")
    _, value = claim_record(claim(9, format=FORMAT + 1))
    assert fold(before, 9, b"#claim/4-aa", value) == (before, "lost-claim")


def test_an_event_counts_only_with_the_next_seq() -> None:
    session = given(accepted(1))
    assert counts(session, accepted(2), place(5), id_known=False)
    assert not counts(session, accepted(1), place(5), id_known=False)
    assert not counts(session, accepted(3), place(5), id_known=False)


def test_an_event_counts_only_with_a_later_input_or_none() -> None:
    session = msgspec.structs.replace(given(accepted(1)), last_input=place(5))
    assert counts(session, accepted(2), place(6), id_known=False)
    assert not counts(session, accepted(2), place(5), id_known=False)
    assert counts(session, accepted(2), InputPosition(1, 0), id_known=False)
    assert not counts(msgspec.structs.replace(session, last_input=InputPosition(1, 0)), accepted(2), place(99), id_known=False)
    assert counts(session, completed(2, 1), None, id_known=False)


def test_an_event_with_a_known_id_or_of_an_erased_session_does_not_count() -> None:
    session = given(accepted(1))
    assert not counts(session, accepted(2), place(5), id_known=True)
    assert not counts(msgspec.structs.replace(session, erased=True), accepted(2), place(5), id_known=False)


def test_what_does_not_fit_the_state_counts_all_the_same() -> None:
    assert counts(given(accepted(1)), completed(2, 9), None, id_known=False)


def test_keys_are_unique_and_tell_their_session() -> None:
    assert event_key(ALICE, 7, ClaimName("6-1f")) == b"alice/7/6-1f"
    assert session_of_key(b"alice/7/6-1f") == SessionId("alice")
    for key in (b"#claim/6-1f", b"#mark/6-1f/3", b"alice", b"a/b/c/d", b""):
        assert session_of_key(key) is None
    assert mark_key(ClaimName("6-1f"), 3) == b"#mark/6-1f/3"


def test_a_claims_record_reads_back() -> None:
    for one in (claim(1), claim(7, "bb", generation=2)):
        assert read_claim(*claim_record(one)) == one
