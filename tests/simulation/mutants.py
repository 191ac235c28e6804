"""Deliberate breakages of the rules, one line each: the simulation has to notice every one of them.

A mutant is applied to the source text of its module while that is imported, so it needs a process of its own:
`python -m tests.simulation.mutants NAME`. `old` must stand in the source exactly once; whoever changes that line looks here.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import logging
import sys
import time
from collections.abc import Sequence
from types import CodeType, ModuleType
from typing import Final, NamedTuple


class Mutant(NamedTuple):
    """`old` in `module` becomes `new`."""

    name: str
    module: str
    old: str
    new: str


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
        "event.seq == session.last_seq + 1\n        and ",
        "True\n        and ",
    ),
    Mutant("the key lacks the claim", "core.claims", '{session}/{seq}/{claim}"', '{session}/{seq}"'),
    # Claiming.
    Mutant("a claim does not raise the epoch", "engine.claiming", "ownership.epoch + 1", "ownership.epoch"),
    Mutant(
        "a claim is believed without being read",
        "engine.claiming",
        "if projection.ownership.claim != claim.name:",
        "if projection.ownership.epoch < 0:",
    ),
    # Confirming.
    Mutant("gaps between acks are not read", "engine.partition", "elif offset > expected:", "elif offset < 0:"),
    Mutant("a higher claim in a gap is ignored", "engine.partition", 'if verdict == "claimed":', 'if verdict == "never":'),
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
        "        if isinstance(event, Public):\n"
        "            self._around.publish(self.projection.next_offset, event, value)\n",
    ),
    Mutant(
        "answers do not wait for what they rest on",
        "engine.partition",
        "self._answers.append((self._appends.made, waiter, answer))",
        "self._answers.append((0, waiter, answer))",
    ),
    Mutant("doubt is ignored", "engine.partition", "self._end(doubt)", "pass"),
    Mutant(
        "an unknown outcome is ignored", "engine.partition", "if offset is None:\n", "if offset is None:\n            return\n"
    ),
    Mutant(
        "the writer of a replaced producer goes on",
        "engine.partition",
        "if pending is not self._appends.oldest or offset < expected:",
        "if offset < expected:",
    ),
    # Deciding.
    Mutant(
        "an id is not looked for among what is unconfirmed",
        "engine.slots",
        "unconfirmed = slot.ids.get(message_id)",
        "unconfirmed = None",
    ),
    Mutant("a known id is decided again", "core.session", "if context.known is not None:", "if context.target == -1:"),
    Mutant(
        "a command is decided again after a restart",
        "engine.partition",
        "if at > slot.head.last_input:",
        "if at.offset >= 0:",
    ),
    # The input position.
    Mutant(
        "the position passes what is not confirmed",
        "engine.inputs",
        "waiting[0][1] <= confirmed and ",
        "",
    ),
    Mutant("the position passes what is set aside", "engine.inputs", " and waiting[0][0] not in aside", ""),
    Mutant(
        "input is fetched one too far",
        "engine.node",
        "Offset(projection.ownership.position.offset + 1))\n",
        "Offset(projection.ownership.position.offset + 2))\n",
    ),
    Mutant("records of an earlier fetch are taken", "engine.node", "self._leases.get(partition) == lease and ", ""),
    Mutant("a forwarded record gets a new id", "engine.aside", "if forwarded is not None:", "if forwarded == b'':"),
    # Turns.
    Mutant("what the state owes is not run after a restart", "engine.partition", "table.scan(rows.OWED, ", "table.scan(b'~', "),
    Mutant(
        "a turn may end twice",
        "engine.partition",
        "if running is None or (running.turn, running.version) != (turn, version):\n            return",
        "if running is None:\n            return",
    ),
    Mutant(
        "a turn starts before its message is confirmed",
        "engine.partition",
        "slot.appended(event, after)\n",
        "slot.appended(event, after)\n"
        "        if isinstance(event, MessageAccepted) and after.running is not None and after.running.turn == event.seq:\n"
        "            self._around.run(event.session, after.running, event)\n",
    ),
    Mutant("a call goes on after its partition has moved", "engine.turns", "for session in mine:\n", "for session in ():\n"),
    # Replies.
    Mutant(
        "published means sent",
        "engine.publishing",
        "self._outstanding += 1\n",
        "self._outstanding += 1\n        self.published = offset\n",
    ),
    Mutant(
        "an error on chat.replies is ignored", "engine.publishing", "            self._fail(ack.error)\n", "            pass\n"
    ),
    Mutant(
        "a fenced publisher goes on", "engine.publishing", "self._closed = True\n        self._stop()", "self._closed = False"
    ),
    Mutant(
        "ghosts are published when read back",
        "engine.publishing",
        "and entry is not None and entry.offset == record.offset",
        "",
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
        "table.rows",
        "if brought:\n        rows.append",
        "if not brought:\n        rows.append",
    ),
    # Requests.
    Mutant(
        "a request is told that its command is stored before it is",
        "engine.gateway",
        "                if waiter.stored:\n                    _give(waiter, Unnumbered())\n\n",
        "                _give(waiter, Unnumbered())\n\n",
    ),
    Mutant("a request is forgotten with its partition", "engine.gateway", "waiter.lost = True", "return"),
)


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module's source with a mutant in it."""

    def __init__(self, mutant: Mutant, name: str, path: str) -> None:
        super().__init__(name, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_source(fullname) or ""
        count = source.count(self._mutant.old)
        if count != 1:
            raise SystemExit(f"{self._mutant.name!r}: the line stands {count} times in {fullname}")
        code: CodeType = compile(source.replace(self._mutant.old, self._mutant.new), self.path, "exec")
        return code


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the one module that is changed."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != f"chatstream.{self._mutant.module}":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        assert spec is not None
        assert spec.origin is not None
        loader = _Loader(self._mutant, fullname, spec.origin)
        return importlib.util.spec_from_file_location(fullname, spec.origin, loader=loader)


def main() -> int:
    """Let one mutant loose on seeds, until one notices or there were `most` of them; 1 when none did."""
    name, most = sys.argv[1], int(sys.argv[2])
    sys.meta_path.insert(0, _Finder(next(mutant for mutant in MUTANTS if mutant.name == name)))
    from tests.simulation.plan import draw
    from tests.simulation.scenario import run

    logging.disable(logging.CRITICAL)
    begin_s = time.process_time()
    for seed in range(most):
        error = run(draw(seed)).error
        if error is not None:
            print(f"seed {seed}, {time.process_time() - begin_s:.1f} s: {error!r}"[:300])
            return 0
    print(f"not noticed by {most} seeds, {time.process_time() - begin_s:.1f} s")
    return 1


if __name__ == "__main__":
    sys.exit(main())
