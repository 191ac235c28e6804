"""`chatstream top`: what a node is doing now."""

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from chatstream.cli.flags import URL, Url
from chatstream.cli.opening import opened
from chatstream.core.errors import BadInput, ChatstreamError

if TYPE_CHECKING:
    from chatstream.client import Client

EVERY_LEAST_S: Final = 0.2
COUNTED_MOST: Final = 200
"""Sessions of one kind that are counted: beyond it, `200+`."""
SHOWN_MOST: Final = 20
"""Calls and partitions that are listed: the longest and the ones furthest behind."""
CLEAR: Final = "\x1b[H\x1b[2J"


def top(
    once: Annotated[bool, typer.Option("--once", help="Print it once and end.")] = False,
    every: Annotated[float, typer.Option("--every", metavar="SECONDS", help="Between two looks.")] = 2.0,
    url: Url = URL,
) -> None:
    """Show what a node is doing: partitions, sessions, calls of the model under way, turns a second, lag."""
    if not every >= EVERY_LEAST_S:
        raise BadInput(f"every: is {EVERY_LEAST_S:g} seconds at least")
    with opened(url) as client:
        before = look(client)
        if once:
            print("\n".join(lines(before, None)))
            return
        while True:
            time.sleep(every)
            before = _redraw(client, before)


def _redraw(client: "Client", before: "Look") -> "Look":
    try:
        now = look(client)
    except ChatstreamError as error:
        if not error.retryable:
            raise
        print(f"{CLEAR}{' '.join(str(error).split())}; trying again", flush=True)
        return before
    print(CLEAR + "\n".join(lines(now, before)), flush=True)
    return now


class Look(NamedTuple):
    """What was seen. at_s: on a clock that only goes on. sessions: of this node by status, None where there are more than
    are counted. node: the console's own answer. metrics: value by name with its labels."""

    at_s: float
    node: dict[str, Any]
    sessions: dict[str, int | None]
    metrics: Mapping[str, float]


def look(client: "Client") -> Look:
    """Ask a node. Raises ChatstreamError."""
    metrics = numbers(client.get("/metrics").decode())
    node = json.loads(client.get("/v1/console/node"))
    sessions = {status: _count(client, status) for status in ("running", "waiting", "parked")}
    return Look(time.monotonic(), node, sessions, metrics)


def _count(client: "Client", status: str) -> int | None:
    page = json.loads(client.get(f"/v1/sessions?status={status}&scope=node&limit={COUNTED_MOST}"))
    return None if page["has_more"] else len(page["data"])


def numbers(text: str) -> dict[str, float]:
    """Prometheus' text format: value by name with labels."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


def lines(now: Look, before: Look | None) -> list[str]:
    """What is shown. before: an earlier look, for what is told by the second; the first look has totals in its place."""
    partitions = now.node["partitions"]
    states = {state: sum(one["state"] == state for one in partitions) for state in ("active", "restoring", "refused")}
    calls = sorted(now.node["calls"], key=lambda call: -call["since_s"])
    behind = sorted((one for one in partitions if one["lag"] or one["state"] != "active"), key=lambda one: -one["lag"])
    return [
        f"node {now.node['node']}",
        f"partitions {len(partitions)} of {now.node['of']}: " + ", ".join(f"{n} {state}" for state, n in states.items() if n),
        "sessions " + ", ".join(f"{_counted(count)} {status}" for status, count in now.sessions.items()),
        f"calls {len(calls)}, readers {now.metrics.get('chatstream_readers_waiting', 0):.0f}, "
        f"lag {sum(one['lag'] for one in partitions)}",
        f"turns {_paced(now, before, _turns)}, requests {_paced(now, before, _requests)}",
        *(_call_line(call) for call in calls[:SHOWN_MOST]),
        *(_partition_line(one) for one in behind[:SHOWN_MOST]),
    ]


def _counted(count: int | None) -> str:
    return f"{COUNTED_MOST}+" if count is None else str(count)


def _call_line(call: Mapping[str, Any]) -> str:
    if call["retry_in_s"] is not None:
        state = f"again in {call['retry_in_s']:.0f} s: {call['reason']}"
    else:
        state = f"{call['pieces']} pieces"
    return f"  call {call['session']} turn {call['turn']} attempt {call['attempt']} {call['since_s']:.1f} s, {state}"


def _partition_line(one: Mapping[str, Any]) -> str:
    return f"  partition {one['partition']} {one['state']} epoch {one['epoch']} lag {one['lag']} {one['detail']}".rstrip()


def _turns(look: Look) -> float:
    return look.metrics.get("chatstream_turns_ended_total", 0.0)


def _requests(look: Look) -> float:
    return sum(n for name, n in look.metrics.items() if name.startswith("chatstream_http_requests_total"))


def _paced(now: Look, before: Look | None, counted: Callable[[Look], float]) -> str:
    """By the second since the look before; a node that was started again meanwhile counts from 0."""
    if before is None:
        return f"{counted(now):.0f} since the start"
    return f"{max(0.0, counted(now) - counted(before)) / max(now.at_s - before.at_s, EVERY_LEAST_S):.1f}/s"
