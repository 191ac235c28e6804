"""Deliberate breakages of the rules, one line each: the simulation, or a unit test, has to notice every one of them.

`old` must stand in the module's source exactly once; whoever changes that line changes it here too.
"""

from typing import Final

from tests.simulation.mutant import Mutant as Mutant
from tests.simulation.mutants_back import BACK
from tests.simulation.mutants_idle import IDLE
from tests.simulation.mutants_state import STATE

MUTANTS: Final = (
    # Who may write, and what counts.
    Mutant(
        "a claim with an equal epoch counts",
        "core.claims",
        'if claim is None or claim.epoch <= ownership.epoch:\n        return ownership, "lost-claim"',
        'if claim is None or claim.epoch < ownership.epoch:\n        return ownership, "lost-claim"',
    ),
    Mutant(
        "records under an old claim count",
        "core.claims",
        "if claim != ownership.claim.encode():",
        "if claim is None:",
    ),
    Mutant(
        "the position is taken from ghosts",
        "core.claims",
        "if claim != ownership.claim.encode():\n",
        "if claim != ownership.claim.encode():\n        ownership = _advanced(ownership, pos, pub)\n",
    ),
    Mutant(
        "an event counts whatever its seq",
        "core.claims",
        "in_order = event.seq == session.last_seq + 1",
        "in_order = True",
        "claims.py::test_an_event_counts_only_with_the_next_seq",
    ),
    Mutant(
        "an event counts whatever its input",
        "core.claims",
        "(input_at is None or input_at > session.last_input)",
        "True",
        "claims.py::test_an_event_counts_only_with_a_later_input_or_none",
    ),
    Mutant(
        "the key lacks the claim",
        "core.claims",
        '{session}/{seq}/{claim}"',
        '{session}/{seq}"',
    ),
    # Claiming.
    Mutant(
        "a claim does not raise the epoch",
        "engine.claiming",
        "ownership.epoch + 1",
        "ownership.epoch",
    ),
    Mutant(
        "a claim is believed without being read",
        "engine.claiming",
        "if projection.ownership.claim != claim.name:",
        "if projection.ownership.epoch < 0:",
    ),
    Mutant(
        "a table of another log is trusted",
        "engine.claiming",
        "    if why is None:",
        "    if why != 0:",
        "engine_claiming.py::test_a_table_ahead_of_a_log_that_lost_its_end_is_folded_again",
    ),
    # Confirming.
    Mutant(
        "gaps between acks are not read",
        "engine.partition",
        "elif offset > expected:",
        "elif offset < 0:",
    ),
    Mutant(
        "a higher claim in a gap is ignored",
        "engine.gaps",
        'if verdict == "claimed":',
        'if verdict == "never":',
    ),
    Mutant(
        "the table is written before the ack",
        "engine.partition",
        "slot.appended(event, after)\n",
        "slot.appended(event, after)\n"
        "        self.projection._stage(slot.head, event, value, Offset(0), after)\n"
        "        self.projection.table.write(self.projection._staged)\n",
    ),
    Mutant(
        "events are published before they are confirmed",
        "engine.partition",
        "slot.appended(event, after)\n",
        "slot.appended(event, after)\n"
        "        if is_public(event):\n"
        "            self._around.publish(self.projection.next_offset, event, value)\n",
    ),
    Mutant(
        "answers do not wait for what they rest on",
        "engine.answers",
        "self._appended.append((self._appends.made, waiter, answer))",
        "self._appended.append((0, waiter, answer))",
    ),
    Mutant(
        "that nothing came of a command is told before it is recorded",
        "engine.partition",
        "self._answers.when_decided(waiter, Refused(decision.code), at)",
        "self._answers.when_appended(waiter, Refused(decision.code))",
        "engine_partition.py::test_that_nothing_came_of_a_command_is_told_when_nobody_will_decide_it_again",
    ),
    Mutant(
        "doubt is ignored",
        "engine.partition",
        '"""Something makes what is in flight doubtful."""\n        self._end(doubt)',
        '"""Something makes what is in flight doubtful."""',
    ),
    Mutant(
        "an unknown outcome is ignored",
        "engine.partition",
        "if offset is None:\n",
        "if offset is None:\n            return\n",
        "engine_partition.py::test_a_failed_ack_ends_the_writer_and_its_producer",
    ),
    Mutant(
        "an ack below what is confirmed is taken",
        "engine.partition",
        "or offset < expected:",
        "or offset < 0:",
        "engine_partition.py::test_an_ack_below_what_is_expected_ends_the_writer",
    ),
    # Deciding.
    Mutant(
        "an id is not looked for among what is unconfirmed",
        "engine.slots",
        "unconfirmed = slot.ids.get(message_id)",
        "unconfirmed = None",
    ),
    Mutant(
        "a known id is decided again",
        "core.deciding",
        "if context.known is not None:",
        "if context.target == -1:",
    ),
    Mutant(
        "a command is decided again after a restart",
        "engine.partition",
        "if at <= slot.head.last_input:",
        "if at.offset < 0:",
    ),
    # The input position.
    Mutant(
        "the position passes what is not confirmed",
        "engine.inputs",
        "waiting[0][1] <= confirmed and ",
        "",
        "engine_marks.py::test_the_position_waits_for_everything_appended_before",
    ),
    Mutant(
        "the position passes what is set aside",
        "engine.inputs",
        " and waiting[0][0] not in aside",
        "",
    ),
    Mutant(
        "input is fetched one too far",
        "engine.node",
        "Offset(projection.ownership.position.offset + 1))\n",
        "Offset(projection.ownership.position.offset + 2))\n",
    ),
    Mutant(
        "records of an earlier fetch are taken",
        "engine.node",
        "self._leases.get(partition) == lease and ",
        "",
    ),
    Mutant(
        "a forwarded record gets a new id",
        "engine.aside",
        "None if forwarded is None else _PLACE.fullmatch(forwarded)",
        "None",
    ),
    # Turns.
    Mutant(
        "what the state owes is not run after a restart",
        "engine.debts",
        "table.scan(rows.OWED, ",
        "table.scan(b'~', ",
    ),
    Mutant(
        "a turn may end twice",
        "engine.progress",
        "return running if running is not None and (running.turn, running.version) == (turn, version) else None",
        "return running",
        "engine_partition.py::test_an_outcome_for_a_turn_that_is_not_the_running_one_is_dropped",
    ),
    Mutant(
        "a turn starts before its message is confirmed",
        "engine.partition",
        "slot.appended(event, after)\n",
        "slot.appended(event, after)\n"
        "        if after.running is not None and after.running.turn == event.seq:\n"
        "            self._around.run(event.session, after.running, event)\n",
    ),
    Mutant(
        "a call goes on after its partition has moved",
        "engine.turns",
        "for session in mine:\n",
        "for session in ():\n",
    ),
    Mutant(
        "an attempt that follows a silent one is not watched",
        "engine.turns",
        "            call.reason = None\n            try:",
        "            try:",
        "turns_ends.py::test_silence_is_noticed_again_after_a_model_that_made_an_error_of_being_cancelled",
    ),
    Mutant(
        "a rest between two attempts is ended as silence",
        "engine.turns",
        " or call.resting:",
        ":",
        "turns_ends.py::test_a_turn_whose_time_is_over_between_two_attempts_still_ends",
    ),
    Mutant(
        "a call that was stopped goes on",
        "engine.turns",
        "if not self._is_wanted(call):\n                raise asyncio.CancelledError  # stopped in",
        "if call.attempt < 0:\n                raise asyncio.CancelledError  # stopped in",
        "turns_ends.py::test_a_call_that_makes_an_error_of_being_stopped_is_not_repeated",
    ),
    # Replies.
    Mutant(
        "published means sent",
        "engine.publishing",
        "self._outstanding += 1\n",
        "self._outstanding += 1\n        self.published = offset\n",
    ),
    Mutant(
        "replies are not sent again after an error",
        "engine.node",
        "seat.publisher.restart()",
        "pass",
    ),
    Mutant(
        "ghosts are published when read back",
        "engine.publishing",
        "and entry is not None and entry.offset == record.offset",
        "",
    ),
    Mutant(
        "a new owner skips the first reply that is not published",
        "engine.publishing",
        "        self._next = Offset(self.published + 1)\n",
        "        self._next = Offset(self.published + 3)\n",
    ),
    # The table.
    Mutant(
        "rows and their position are written one after the other",
        "engine.projection",
        "self.table.write(self._staged)\n",
        "self.table.write(self._staged[-1:])\n        self.table.write(self._staged)\n",
    ),
    Mutant(
        "the table forgets which ids it knows",
        "table.writes",
        "        if named:\n            found.append",
        "        if not named:\n            found.append",
    ),
    # What waits, and what is recorded on the way.
    Mutant(
        "a step is told before it is confirmed",
        "engine.progress",
        "self._waiting[name] = [done]\n",
        "self._waiting[name] = []\n            done(True)\n",
    ),
    Mutant(
        "a step that is on its way is recorded again",
        "engine.progress",
        "elif name in self._waiting:\n            self._waiting[name].append(done)\n",
        "elif name in ():\n            self._waiting[name].append(done)\n",
        "engine_steps.py::test_a_step_that_is_on_its_way_is_not_recorded_again_by_the_next_attempt",
    ),
    Mutant(
        "a recorded step is done again",
        "engine.steps",
        "if isinstance(event, kind):\n            return event",
        "if isinstance(event, kind):\n            return None",
    ),
    Mutant(
        "a parked turn may end by what its code says",
        "engine.progress",
        "if running is None or running.parked:",
        "if running is None:",
        "engine_steps.py::test_what_code_says_that_goes_on_without_an_answer_is_dropped",
    ),
    Mutant(
        "a parked turn's call goes on",
        "engine.progress",
        "self._around.stop(event.session)",
        "pass",
        "engine_steps.py::test_a_question_parks_its_turn_and_ends_its_call_when_it_is_confirmed",
    ),
    Mutant(
        "a decision does not let the turn go on",
        "core.session",
        'return _with_running(session, event, parked="")',
        "return _moved(session, event)",
    ),
    Mutant(
        "what was taken back is sent all the same",
        "engine.timers",
        "if find_scheduled(slot.head, seq) is None:",
        "if seq < 0:",
        "engine_timers.py::test_what_was_taken_back_is_not_sent",
    ),
    Mutant(
        "messages are sent before their time",
        "engine.timers",
        "if due > now or sent >= room",
        "if sent >= room",
    ),
    Mutant(
        "what is overdue is not sent at the start",
        "engine.timers",
        "self.behind = True\n        self.look()",
        "pass",
    ),
    Mutant(
        "summaries are recorded whatever happened since",
        "engine.progress",
        " and not any(map(_changes_the_past, since)):",
        ":",
        "engine_compacting.py::test_a_summary_that_is_no_longer_true_is_dropped",
    ),
    *BACK,
    *STATE,
    *IDLE,
)
