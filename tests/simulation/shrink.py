"""A shorter history that fails in the same way: fewer messages, fewer mishaps, fewer kinds of faults, fewer nodes."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from msgspec.structs import fields, replace

from chatstream.log.simulated import Faults
from tests.simulation.plan import Plan, Send
from tests.simulation.scenario import run

TRIES_MAX: Final = 600
"""Histories that are tried: some 20 s."""

KINDS: Final = ("sends", "mishaps")


def kind_of(error: BaseException | None) -> str:
    """What counts as failing in the same way: the guarantee's name, or the exception's."""
    text = str(error)
    return text[: text.index(":")] if text.startswith("P") and ":" in text[:4] else type(error).__name__


def shrink(plan: Plan, tries: int = TRIES_MAX, happen: Callable[[Plan], BaseException | None] | None = None) -> Plan:
    """The shortest plan found within so many tries that fails as `plan` does; `plan` itself when it does not fail."""
    happen = happen or (lambda it: run(it).error)
    wanted = kind_of(happen(plan))
    left = tries
    while wanted != "NoneType":
        for shorter in _shorter(plan):
            if left == 0:
                return plan
            left -= 1
            if kind_of(happen(shorter)) == wanted:
                plan = shorter
                break
        else:
            return plan
    return plan


def _shorter(plan: Plan) -> Iterator[Plan]:
    """Plans that are one step shorter, the largest steps first."""
    for name in KINDS:
        yield from (replace(plan, **{name: kept}) for kept in _fewer(getattr(plan, name)))
    yield from _smaller(plan)
    calm = Faults()
    for field in fields(Faults):
        if getattr(plan.faults, field.name) != getattr(calm, field.name):
            yield replace(plan, faults=replace(plan.faults, **{field.name: getattr(calm, field.name)}))
    for place, send in enumerate(plan.sends):
        for plain in _plainer(send):
            yield replace(plan, sends=(*plan.sends[:place], plain, *plan.sends[place + 1 :]))


def _smaller(plan: Plan) -> Iterator[Plan]:
    if plan.readers:
        yield replace(plan, readers=0)
    if plan.nodes > 1:
        yield replace(plan, nodes=plan.nodes - 1)
    if plan.partitions > 1:
        yield replace(plan, partitions=plan.partitions - 1)
    if plan.tight:
        yield replace(plan, tight=False)
    if plan.idle_s:
        yield replace(plan, idle_s=0.0)


def _plainer(send: Send) -> Iterator[Send]:
    if send.script != "echo":
        yield replace(send, script="echo")
    if send.delay_s:
        yield replace(send, delay_s=0.0)
    if send.on_busy != "enqueue":
        yield replace(send, on_busy="enqueue")
    if send.node >= 0:
        yield replace(send, node=-1)


def _fewer(items: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    size = max(len(items) // 2, 1)
    while items and size:
        for start in range(0, len(items), size):
            yield items[:start] + items[start + size :]
        size //= 2


def told(plan: Plan) -> str:
    """A plan in lines that a person reads."""
    lines = [f"seed {plan.seed}, {plan.nodes} nodes, {plan.partitions} partitions, tight={plan.tight}, end {plan.end_s:g} s"]
    lines += [f"erased when idle for {plan.idle_s:g} s"] if plan.idle_s else []
    calm = Faults()
    odd = {
        f.name: getattr(plan.faults, f.name) for f in fields(Faults) if getattr(plan.faults, f.name) != getattr(calm, f.name)
    }
    lines.append(f"faults {odd}")
    for send in plan.sends:
        place = f"n{send.node}" if send.node >= 0 else "log"
        lines.append(
            f"{send.at_s:8.4f} {place}: {send.kind} {send.session} {send.number} id={send.message_id!r} {send.on_busy} "
            f"{send.script!r} astray={send.astray} target={send.target!r} turn={send.turn} delay_s={send.delay_s:g} "
            f"{send.key}={send.value} over={send.over!r}"
        )
    for mishap in plan.mishaps:
        lines.append(
            f"{mishap.at_s:8.4f} n{mishap.node}: {mishap.trouble} at step {mishap.step} of {mishap.what!r} "
            f"for {mishap.for_s:g} s, table {mishap.fate}"
        )
    return "\n".join(lines)
