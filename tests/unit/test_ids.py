"""What a well-formed id is."""

import pytest

from chatstream.core.errors import BadId
from chatstream.core.ids import NO_INPUT, InputPosition, known_id, message_id, place_id, session_id

GOOD = ["a", "A-Z_0.9:@~", "x" * 200, "...", "user@example.org", "k", "K-1"]
BAD = ["", "x" * 201, ".", "..", "a b", "a/b", "a#b", "ä", "a\n", "\n", "a\x00", "%2e", "a?b"]


@pytest.mark.parametrize("raw", GOOD)
def test_a_well_formed_id_is_taken_as_it_is(raw: str) -> None:
    assert [str(read(raw)) for read in (session_id, message_id, known_id)] == [raw] * 3


@pytest.mark.parametrize("raw", BAD)
def test_an_ill_formed_id_is_refused(raw: str) -> None:
    for read in (session_id, message_id, known_id):
        with pytest.raises(BadId):
            read(raw)


def test_ids_we_make_ourselves_cannot_be_given_but_named() -> None:
    ours = place_id(3, 17)
    assert ours == "k-3-17"
    with pytest.raises(BadId, match="k-"):
        message_id(ours)
    assert known_id(ours) == ours
    assert str(session_id(ours)) == ours


def test_places_compare_by_generation_first() -> None:
    assert NO_INPUT < InputPosition(0, 0) < InputPosition(0, 9) < InputPosition(1, -1) < InputPosition(1, 0)


def test_the_same_offset_of_an_adopted_topic_is_another_id() -> None:
    assert place_id(3, 17, 1) == "k-3-1.17"
    assert len({place_id(3, 17, generation) for generation in range(3)} | {place_id(3, 117)}) == 4
    assert known_id(place_id(3, 17, 1)) == "k-3-1.17"
