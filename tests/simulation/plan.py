"""What is going to happen in one simulated history, drawn from one seed before it begins.

A plan is plain data, so that a failing one can be cut down: fewer messages, fewer mishaps, fewer kinds of faults.
"""

from random import Random
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from chatstream.core.partitioner import partition_of
from chatstream.log.simulated_world import Faults

Kind = Literal[
    "text", "json", "cancel", "garbage", "approve", "retry", "regenerate", "edit", "fork", "update", "erase", "set", "clear"
]  # fmt: skip
Fate = Literal["same", "old", "none"]
"""The table a node finds when it starts again: as it left it, an earlier copy, or nothing."""
Trouble = Literal["crash", "pause", "stop", "shuffle", "backup", "rot", "compact", "stranger", "rival"]

GARBAGE: Final[tuple[tuple[bytes | None, bytes | None], ...]] = (
    (b"s0", None),
    (b"s0", b""),
    (b"s0", b"\xff\xfe nobody's text"),
    (b"s0", b'{"type": "message", "text": '),
    (b"s1", b'{"type": "dance"}'),
    (b"s1", b'{"type": "edit"}'),
    (b"s1", b'{"text": ""}'),
    (b"s2", b'{"text": "hi", "message_id": "k-0-0"}'),
    (None, b"a text for nobody"),
    (b"", b"a text for nobody"),
    (b"not a session!", b"a text for nobody"),
)
"""Keys and values of records that are no commands."""

GOING_BACK: Final[tuple[Kind, ...]] = ("retry", "regenerate", "edit", "fork", "update", "erase")
BACK_WEIGHTS: Final = ((0, 0, 0, 0, 0, 0), (8, 8, 14, 6, 4, 3), (25, 20, 40, 3, 3, 0), (3, 3, 8, 35, 3, 12))
"""How often each of those, beside 100 others: not at all, now and then, mostly other answers, mostly forks and erasures."""

KEEPING: Final[tuple[Kind, ...]] = ("set", "clear")
KEEPING_WEIGHTS: Final = ((0, 0), (0, 0), (10, 3), (150, 30))
"""How often each of those: not at all, now and then, mostly."""
KEYS: Final = ("a", "a", "a", "b", "notes")
"""Of the K/V state: few, so that they meet. The model sets and clears them, too."""
VALUES: Final = (
    '"x"',
    '"x"',
    '["x"]',
    '["x"]',
    '{"long":"where limits are tight there is no room for it, beside others"}',
    "null",
)
"""What is put there, as JSON; null clears."""
SEEN: Final = "seen"
PRECONDITIONS: Final = (SEEN, SEEN, SEEN, "*", '"x"', '["x"]')
"""What a write goes over: whatever is there when it is sent, anything, or a value that may be there or not."""

IDLING_EACH: Final = 8
"""In one of so many plans idle sessions are erased."""

STEPS: Final = ("", "append", "acks", "write", "read", "records", "bounds", "assigned", "revoked", "membership", "fetch")
"""Kinds of steps that a crash or a pause can wait for; the empty one is any step."""


class Send(msgspec.Struct, frozen=True):
    """A client's record. node: through that node's `submit`, -1: straight into the log. number: of the record, in its text.

    astray: how many partitions further than it should it is put. script: what the responder does with it. delay_s: when
    it is to be sent. turn: the number that a cancel, retry, edit or fork names. target: the id that a cancel names, the new
    session of a fork. key, value (JSON): of a set or clear; over: one of PRECONDITIONS, or empty.
    """

    at_s: float
    number: int
    kind: Kind
    session: str
    message_id: str
    on_busy: Literal["enqueue", "reject", "interrupt"]
    script: str
    node: int
    astray: int = 0
    target: str = ""
    turn: int = 0
    garbage: int = 0
    delay_s: float = 0.0
    key: str = ""
    value: str = ""
    over: str = ""


class Mishap(msgspec.Struct, frozen=True):
    """Something that befalls a node. step: 0 at once, n: at its nth step of the kind `what` from then on.

    for_s: how long it stands still or is away.
    """

    at_s: float
    trouble: Trouble
    node: int
    step: int
    what: str
    for_s: float
    fate: Fate


class Plan(msgspec.Struct, frozen=True):
    """One history. tight: limits so small that they are met all the time. end_s: from then on nothing goes wrong any more.

    idle_s: sessions in which nothing happened for so long are erased, 0: none.
    """

    seed: int
    nodes: int
    partitions: int
    tight: bool
    readers: int
    faults: Faults
    sends: tuple[Send, ...]
    mishaps: tuple[Mishap, ...]
    end_s: float
    idle_s: float = 0.0


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    rng = Random(seed)
    end_s = rng.choice((3.0, 6.0, 10.0))
    nodes = rng.choice((1, 2, 2, 3))
    partitions = rng.choice((1, 1, 2, 3))
    calm = rng.random() < 0.1
    plan = Plan(
        seed=seed,
        nodes=nodes,
        partitions=partitions,
        tight=rng.random() < 0.3,
        readers=rng.choice((0, 1, 2)),
        faults=Faults() if calm else _faults(rng),
        sends=_sends(rng, nodes, partitions, end_s * 0.9),
        mishaps=() if calm else tuple(_mishap(rng, nodes, end_s) for _ in range(rng.choice((0, 1, 2, 3, 5)))),
        end_s=end_s,
    )
    return _idling(plan) if seed % IDLING_EACH == IDLING_EACH - 1 else plan


def _idling(plan: Plan) -> Plan:
    """The same, slower, as idle sessions are looked for once a minute, and with sessions that are erased when they are."""
    rng = Random(f"{plan.seed}/idle")
    slower = rng.choice((2.0, 15.0, 30.0))
    return replace(
        plan,
        sends=tuple(replace(send, at_s=send.at_s * slower, delay_s=min(send.delay_s * slower, 90.0)) for send in plan.sends),
        mishaps=tuple(replace(mishap, at_s=mishap.at_s * slower) for mishap in plan.mishaps),
        end_s=plan.end_s * slower,
        idle_s=rng.choice((0.5, 4.0, 25.0)),
    )


def with_more(plan: Plan, trouble: Trouble, count: int) -> Plan:
    """The plan with so many more mishaps of one kind, all at once where they are."""
    rng = Random(f"{plan.seed}/{trouble}")
    more = (
        Mishap(rng.uniform(0.1, plan.end_s * 0.9), trouble, rng.randrange(plan.nodes), rng.randrange(8), "", 1.0, "same")
        for _ in range(count)
    )
    return msgspec.structs.replace(plan, mishaps=(*plan.mishaps, *more))


def _faults(rng: Random) -> Faults:
    def rate(most: float) -> float:
        return rng.uniform(0.005, most) if rng.random() < 0.4 else 0.0

    return Faults(
        delay_s=rng.choice(((0.0005, 0.005), (0.001, 0.3))),
        slow=rate(0.1),
        slow_s=(0.5, 4.0),
        ack_lost=rate(0.1),
        append_lost=rate(0.1),
        late_landing=rng.choice((0.0, 0.3, 1.0)),
        late_s=(0.1, 5.0),
        duplicate_produce=rate(0.2),
        holes=rate(0.3),
        read_fails=rate(0.1),
        membership_doubt=rate(0.5),
        small_batches=rng.choice((0.0, 0.2, 0.9)),
    )


def _sends(rng: Random, nodes: int, partitions: int, until_s: float) -> tuple[Send, ...]:
    sessions = [f"s{number}" for number in range(rng.choice((1, 2, 2, 4)))]
    forks = [_fork_name(session, number, partitions) for session in sessions for number in range(2)]
    ids = [f"m{number}" for number in range(rng.choice((3, 30)))]
    count = rng.randint(5, 25)
    burst = rng.random() < 0.3
    times = sorted(rng.uniform(0, 0.2 if burst else until_s) for _ in range(count))
    kinds: tuple[Kind, ...] = ("text", "json", "cancel", "garbage", "approve", *GOING_BACK, *KEEPING)
    weights = (28, 48, 12, 6, 6, *rng.choice(BACK_WEIGHTS), *rng.choice(KEEPING_WEIGHTS))
    drawn = [_send(rng, rng.choices(kinds, weights)[0], sessions + forks, ids, nodes, partitions) for _ in times]
    return tuple(replace(send, at_s=at_s, number=number, message_id=send.message_id.replace("?", str(number)))
                 for number, (at_s, send) in enumerate(zip(times, drawn, strict=True)))  # fmt: skip


def _fork_name(session: str, number: int, partitions: int) -> str:
    """A name of the session's own partition, as a fork's has to be."""
    home = partition_of(session.encode(), partitions)
    names = (f"{session}f{number}x{more}" for more in range(50))
    return next(name for name in names if partition_of(name.encode(), partitions) == home)


def _send(rng: Random, kind: Kind, names: list[str], ids: list[str], nodes: int, partitions: int) -> Send:
    """at_s and number are not known yet."""
    sessions = names[: len(names) // 3]
    session = rng.choice(sessions if rng.random() < 0.8 else names)
    via_node = kind not in ("text", "garbage", "approve", "fork") and rng.random() < 0.5
    astray = rng.randrange(1, partitions) if partitions > 1 and not via_node and rng.random() < 0.15 else 0
    named = via_node or rng.random() < 0.5
    again = 1.0 if kind == "json" else 0.3 if kind in KEEPING else 0.05
    return Send(
        at_s=0.0,
        number=0,
        kind=kind,
        session=session,
        message_id=(rng.choice(ids) if rng.random() < again else "c?") if named and kind != "text" else "",
        on_busy=rng.choices(("enqueue", "reject", "interrupt"), (70, 15, 15))[0],
        script=_script(rng),
        node=rng.randrange(nodes) if via_node else -1,
        astray=astray,
        target=_target(rng, kind, session, names, ids),
        turn=rng.choice((1, 1, 2, 3, 4, 5)) if rng.random() < {"edit": 1.0, "retry": 0.5, "fork": 0.5}.get(kind, 0.2) else 0,
        garbage=rng.randrange(len(GARBAGE)),
        delay_s=rng.choice((0.05, 0.5, 2.0, 8.0, 20.0)) if kind == "json" and rng.random() < 0.15 else 0.0,
        key=rng.choice(KEYS) if kind in KEEPING else "",
        value=rng.choice(VALUES) if kind == "set" else "",
        over=rng.choice(PRECONDITIONS) if kind in KEEPING and rng.random() < 0.5 else "",
    )


def _target(rng: Random, kind: Kind, session: str, names: list[str], ids: list[str]) -> str:
    if kind != "fork":
        return rng.choice(ids) if rng.random() < 0.4 else ""
    its = [name for name in names if name.startswith(f"{session}f")]
    return rng.choice(its) if its and rng.random() < 0.7 else rng.choice(("", *names))


def _script(rng: Random) -> str:
    """What the responder does with a message: see responder.py."""
    what = rng.choices(
        ("echo", "slow", "drip", "flaky", "refuse", "raise", "empty", "never", "note", "steps", "ask", "deal", "swap"),
        (35, 14, 8, 7, 4, 3, 3, 3, 6, 10, 4, 5, 5),
    )[0]
    if what in ("slow", "drip", "steps", "deal"):
        return f"{what} {rng.choice((0.05, 0.5, 2.0))}"
    return f"flaky {rng.choice((1, 2))}" if what == "flaky" else what


def _mishap(rng: Random, nodes: int, end_s: float) -> Mishap:
    troubles: tuple[Trouble, ...] = ("crash", "pause", "stop", "shuffle", "backup", "rot", "compact", "stranger", "rival")
    at_once = rng.random() < 0.3
    return Mishap(
        at_s=rng.uniform(0.1, end_s * 0.9),
        trouble=rng.choices(troubles, (40, 25, 8, 10, 6, 4, 3, 4, 5))[0],
        node=rng.randrange(nodes),
        step=0 if at_once else rng.choice((1, 2, 3, 5, 10, 30)),
        what=rng.choice(STEPS),
        for_s=rng.choice((0.05, 0.5, 2.0, 5.0, 8.0)),
        fate=rng.choices(("same", "old", "none"), (60, 20, 20))[0],
    )
