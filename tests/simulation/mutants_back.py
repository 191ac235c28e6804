"""Deliberate breakages of the rules of what goes back: turns that run again, edits, forks, erasures."""

from typing import Final

from tests.simulation.mutant import Mutant

BACK: Final = (
    # What goes back: turns that run again, edits.
    Mutant(
        "a turn that runs again keeps its version",
        "core.deciding",
        "version=Version(ended.version + 1)",
        "version=ended.version",
    ),
    Mutant(
        "a turn that runs again waits behind all others",
        "core.session",
        "owed = Owed(event.turn, event.version, event.message_id)\n"
        "        queue, first = (*queue[:first], owed, *queue[first:]), first + 1",
        "owed = Owed(event.turn, event.version, event.message_id)\n        queue = (*queue, owed)",
    ),
    Mutant(
        "what was answered may be retried",
        "core.deciding",
        'if ended is None or (isinstance(command, Retry) and ended.how == "completed"):',
        "if ended is None:",
    ),
    Mutant(
        "what an edit took back may run again",
        "core.deciding",
        'if context.rewound:\n        return Nothing("rewound")',
        'if context.target == -1:\n        return Nothing("rewound")',
    ),
    Mutant(
        "an edit leaves the message it goes back to",
        "core.prompt",
        "return self.replaced <= turn < self.edit",
        "return self.replaced < turn < self.edit",
    ),
    Mutant(
        "an edit takes itself back",
        "core.prompt",
        "return self.replaced <= turn < self.edit",
        "return self.replaced <= turn <= self.edit",
    ),
    Mutant(
        "the model is shown what an edit took back",
        "core.prompt",
        "if any(rewind.took_back(event.turn) for rewind in self._rewinds):\n            return",
        "if any(rewind.took_back(event.turn) for rewind in ()):\n            return",
    ),
    Mutant(
        "what an edit took back while it waited is answered",
        "core.session",
        "interrupted_by=owed.dropped_by",
        'interrupted_by=MessageId("")',
        "session.py::test_what_an_edit_took_back_while_it_waited_does_not_run_when_its_turn_comes",
    ),
    Mutant(
        "an edit that is not confirmed is not known of",
        "engine.contexts",
        "if isinstance(event, MessageAccepted) and event.replaces:\n                rewinds",
        "if event.seq < 0 and isinstance(event, MessageAccepted):\n                rewinds",
    ),
    # Forks.
    Mutant(
        "a fork is not finished after a restart",
        "table.writes",
        "return session.running is not None or session.copying is not None",
        "return session.running is not None",
    ),
    Mutant(
        "a fork leaves out one event of each batch",
        "engine.copying",
        "Seq(slot.head.last_seq - SHIFT + 1)",
        "Seq(slot.head.last_seq - SHIFT + 1 + (slot.head.last_seq > 2))",
    ),
    Mutant(
        "a copy names the source's turn",
        "core.copying",
        "turn=_moved(event.turn)",
        "turn=event.turn",
    ),
    Mutant(
        "copies are published",
        "core.events",
        "isinstance(event, Public) and not event.copy",
        "isinstance(event, Public)",
    ),
    Mutant(
        "a fork sends what waits in its source",
        "core.session",
        "if event.copy:  # who asked",
        "if event.seq < 0:  # who asked",
    ),
    Mutant(
        "commands do not wait until a fork is whole",
        "engine.partition",
        "if slot.head.copying is not None:\n            self._deferred",
        "if slot.head.last_seq < 0:\n            self._deferred",
    ),
    Mutant(
        "the position passes what waits for a fork",
        "engine.partition",
        "            self.inputs.defer(at)\n",
        "",
        "engine_forks.py::test_the_position_waits_for_what_was_put_off",
    ),
    # Erasure.
    Mutant(
        "an erased session may be asked for more",
        "engine.partition",
        "if slot.head.erased:\n                raise",
        "if slot.head.last_seq < 0:\n                raise",
    ),
    Mutant(
        "a dead letter keeps what was meant for an erased session",
        "engine.aside",
        'None if why.reason == "session-erased" else record.value',
        "record.value",
    ),
    Mutant(
        "erasure leaves ghosts",
        "engine.erasing",
        'prefixes = (rows.entry_key(session, 0)[:-8], rows.ghost_key(session, b""))',
        "prefixes = (rows.entry_key(session, 0)[:-8],)",
        "engine_erasing.py::test_ghosts_go_too_and_those_of_others_stay",
    ),
    Mutant(
        "erasure does not go on after a restart",
        "engine.projection",
        "self.alarms = 0\n        self.more_to_erase = True",
        "self.alarms = 0\n        self.more_to_erase = False",
    ),
    Mutant(
        "a ghost that lands after the erasure stays",
        "engine.projection",
        "if self.session(session).erased:  # it landed late",
        "if self.alarms < 0:  # it landed late",
        "engine_erasing.py::test_a_ghost_that_lands_after_the_erasure_is_removed_as_well",
    ),
    Mutant(
        "a session is removed while a fork is made of it",
        "engine.erasing",
        "if not self._is_copied(session):",
        "if session:",
        "engine_erasing.py::test_what_a_fork_is_made_of_waits_for_it",
    ),
    Mutant(
        "tombstones are sent and their rows stay",
        "engine.projection",
        "self._staged += writes.undone(codec.read_event(entry.value))",
        "pass",
    ),
    Mutant(
        "an erasure counts only where nothing was compacted away",
        "core.claims",
        "(in_order or (isinstance(event, SessionErased) and event.seq > session.last_seq))",
        "in_order",
    ),
    Mutant(
        "nobody looks at the end of the log",
        "engine.lookout",
        "return end > self._projection.next_offset and not self._appends",
        "return False",
    ),
)
