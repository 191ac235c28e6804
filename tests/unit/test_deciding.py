"""Every command in every state of a session, as the table in docs/design.md has it."""

from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from chatstream.core.codec import type_name
from chatstream.core.commands import (
    COMMANDS,
    AnyCommand,
    Approve,
    ClearState,
    Edit,
    Erase,
    Fork,
    Regenerate,
    Retry,
    SetState,
    Update,
)
from chatstream.core.events import MessageRefused, StateChanged
from chatstream.core.ids import MessageId, Seq, SessionId
from chatstream.core.session import Context, Duplicate, Nothing, Session, decide, evolve, fits
from tests.given import NOW, accepted, asked, cancel, cancelled, completed, failed, given, message, place, scheduled

DESIGN: Final = Path(__file__).parents[2] / "docs" / "design.md"
DUE: Final = "2026-01-03T00:00:00.000Z"

STATES: Final[dict[str, Session]] = {
    "new": given(),
    "answered": given(accepted(1), completed(2, 1)),
    "failed": given(accepted(1), failed(2, 1)),
    "cancelled": given(accepted(1), cancelled(2, 1)),
    "running": given(accepted(1)),
    "full": given(accepted(1), accepted(2)),
    "parked": given(accepted(1), asked(2, 1, "pay#1")),
    "scheduled": given(scheduled(1, DUE)),
}
"""A full queue has one place here."""

ASKED: Final[dict[str, AnyCommand]] = {
    "message": message(),
    "message, reject": message(on_busy="reject"),
    "message, interrupt": message(on_busy="interrupt"),
    "message, delayed": message(delay_s=60.0),
    "cancel": cancel(),
    "cancel of 1": cancel(1),
    "retry": Retry(),
    "retry of 1": Retry(turn=Seq(1)),
    "regenerate": Regenerate(),
    "edit of 1": Edit(seq=Seq(1), text="other", command_id=MessageId("e")),
    "fork": Fork(),
    "update": Update(title="t"),
    "state.set": SetState(key="a", value=1),
    "state.clear": ClearState(key="a"),
    "approve": Approve(name="pay", decision="approved"),
    "erase": Erase(),
    "erase if idle": Erase(idle_since=NOW),
    "erase if idle, but it was not": Erase(idle_since="2026-01-02T03:04:04.999Z"),
}


def table() -> dict[str, dict[str, str]]:
    """The table of the document: command to state to what happens."""
    lines = DESIGN.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| command |"))
    _, *states = cells(lines[start])
    found = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        command, *outcomes = cells(line)
        found[command] = dict(zip(states, outcomes, strict=True))
    return found


def cells(line: str) -> list[str]:
    return [cell.strip().strip("`") for cell in line.strip("|").split("|")]


def context(session: Session, **fields: object) -> Context:
    """What the rows would tell: event 1 is a message wherever there is one, and the turn 1 ended as the head says."""
    is_message = session.messages > 0
    bare = Context(place(100), NOW, waiting_turns=1, is_message=is_message, ended=session.ended, fork=Session(SessionId("new")))
    return replace(bare, **fields)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("command", ASKED)
def test_every_command_in_every_state_is_as_the_table_says(command: str, state: str) -> None:
    session = STATES[state]
    decision = decide(session, ASKED[command], context(session))
    assert not isinstance(decision, Duplicate)
    if isinstance(decision, Nothing):
        assert table()[command][state] == f"no: {decision.code}"
        return
    said = f"refused: {decision.code}" if isinstance(decision, MessageRefused) else type_name(decision)
    assert table()[command][state] == said
    if decision.session == session.session:
        assert decision.seq == session.last_seq + 1
        assert fits(session, decision)
        assert evolve(session, decision).last_seq == decision.seq


def test_the_table_is_whole() -> None:
    assert set(table()) == set(ASKED)
    assert {type(command) for command in ASKED.values()} == set(COMMANDS)


@pytest.mark.parametrize("command", ASKED)
def test_a_known_id_is_a_duplicate_in_every_state(command: str) -> None:
    for session in STATES.values():
        assert decide(session, ASKED[command], context(session, known=Seq(1))) == Duplicate(Seq(1))


def test_state_that_is_too_large_may_be_made_smaller_and_not_larger() -> None:
    full = replace(given(), last_seq=Seq(1), state_bytes=30)  # two replies, each of which had room for itself
    smaller, larger = SetState(key="a", value="x" * 5), SetState(key="a", value="x" * 25)
    assert isinstance(decide(full, smaller, context(full, held=b'"xxxxxxxxxx"', state_bytes=20)), StateChanged)
    assert decide(full, larger, context(full, held=b'"xxxxxxxxxx"', state_bytes=20)) == Nothing("state-too-large")
