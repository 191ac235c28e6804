"""A fork's events: those of the session it started from, under the new id.

The event `n` of the source is the event `n + 1` of the fork, whose first one is its `session.created`; so every number that
an event names moves by one.
"""

import hashlib
from itertools import count
from typing import Final

from msgspec.structs import replace

from chatstream.core.events import AnyEvent, ContextCompacted, MessageAccepted, MessageRefused, SessionErased
from chatstream.core.ids import NO_ID, Seq, SessionId
from chatstream.core.partitioner import partition_of

SHIFT: Final = 1


def fork_name(source: SessionId, command_id: str, partitions: int) -> SessionId:
    """The id of a fork whose maker gave none: the same for the same command, and of the source's partition."""
    home = partition_of(source.encode(), partitions)
    stem = "fork-" + hashlib.blake2b(f"{source}/{command_id}".encode(), digest_size=8).hexdigest()
    names = (SessionId(f"{stem}-{number}") for number in count())
    # Of P partitions about P names have to be tried.
    return next(name for name in names if partition_of(name.encode(), partitions) == home)


def copied(event: AnyEvent, session: SessionId) -> AnyEvent:
    """The source's event as the fork's. Its command's id stays behind: what the fork was asked is known in the fork."""
    assert not isinstance(event, SessionErased)  # nothing is copied of an erased session
    event = replace(event, session=session, seq=_moved(event.seq), turn=_moved(event.turn), command_id=NO_ID, copy=True)
    if isinstance(event, MessageAccepted):
        return replace(event, replaces=_moved(event.replaces), scheduled=_moved(event.scheduled))
    if isinstance(event, MessageRefused):
        return replace(event, scheduled=_moved(event.scheduled))
    if isinstance(event, ContextCompacted):
        return replace(event, through=_moved(event.through))
    return event


def _moved(seq: Seq) -> Seq:
    """0 stands for none, and stays."""
    return Seq(seq + SHIFT) if seq else seq
