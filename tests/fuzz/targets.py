"""What takes bytes from outside. Each target raises only when something is wrong that no caller expects."""

import contextlib
import json
from collections.abc import Callable
from typing import Final

from multidict import CIMultiDict, CIMultiDictProxy

from chatstream.core import claims, codec
from chatstream.core.claims import Ownership
from chatstream.core.commands import Cancel, Edit, Fork, SetState, Update
from chatstream.core.errors import BadCommand, BadId, BadInput, ChatstreamError, UnknownFormat
from chatstream.core.ids import MessageId, Offset
from chatstream.core.inbound import read_command, read_key, write_command
from chatstream.core.limits import Limits
from chatstream.core.session import Session, evolve
from chatstream.engine.projection import Projection
from chatstream.log.port import Record
from chatstream.respond.message_stream import Answer
from chatstream.table.memory import MemoryTableStore
from chatstream.web import tokens
from chatstream.web.bodies import read_act, read_message
from chatstream.web.origin import host_name
from chatstream.web.problems import Problem
from chatstream.web.waiting import preferred_wait_s
from tests.logs import P0

LIMITS: Final = Limits()
PLACE: Final = MessageId("somewhere")
"""For commands without an id. A real place is refused when it is read back, so that nobody can bring one."""
CLAIM: Final = b'{"type":"claim","epoch":1,"id":"me","node":"n","url":"","format":1,"topics":{},"partitions":1}'


def commands(data: bytes) -> None:
    """A record of chat.messages: a command, or a dead letter with a reason. What was read is written and read the same."""
    key, _, value = data.partition(b"\n")
    try:
        read_key(key)
        command = read_command(value, PLACE, LIMITS)
    except BadCommand:
        return
    assert read_command(write_command(command), PLACE, LIMITS) == command


def events(data: bytes) -> None:
    """A record of chat.events: an event that can be folded and written again, or none."""
    try:
        event = codec.read_event(data)
    except (BadInput, UnknownFormat):
        return
    assert codec.read_event(codec.write_event(event)) == event
    evolve(Session(event.session), event)


def folds(data: bytes) -> None:
    """Records with any key, value and headers, behind a claim and under it: the fold never stops."""
    projection = Projection(P0, MemoryTableStore().open(P0), 10)
    projection.fold(Record(Offset(0), b"#claim/1-me", CLAIM))
    for offset, line in enumerate(data.split(b"\n"), 1):
        key, value, pos, given = ([*line.split(b"\t"), b"", b"", b""])[:4]
        headers = ((claims.CLAIM_HEADER, b"1-me"), (claims.POS_HEADER, pos), (claims.INPUT_HEADER, given))
        try:
            projection.fold(Record(Offset(offset), key, value, headers))
        except UnknownFormat:
            continue  # a newer version wrote that: the partition is refused
    projection.flush()
    again = Projection(P0, projection.table, 10)
    assert again.ownership == projection.ownership


def claim_records(data: bytes) -> None:
    """A claim, or what stands where one should."""
    key, _, value = data.partition(b"\n")
    try:
        after, verdict = claims.fold_record(Ownership(), Offset(0), b"#claim/" + key, value, ())
    except UnknownFormat:
        return
    assert (verdict == "claimed") == (after.epoch > 0)
    assert after.epoch <= claims.EPOCH_MAX


def bodies(data: bytes) -> None:
    """The body and headers of a POST."""
    kind, _, body = data.partition(b"\n")
    headers = CIMultiDictProxy(CIMultiDict({"Content-Type": kind.decode("latin-1")} if kind else {}))
    with contextlib.suppress(BadCommand, BadId, Problem):
        assert read_message(headers, body, LIMITS).command_id
    for act in (Cancel, Edit, Fork, SetState, Update):
        with contextlib.suppress(BadCommand, BadId, Problem):
            assert read_act(headers, body, LIMITS, act).command_id


def headers(data: bytes) -> None:
    """Cursors, hosts and wishes as they stand in a request's line and headers."""
    text = data.decode("latin-1")
    seq = tokens.seq_of(text)
    assert seq is None or tokens.token(seq) == text
    place = tokens.place_of(text)
    assert place is None or tokens.list_cursor(place) == text
    assert tokens.stream_cursor(text, 1.8e9, lambda low, _: low).isdigit()
    assert 0 <= preferred_wait_s([text], 55) <= 55
    host_name(text)


def answers(data: bytes) -> None:
    """The stream of the model's service, event by event: an answer that is whole, or an error that is expected of it."""
    from chatstream.respond.anthropic_errors import STREAM_ERRORS, checked

    answer = Answer()
    try:
        for line in data.split(b"\n"):
            answer.take(checked(json.loads(line)))
    except (*STREAM_ERRORS, ChatstreamError):
        return
    assert not answer.finished or (answer.stop_reason is not None and answer.model)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target for target in (commands, events, folds, claim_records, bodies, headers, answers)
}
