"""What holds in every log of one partition, however claims race and whatever ghosts do in it."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from chatstream.core.claims import Claim, Headers, Ownership, Verdict, claim_record, fold_record, read_position, write_position
from chatstream.core.codec import FORMAT
from chatstream.core.ids import Epoch, InputPosition, NodeId, Offset


class Raw(NamedTuple):
    """A record as it stands on the topic."""

    key: bytes | None
    value: bytes | None
    headers: Headers


def _claim(epoch: int, id: str, generation: int) -> Raw:
    claim = Claim(
        epoch=Epoch(epoch),
        id=id,
        node=NodeId(id),
        url="",
        format=FORMAT,
        topics={},
        partitions=4,
        generation=generation,
    )
    return Raw(*claim_record(claim), ())


def _record(key: bytes, value: bytes | None, claim: str, pos: int, pub: int) -> Raw:
    return Raw(key, value, (("claim", claim.encode()), ("pos", b"0:%d" % pos), ("pub", b"%d" % pub)))


names = st.builds("{}-{}".format, st.integers(0, 5), st.sampled_from("ab"))
claims = st.builds(_claim, st.integers(0, 5), st.sampled_from("ab"), st.integers(0, 1))
own = st.builds(
    _record,
    st.sampled_from([b"s/1/x", b"#mark/x/1"]),
    st.sampled_from([b"{}", b"{}", None]),
    names,
    st.integers(-1, 50),
    st.integers(-1, 50),
)
strange = st.builds(
    Raw,
    st.none() | st.binary(max_size=12) | st.sampled_from([b"#claim/9-z", b"#claim/"]),
    st.none() | st.binary(max_size=12),
    st.lists(st.tuples(st.sampled_from(["claim", "pos", "pub", "x"]), st.binary(max_size=6)), max_size=4).map(tuple),
)
logs = st.lists(st.one_of(claims, own, own, strange), max_size=30)


def fold(log: list[Raw], ownership: Ownership | None = None) -> tuple[Ownership, list[Verdict]]:
    ownership = ownership or Ownership()
    verdicts: list[Verdict] = []
    for offset, record in enumerate(log):
        ownership, verdict = fold_record(ownership, Offset(offset), *record)
        verdicts.append(verdict)
    return ownership, verdicts


@given(logs)
def test_the_epoch_grows_with_every_claim_that_counts_and_never_else(log: list[Raw]) -> None:
    before = Ownership()
    for offset, record in enumerate(log):
        after, verdict = fold_record(before, Offset(offset), *record)
        assert (after.epoch > before.epoch) == (verdict == "claimed")
        assert (after.anchor == offset) == (verdict == "claimed")
        assert after.position >= before.position
        assert after.published >= before.published
        if verdict in ("ghost", "lost-claim"):
            assert after == before
        before = after


@given(logs)
def test_ghosts_and_lost_claims_may_come_twice_or_not_at_all(log: list[Raw]) -> None:
    ownership, verdicts = fold(log)
    ignored = [verdict in ("ghost", "lost-claim") for verdict in verdicts]
    kept = [record for record, out in zip(log, ignored, strict=True) if not out]
    doubled = [one for record, out in zip(log, ignored, strict=True) for one in ([record] * (2 if out else 1))]
    for other in (kept, doubled):
        assert same(fold(other)[0], ownership)


@given(logs, st.permutations(range(30)))
def test_ghosts_may_land_late_and_in_any_order(log: list[Raw], order: list[int]) -> None:
    ownership, verdicts = fold(log)
    ignored = [record for record, verdict in zip(log, verdicts, strict=True) if verdict in ("ghost", "lost-claim")]
    current = ownership.claim.encode()
    late = [record for record in ignored if dict(record.headers).get("claim") != current]
    shuffled = [late[place] for place in order if place < len(late)]
    assert fold([*log, *shuffled, *shuffled])[0] == ownership


@given(logs, st.integers(0, 30))
def test_folding_from_the_start_equals_folding_on_from_anywhere(log: list[Raw], cut: int) -> None:
    half, _ = fold(log[:cut])
    for offset, record in enumerate(log[cut:], start=min(cut, len(log))):
        half, _ = fold_record(half, Offset(offset), *record)
    assert half == fold(log)[0]


@given(st.integers(0, 10**18 - 1), st.integers(-1, 10**18 - 1))
def test_a_position_reads_as_it_was_written(generation: int, offset: int) -> None:
    position = InputPosition(generation, offset)
    assert read_position(write_position(position)) == position


@given(st.binary(max_size=30))
def test_any_header_is_a_position_or_none(raw: bytes) -> None:
    position = read_position(raw)
    assert position is None or position.offset >= -1


def same(one: Ownership, other: Ownership) -> bool:
    """Equal but for where the current claim stands: without ghosts it stands earlier."""
    return (one.epoch, one.claim, one.position, one.published) == (other.epoch, other.claim, other.position, other.published)
