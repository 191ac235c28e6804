"""Problem documents (RFC 9457): what every refused request is answered with, and which error becomes which."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from chatstream.core.errors import (
    BadCommand,
    BadInput,
    ChatstreamError,
    Erased,
    LogUnavailable,
    NotOwner,
    OutcomeUnknown,
    PartitionRefused,
    QueueFull,
    RecordTooLarge,
    Restoring,
    TableBroken,
    TooManyReaders,
)

CONTENT_TYPE: Final = "application/problem+json"

ALWAYS: Final = (400, 403, 500)
"""What any request may be answered with: it is not HTTP, it comes from elsewhere, something here is broken."""

TYPE_PREFIX: Final = "urn:chatstream:problem:"
"""A problem's `type` is this and its code: a name, not an address, so that it is the same everywhere."""


class Problem(Exception):
    """A request is refused.

    code: short and stable, for programs. detail: for people, says what to change. extra: further members of the
    document, as Document has them. headers: further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        retryable: bool = False,
        retry_after_s: int | None = None,
        errors: Sequence[Mapping[str, str]] = (),
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.errors = errors
        self.extra = extra or {}
        self.headers = headers or {}


def bad_field(field: str, code: str, detail: str) -> Problem:
    """A 400 that names the parameter, header or member that is wrong."""
    return Problem(400, code, detail, errors=[{"field": field, "detail": detail}])


def stopping(retry_after_s: int) -> Problem:
    """The node shuts down and takes nothing new: another one, or this one restarted, will."""
    return Problem(503, "stopping", "this node is shutting down", retryable=True, retry_after_s=retry_after_s)


class Wrong(msgspec.Struct, frozen=True):
    """What is wrong with one field: a parameter, a header, or a member of the body."""

    field: str
    detail: str


class Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem, as RFC 9457 has it. instance: the request's id. retryable: the same request may do better later,
    retry_after_s from now where that is known. The members behind `errors` are there where they help: who owns the session
    (421), and the id under which to repeat what may have been taken (503)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    retryable: bool
    retry_after_s: int | None = None
    errors: list[Wrong] = []
    owner: str | UnsetType | None = UNSET
    partition: int | None = None
    message_id: str | None = None
    session: str | None = None


def document(problem: Problem, request_id: str) -> bytes:
    """The problem as JSON."""
    told = Document(
        type=TYPE_PREFIX + problem.code,
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        detail=problem.detail,
        instance=request_id,
        code=problem.code,
        retryable=problem.retryable,
        retry_after_s=problem.retry_after_s,
        errors=[Wrong(**wrong) for wrong in problem.errors],
        **problem.extra,
    )
    return msgspec.json.encode(told)


def response(problem: Problem, request_id: str) -> web.Response:
    """The problem as an answer."""
    answer = web.Response(status=problem.status, body=document(problem, request_id), content_type=CONTENT_TYPE)
    answer.headers.update(problem.headers)
    answer.headers["Cache-Control"] = "no-store"
    if problem.retry_after_s is not None:
        answer.headers["Retry-After"] = str(problem.retry_after_s)
    return answer


_BUSY: Final[tuple[tuple[type[ChatstreamError], str], ...]] = (
    (OutcomeUnknown, "outcome-unknown"),
    (Restoring, "restoring"),
    (LogUnavailable, "log-unavailable"),
    # Not `queue-full`: that is a session's own queue, and a 429.
    (QueueFull, "overloaded"),
    (TooManyReaders, "too-many-readers"),
    (TableBroken, "table-broken"),
)
"""What may go better a little later: 503 with Retry-After."""

_STATUS_OF_REASON: Final = {
    "turn-in-progress": 409,
    "not-running": 409,
    "session-exists": 409,
    "not-ended": 409,
    "rewound": 409,
    "no-such-approval": 409,
    "not-idle": 409,
    "precondition-failed": 412,
    "state-too-large": 413,
    "no-such-session": 404,
    "no-such-message": 404,
    "no-such-letter": 404,
    "not-whole": 409,
    "other-partition": 422,
    "queue-full": 429,
    "session-erased": 410,
    "too-large": 413,
}
"""Reasons of refusals and dead letters that are not plainly 400."""

_DETAIL_OF_REASON: Final = {
    "turn-in-progress": "the turn is running or waiting; or one is, and the message was sent with on_busy=reject",
    "not-running": "there is no such turn to cancel: it has ended, or there never was one",
    "session-exists": "there is such a session, or there was: give the new one another id",
    "not-ended": "there is no turn that ended so that it could run again",
    "rewound": "an edit took this back",
    "no-such-approval": "nothing of this name is waited for: it was decided, or never asked",
    "not-idle": "something happened in the session since then, or it waits for something",
    "precondition-failed": "the value is not the one that If-Match names",
    "state-too-large": "the session's state would be larger than it may be",
    "no-such-session": "there is no such session",
    "no-such-message": "the session has no event of that number",
    "other-partition": "a fork stays on its source's partition: leave the id out, and one of it is made",
    "queue-full": "the session has as many waiting turns as it may; the id stays free: send it again later",
    "too-far": "the message is to be sent later than messages may be",
    "session-erased": "the session was erased; its id is never used again",
    "too-large": "the message is too large",
}


def of_error(error: ChatstreamError, retry_after_s: int) -> Problem:
    """Which problem an error of ours is."""
    match error:
        case NotOwner():
            extra = {"owner": error.url, "partition": error.partition}
            return Problem(421, error.code, str(error), retryable=True, extra=extra)
        case PartitionRefused():
            return Problem(503, error.code, str(error))
        case Erased():
            return Problem(410, error.code, _DETAIL_OF_REASON[error.code])
        case RecordTooLarge():
            return Problem(413, "too-large", str(error))
        case BadCommand():
            return Problem(_STATUS_OF_REASON.get(error.reason, 400), error.reason, str(error))
        case BadInput():
            return Problem(400, error.code, str(error))
        case _:
            return _of_trouble(error, retry_after_s)


def _of_trouble(error: ChatstreamError, retry_after_s: int) -> Problem:
    for kind, code in _BUSY:
        if isinstance(error, kind):
            return Problem(503, code, str(error) or code, retryable=True, retry_after_s=retry_after_s)
    return Problem(500, error.code, str(error), retryable=error.retryable)


def of_refusal(reason: str, retry_after_s: int) -> Problem:
    """Which problem it is that a command was decided against. reason: as in engine.desk.Refused."""
    status = _STATUS_OF_REASON.get(reason, 400)
    retryable = reason in ("turn-in-progress", "queue-full")
    detail = _DETAIL_OF_REASON.get(reason, f"the message was refused: {reason}")
    return Problem(status, reason, detail, retryable=retryable, retry_after_s=retry_after_s if retryable else None)


_CODE_OF_STATUS: Final = {
    404: "no-such-route",
    405: "method-not-allowed",
    413: "too-large",
}


def of_http(error: web.HTTPException) -> Problem:
    """aiohttp's own refusals as problems; of their headers only Allow is kept."""
    code = _CODE_OF_STATUS.get(error.status, "bad-request" if error.status < 500 else "internal")
    allow = error.headers.get("Allow")
    detail = {
        404: "there is nothing at this path",
        405: f"this path answers {allow}",
        413: "the request's body is larger than this node takes",
    }.get(error.status, error.reason)
    return Problem(error.status, code, detail, headers={"Allow": allow} if allow else None)
