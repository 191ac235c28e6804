"""What the judge holds of summaries: each reaches further than those that hold."""

from typing import Any

import pytest

from tests.simulation.waiting import Waiting
from tests.simulation.wrong import Wrong


def summary(seq: int, through: int) -> dict[str, Any]:
    return {"type": "context.compacted", "seq": seq, "through": through, "text": "in short"}


def edit(seq: int, replaces: int) -> dict[str, Any]:
    return {"type": "message.accepted", "seq": seq, "turn": seq, "replaces": replaces}


def follow(*events: dict[str, Any]) -> None:
    waiting = Waiting()
    for event in events:
        waiting.follow(event, [], "here")


@pytest.mark.parametrize("replaces", [4, 11])
def test_one_that_tells_of_what_an_edit_took_back_holds_no_more(replaces: int) -> None:
    """Seed 528100: the next one reached less far, and rightly so."""
    follow(summary(5, 2), summary(17, 11), edit(21, replaces), summary(30, 3))


@pytest.mark.parametrize("before", [[], [edit(21, 12)]])
def test_one_that_holds_is_gone_beyond(before: list[dict[str, Any]]) -> None:
    with pytest.raises(Wrong, match="summarises through 11, the one before through 11"):
        follow(summary(17, 11), *before, summary(30, 11))
    follow(summary(17, 11), *before, summary(30, 12))
