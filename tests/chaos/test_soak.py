"""A short soak: readers come and go, and what they took is given back."""

from pathlib import Path

import pytest

from tests.chaos.soak import Soak, middle
from tests.chaos.vitals import Vitals
from tests.scale import full_only

DURATION_S = 300.0


@pytest.mark.kafka
@full_only
@pytest.mark.timeout(600)
async def test_what_readers_and_turns_took_is_given_back(tmp_path: Path, broker: str) -> None:
    await Soak(DURATION_S, DURATION_S / 15, 40.0, print).run(tmp_path, broker)


@pytest.mark.parametrize("grown", [Vitals(141, 50, 20), Vitals(100, 71, 20), Vitals(100, 50, 23)])
def test_what_grows_is_found(grown: Vitals) -> None:
    soak = Soak(1, 1, 1, print)
    soak.taken = [[Vitals(100, 50, 20)]] * 9
    soak.judge()
    soak.taken = [*soak.taken, [grown]]
    with pytest.raises(AssertionError):
        soak.judge()
    assert middle(soak.taken) == [Vitals(100, 50, 20)]
