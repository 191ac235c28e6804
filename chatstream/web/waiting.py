"""Waiting on behalf of a request: for a table that is being restored, and for the end of a turn (`Prefer: wait=N`)."""

import asyncio
from typing import Final

import msgspec

from chatstream.core.errors import NotOwner, PartitionRefused, Restoring, TableBroken
from chatstream.core.ids import MessageId, Seq, SessionId
from chatstream.engine.desk import Desk
from chatstream.engine.feed import Watch
from chatstream.table import reads, rows
from chatstream.table.port import Table

PREFER: Final = "Prefer"
PREFERENCE_APPLIED: Final = "Preference-Applied"

_WAIT_DIGITS_MOST: Final = 9
"""Longer numbers are no wish anyone has; int() of thousands of digits would cost time."""


def preferred_wait_s(values: list[str], most_s: float) -> int:
    """Seconds that `Prefer` headers ask to wait for, at most most_s; 0 for none.

    A preference is a wish (RFC 7240): of several the first holds, what cannot be read is ignored.
    """
    for value in values:
        for preference in value.split(","):
            name, _, asked = preference.partition(";")[0].partition("=")
            if name.strip().lower() == "wait":
                digits = asked.strip().strip('"')
                readable = digits.isascii() and digits.isdecimal() and len(digits) <= _WAIT_DIGITS_MOST
                return min(int(digits), int(most_s)) if readable else 0
    return 0


class Sent(msgspec.Struct):
    """A message that was sent. seq: None while it has no number yet. repeated: its id was known before. scheduled: when it
    is, or was, to be sent, empty for one that is in the conversation at once."""

    session: SessionId
    message_id: MessageId
    seq: Seq | None
    repeated: bool = False
    scheduled: str = ""


async def table_of(desk: Desk, session: SessionId, hold_s: float) -> Table:
    """The rows of the session's partition, waiting up to hold_s for a restore. Raises NotOwner, Restoring."""
    try:
        return desk.table(session)
    except Restoring:
        return await desk.wait_for_table(session, hold_s)


async def settle_restore(desk: Desk, session: SessionId, hold_s: float) -> None:
    """Before a command is sent: let a restore end, waiting up to hold_s. Raises Restoring.

    That another node owns the partition is no matter here: the desk knows whether it can still store the command.
    """
    try:
        desk.table(session)
    except Restoring:
        try:
            await desk.wait_for_table(session, hold_s)
        except NotOwner:
            return
    except NotOwner:
        return


async def wait_for_end(desk: Desk, watch: Watch, sent: Sent, wait_s: float) -> rows.Ending | None:
    """How the turn of a message ended, waiting up to wait_s for it; None at the limit.

    watch: entered before the message was sent. Also None when the node stops or loses the partition: the message is
    stored, and the reply will be recorded elsewhere. Raises Erased when the session is erased meanwhile.
    """
    loop = asyncio.get_running_loop()
    ends_at_s = loop.time() + wait_s
    woken = False
    while True:
        watch.forget()
        try:
            table = desk.table(sent.session)
            ending = _ending(table, sent)
            if ending is None and woken:
                reads.head(table, sent.session)
        except (NotOwner, PartitionRefused):
            return None
        except (Restoring, TableBroken):
            ending = None
        if ending is not None or desk.stopping or desk.feed.closed:
            return ending
        woken = await watch.wait(ends_at_s - loop.time())
        if not woken:
            return None


def _ending(table: Table, sent: Sent) -> rows.Ending | None:
    if sent.seq is None:
        sent.seq = rows.read_message_seq(table, sent.session, sent.message_id)
        if sent.seq is None:
            return None
    ending = rows.read_ending(table, sent.session, sent.seq)
    # A message just sent has one version only; of a repeated one the turn may be owed again, and then the end found is old.
    if ending is not None and sent.repeated and sent.seq in reads.places_of(reads.head(table, sent.session)):
        return None
    return ending
