"""The judge's rules for sessions that are erased because nothing happens in them.

As the rest of the judge it shares no code with the product.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from chatstream.core.limits import Limits
from tests.simulation.wrong import Wrong

if TYPE_CHECKING:
    from tests.simulation.oracle import Story

DAY_MS: Final = 86_400_000
ROUNDED_MS: Final = 1
"""Days are no whole milliseconds."""


def updated(story: "Story", seq: int) -> str:
    """When something happened last in a session, as of its event `seq`. A fork's copies keep their times."""
    return max(str(told.event["time"]) for told in story.told[:seq])


def is_idle(story: "Story", seq: int, since: str) -> bool:
    """Had nothing happened since then, as of event `seq`, and did the session wait for nothing?"""
    if seq == 0:
        return False
    told = story.told[seq - 1]
    return not told.owed and not told.later and updated(story, seq) <= since


def judge_idle(story: "Story", event: dict[str, Any], limits: Limits, where: str) -> None:
    """Was nobody's erasure right? Only when the session had been idle as long as the operator says. Raises Wrong."""
    idle_ms = _at_ms(str(event["time"])) - _at_ms(updated(story, event["seq"] - 1))
    wanted_ms = limits.erase_idle_days * DAY_MS - ROUNDED_MS
    if wanted_ms < 0 or idle_ms < wanted_ms:
        raise Wrong(f"P1: {where} erases {event['session']}, idle for {idle_ms} ms, and not for {wanted_ms}")


def _at_ms(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000)
