"""Deliberate breakages of the rules of a session's K/V state: preconditions, what is held, how much it may be."""

from typing import Final

from tests.simulation.mutant import Mutant

STATE: Final = (
    # Preconditions.
    Mutant(
        "a write goes over any value whatever it names",
        "core.deciding",
        "if not matches(command.if_match, context.held):",
        'if not matches("", context.held):',
    ),
    Mutant(
        "a write that names a value is taken where there is none",
        "core.state",
        "return raw is not None and if_match in",
        "return raw is None or if_match in",
    ),
    Mutant(
        "a write that names a value goes over any",
        "core.state",
        'if_match in ("*", tag_of(raw))',
        "len(if_match) > 0",
    ),
    Mutant(
        "two values have one tag",
        "core.state",
        "blake2b(raw, digest_size=12)",
        "blake2b(raw[:2], digest_size=12)",
    ),
    Mutant(
        "a write that goes over any value is never taken",
        "core.state",
        'if_match in ("*", tag_of(raw))',
        "if_match == tag_of(raw)",
    ),
    Mutant(
        "a value that is not confirmed is not known of",
        "engine.contexts",
        "if isinstance(event, StateChanged | ReplyCompleted) and event.state and key in event.state:",
        "if event.seq < 0 and isinstance(event, StateChanged) and event.state and key in event.state:",
    ),
    Mutant(
        "of two values that are not confirmed the first is taken",
        "engine.contexts",
        "for event in reversed(slot.unconfirmed):\n            if isinstance(event, StateChanged | ReplyCompleted)",
        "for event in slot.unconfirmed:\n            if isinstance(event, StateChanged | ReplyCompleted)",
    ),
    Mutant(
        "a value that a reply brings is not known of until it is confirmed",
        "engine.contexts",
        "if isinstance(event, StateChanged | ReplyCompleted) and event.state",
        "if isinstance(event, StateChanged) and event.state",
        "engine_partition.py::test_a_write_goes_over_what_a_reply_brings_that_is_not_confirmed",
    ),
    # What is held.
    Mutant(
        "a write is done again under its id",
        "core.events",
        "        return event.message_id\n    return event.command_id",
        "        return event.message_id\n    return NO_ID if isinstance(event, StateChanged) else event.command_id",
    ),
    Mutant(
        "what is cleared stays",
        "table.writes",
        "for key, value in state.items()]",
        "for key, value in state.items() if value is not None]",
    ),
    Mutant(
        "a value that was cleared is null",
        "table.writes",
        "return None if value is None else msgspec.json.encode(value)",
        "return msgspec.json.encode(value)",
    ),
    Mutant(
        "a reply's state is in the log alone",
        "table.writes",
        "return [ended, *_state_changes(session, event.state)] if event.state else [ended]",
        "return [ended]",
    ),
    Mutant(
        "a fork leaves its state behind",
        "table.writes",
        "return _state_changes(session, event.state)\n",
        "return [] if event.copy else _state_changes(session, event.state)\n",
    ),
    Mutant(
        "state outlives its session",
        "table.writes",
        "*(key for key, _ in _named(event))]",
        "*(key for key, _ in _named(event) if not key.startswith(rows.STATE))]",
    ),
    # How much it is.
    Mutant(
        "what is written over counts on",
        "core.deciding",
        " - cost_bytes(command.key, context.held)",
        "",
    ),
    Mutant(
        "a reply's state does not count",
        "core.session",
        "state_bytes=session.state_bytes if state_bytes is None else state_bytes,",
        "state_bytes=session.state_bytes,",
    ),
    Mutant(
        "a reply's state counts as when it was thought of",
        "engine.progress",
        "if isinstance(outcome, Completed) and outcome.state:",
        "if isinstance(outcome, Completed) and outcome.state and outcome.state_bytes is None:",
        "engine_partition.py::test_a_replys_state_counts_as_it_is_when_the_reply_is_recorded",
    ),
    Mutant(
        "there may be any amount of state",
        "core.deciding",
        "if size_bytes > context.state_bytes and size_bytes > session.state_bytes:",
        "if size_bytes < 0:",
    ),
    Mutant(
        "state that is too large cannot be made smaller",
        "core.deciding",
        "if size_bytes > context.state_bytes and size_bytes > session.state_bytes:",
        "if size_bytes > context.state_bytes:",
        "deciding.py::test_state_that_is_too_large_may_be_made_smaller_and_not_larger",
    ),
)
