"""What stands on a live stream and not in the log: an answer while it is given. It has no seq."""

import msgspec

from chatstream.core.ids import Seq, Version


class Unlogged(msgspec.Struct, frozen=True, tag_field="type"):
    """What every such frame is."""


class AttemptStarted(Unlogged, frozen=True, tag="attempt.started"):
    """The model is called: what was shown of an earlier attempt at this turn is void."""

    turn: Seq
    version: Version
    attempt: int


class TextDelta(Unlogged, frozen=True, tag="text.delta"):
    """A piece of the answer. index: its number on this stream since attempt.started, from 0."""

    turn: Seq
    version: Version
    attempt: int
    index: int
    text: str


class TurnRetrying(Unlogged, frozen=True, tag="turn.retrying"):
    """The attempt has failed and the next begins after so many seconds. reason: its code. detail: for people."""

    turn: Seq
    version: Version
    attempt: int
    after_s: float
    reason: str
    detail: str


class StreamReady(Unlogged, frozen=True, tag="stream.ready"):
    """All that there was has been sent, events up to `offset`; from here on things are told as they happen."""

    offset: str
