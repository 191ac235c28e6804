"""Deliberate breakages of the rules of sessions that are erased because nothing happens in them."""

from typing import Final

from tests.simulation.mutant import Mutant

IDLE: Final = (
    Mutant(
        "a session is erased as idle whatever happened in it since",
        "core.deciding",
        "(at_ms(session.updated) or 0) > (at_ms(command.idle_since) or 0)",
        "session.last_seq < 0",
    ),
    Mutant(
        "a session that waits for something is erased as idle",
        "core.deciding",
        "is_busy(session) or ",
        "",
        "deciding.py::test_every_command_in_every_state_is_as_the_table_says",
    ),
    Mutant(
        "a session whose turn waits counts as idle",
        "core.head",
        "return session.running is not None or bool(session.scheduled)",
        "return (session.running is not None and not session.running.parked) or bool(session.scheduled)",
    ),
    Mutant(
        "a session with a message for later counts as idle",
        "core.head",
        "return session.running is not None or bool(session.scheduled) or",
        "return session.running is not None or",
    ),
    Mutant(
        "a session counts as idle before its time",
        "engine.idle",
        "place_at(key).time <= since",
        'place_at(key).time < "9"',
    ),
    Mutant(
        "idle sessions are looked for once",
        "engine.idle",
        "self._around.clock_s() + REST_S",
        "self._around.clock_s() + 100 * REST_S",
    ),
    Mutant(
        "what asks for the erasure of an erased session is a dead letter",
        "engine.partition",
        "return  # it asks for no more than that",
        "pass",
        "engine_idle.py::test_whoever_asks_with_the_condition_is_answered_also_when_it_is_erased_already",
    ),
)
