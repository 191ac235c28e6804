"""One page of a session's events for a reader that follows."""

from chatstream.core.errors import Restoring
from chatstream.core.ids import SessionId
from chatstream.engine.desk import Desk
from chatstream.table import reads


def read_page(desk: Desk, session: SessionId, after_seq: int | None, page_most: int) -> reads.Events | None:
    """A page, empty at the end for `now`; None while the partition is restored (what a reader has seen will be there).

    A function of its own so that the snapshot is gone before anyone waits.
    """
    try:
        view = desk.table(session).snapshot()
    except Restoring:
        return None
    if after_seq is None:
        last_seq = reads.head(view, session).last_seq
        return reads.Events([], last_seq, last_seq)
    return reads.events(view, session, after_seq, page_most)
