"""POST /v1/sessions/{id}/messages: put a message on the log, and answer when it is confirmed, or when it is answered."""

from typing import Final, assert_never

import msgspec
from aiohttp import web

from chatstream.core.commands import Message
from chatstream.core.errors import NotOwner, PartitionRefused, Restoring
from chatstream.core.events import MessageAccepted, MessageScheduled, ReplyCancelled, ReplyCompleted, ReplyFailed
from chatstream.core.ids import MessageId, Seq, SessionId, session_id
from chatstream.engine.clock import now_ms, rfc3339
from chatstream.engine.desk import Accepted, Answer, Desk, Repeated, Unnumbered
from chatstream.table import reads, rows
from chatstream.table.port import View
from chatstream.web import bodies
from chatstream.web.settings import DESK, HELD, LIMITS, SETTINGS
from chatstream.web.submitting import event_at, id_conflict, submit
from chatstream.web.waiting import PREFER, PREFERENCE_APPLIED, Sent, preferred_wait_s, wait_for_end


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The body of a 202. seq: None while the message is stored but not numbered. position: None where it is in no queue,
    since its turn has ended or it is sent later, at `due`."""

    session: SessionId
    message_id: MessageId
    seq: Seq | None
    status: reads.MessageStatus
    position: int | None
    due: str = ""
    duplicate: bool = False


class Exchange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The body of a 200: a message and what was replied."""

    message: reads.Item
    reply: reads.Item
    duplicate: bool = False


_encode: Final = msgspec.json.Encoder().encode
JSON: Final = "application/json"


async def post_message(request: web.Request) -> web.Response:
    """Send a message. See the contract's "Send"."""
    app = request.app
    desk, limits, settings = app[DESK], app[LIMITS], app[SETTINGS]
    session = session_id(request.match_info["session"])
    body = await bodies.read_body(request, bodies.body_bytes_most(limits))
    message = _at_a_time(bodies.read_message(request.headers, body, limits))
    wait_s = preferred_wait_s(request.headers.getall(PREFER, []), limits.poll_s)
    if not wait_s:
        answer = await submit(desk, settings, session, message)
        return _receipt(desk, _sent(desk, session, message, answer), answer)
    request[HELD] = True
    # Watching begins before the message is sent: its reply may be there as soon as its number is.
    with desk.feed.watch(session) as watch:
        answer = await submit(desk, settings, session, message)
        sent = _sent(desk, session, message, answer)
        if sent.scheduled or (sent.seq is None and message.at):
            return _receipt(desk, sent, answer)  # nobody waits for days
        ending = await wait_for_end(desk, watch, sent, wait_s)
        if isinstance(answer, Unnumbered) and ending is not None and sent.seq is not None:
            _first(desk.table(session), session, message, sent.seq)
        response = _receipt(desk, sent, None) if ending is None else _exchange(desk.table(session), sent, ending)
        response.headers[PREFERENCE_APPLIED] = f"wait={wait_s}"
        return response


def _at_a_time(message: Message) -> Message:
    """A delay counts from the request, however long the owner takes to see it."""
    if not message.delay_s:
        return message
    return msgspec.structs.replace(message, delay_s=0.0, at=rfc3339(now_ms() + int(message.delay_s * 1000)))


def _sent(desk: Desk, session: SessionId, message: Message, answer: Accepted | Repeated | Unnumbered) -> Sent:
    """What the answer says of the message. Raises Problem where it was refused or its id belongs to another."""
    match answer:
        case Accepted():
            return Sent(session, message.message_id, answer.seq, scheduled=answer.due)
        case Repeated():
            first = _first(desk.table(session), session, message, answer.seq)
            due = first.due if isinstance(first, MessageScheduled) else ""
            return Sent(session, message.message_id, answer.seq, repeated=True, scheduled=due)
        case Unnumbered():
            return Sent(session, message.message_id, None)
        case _:
            assert_never(answer)


def _first(view: View, session: SessionId, message: Message, seq: Seq) -> MessageAccepted | MessageScheduled:
    """What the message's id led to when it was new. Raises Problem when that was something else."""
    first = event_at(view, session, seq)
    if isinstance(first, MessageAccepted | MessageScheduled) and (first.text, first.content) == (message.text, message.content):
        return first
    raise id_conflict()


def _exchange(view: View, sent: Sent, ending: rows.Ending) -> web.Response:
    assert sent.seq is not None  # a turn that ended has a number
    message = event_at(view, sent.session, sent.seq)
    reply = event_at(view, sent.session, ending.seq)
    assert isinstance(message, MessageAccepted)
    assert isinstance(reply, ReplyCompleted | ReplyFailed | ReplyCancelled)
    exchange = Exchange(
        message=reads.user_item(message, reads.STATUS_OF_ENDING[ending.type]),
        reply=reads.reply_item(reply),
        duplicate=sent.repeated,
    )
    return web.Response(body=_encode(exchange), content_type=JSON)


def _receipt(desk: Desk, sent: Sent, answer: Answer | None) -> web.Response:
    receipt = Receipt(
        session=sent.session,
        message_id=sent.message_id,
        seq=sent.seq,
        status="waiting",
        position=None,
        due=sent.scheduled,
        duplicate=sent.repeated,
    )
    place = f"/v1/sessions/{sent.session}"
    if sent.seq is not None:
        standing = _standing(desk, sent, answer)
        receipt = msgspec.structs.replace(receipt, status=standing.status, position=standing.position)
        place = f"{place}/messages?after={sent.seq - 1}"
    return web.Response(status=202, body=_encode(receipt), content_type=JSON, headers={"Location": place})


def _standing(desk: Desk, sent: Sent, answer: Answer | None) -> reads.Standing:
    """Where the message is: as its owner told just now for a new one, else as the table has it. answer: None if it is old."""
    if isinstance(answer, Accepted) and sent.scheduled:
        return reads.Standing("scheduled", None)
    if isinstance(answer, Accepted):
        return reads.Standing("waiting" if answer.position else "running", answer.position)
    assert sent.seq is not None
    try:
        view = desk.table(sent.session).snapshot()
    except (NotOwner, PartitionRefused, Restoring):
        return reads.Standing("scheduled" if sent.scheduled else "waiting", None)
    now = reads.head(view, sent.session)
    if sent.scheduled:
        return reads.Standing(reads.scheduled_status(view, now, sent.seq), None)
    return reads.standing(view, sent.session, reads.places_of(now), sent.seq)
