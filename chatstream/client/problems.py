"""A node's problem documents as errors of the one tree."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec

from chatstream.core.errors import (
    BadAnswer,
    BadId,
    ChatstreamError,
    Erased,
    LogUnavailable,
    NotOwner,
    OutcomeUnknown,
    PartitionRefused,
    RequestRefused,
    Restoring,
    TableBroken,
    TooManyReaders,
    Unreachable,
)

OF_CODE: Final[Mapping[str, type[ChatstreamError]]] = {
    kind.code: kind
    for kind in (BadId, Erased, LogUnavailable, OutcomeUnknown, PartitionRefused, Restoring, TableBroken, TooManyReaders)
}
"""Problems that have a class of their own; every other one is a RequestRefused."""
BAD_GATEWAY: Final = (502, 503, 504)
"""What a proxy says while nobody is behind it."""
RETRIED: Final = (429, 503)
"""A later attempt can go well. 409 is retryable too, but that is for the one who asked: the session is busy."""


class Problem(msgspec.Struct, frozen=True):
    """What counts of a problem document."""

    code: str
    detail: str = ""
    title: str = ""
    retryable: bool = False
    retry_after_s: float | None = None
    errors: list[dict[str, str]] = []
    owner: str | None = None
    partition: int = -1


_decode: Final = msgspec.json.Decoder(Problem).decode


def error_of(status: int, headers: Mapping[str, str], body: bytes, url: str) -> ChatstreamError:
    """Why an answer of 400 and above is none."""
    try:
        problem = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        if status in BAD_GATEWAY:
            return Unreachable(f"{url} answered {status}: nobody is there behind it")
        return BadAnswer(f"{url} answered {status} and no problem document: that is not chatstream")
    if problem.code == NotOwner.code:
        return NotOwner(problem.partition, problem.owner)
    detail = problem.detail or problem.title or _phrase(status)
    kind = OF_CODE.get(problem.code)
    asked_s = retry_after_s(problem, headers)
    if kind is not None:
        error = kind(detail)
        error.retry_after_s = asked_s
        return error
    return RequestRefused(
        f"{detail} ({problem.code})",
        status=status,
        code=problem.code,
        retryable=problem.retryable or status in RETRIED,
        retry_after_s=asked_s,
        errors=problem.errors,
    )


def retry_after_s(problem: Problem, headers: Mapping[str, str]) -> float | None:
    """How long the node asks to wait, None when it does not say."""
    if problem.retry_after_s is not None:
        return problem.retry_after_s
    given = headers.get("Retry-After", "")
    return float(given) if given.isascii() and given.isdecimal() else None


def may_help(error: ChatstreamError) -> bool:
    """Can the same request go well a little later?"""
    if isinstance(error, RequestRefused):
        return error.status in RETRIED and error.retryable
    return error.retryable


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else str(status)
