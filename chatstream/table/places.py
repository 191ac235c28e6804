"""Where a session's events stand on chat.events, and under whose claim: for people who look closely."""

import msgspec

from chatstream.core.ids import Epoch, Offset, Seq, SessionId
from chatstream.table import rows
from chatstream.table.port import View
from chatstream.table.reads import PAGE_BYTES


class Place(msgspec.Struct, frozen=True, gc=False):
    """An event's. offset: of its record on chat.events; epoch: of the claim under which that was written."""

    seq: Seq
    offset: Offset
    epoch: Epoch


def places(view: View, session: SessionId, after_seq: int, limit: int, most_bytes: int = PAGE_BYTES) -> list[Place]:
    """Of the events behind after_seq, at most `limit`, and not many more bytes of events read than most_bytes.

    view: a snapshot. Raises TableBroken for an event without a claim before it.
    """
    found: list[Place] = []
    size_bytes, epoch, claimed_again = 0, Epoch(0), Offset(0)
    start, stop = rows.entry_key(session, after_seq + 1), rows.entry_key(session, after_seq + limit + 1)
    for key, raw in view.scan(start, stop):
        offset = rows.entry_of(raw).offset
        if offset >= claimed_again:
            _, claim, later = rows.read_claim(view, offset)
            epoch = Epoch(int(claim.partition("-")[0]))
            claimed_again = Offset(2**63 - 1) if later is None else later
        found.append(Place(Seq(int.from_bytes(key[-8:], "big")), offset, epoch))
        size_bytes += len(raw)
        if size_bytes >= most_bytes:
            break
    return found
