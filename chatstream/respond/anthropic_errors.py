"""What the Anthropic SDK and the HTTP client below it raise, as ResponderError or ResponderRefused.

The error's type decides, as an error in the middle of a stream came after status 200; the status decides where there is
no type, as with the HTML pages of proxies. Importing this module imports the SDK.
"""

import math
from typing import Any, Final, NamedTuple

import anthropic
import httpx2

from chatstream.core.errors import ResponderError, ResponderRefused
from chatstream.respond import failures

STREAM_ERRORS: Final = (
    anthropic.AnthropicError,
    httpx2.HTTPError,
    OSError,
    ValueError,  # a line that is not JSON, or not UTF-8
    # Events in an order or of a shape that nobody expects:
    LookupError,
    AttributeError,
    TypeError,
    RuntimeError,  # what the HTTP client below says of a session that was closed
)
"""All that calling the API and reading its stream may raise."""

DETAIL_CHARS: Final = 500
STATUS_OK: Final = 200


class Verdict(NamedTuple):
    """failure: the code. retryable: whether the same request may succeed later."""

    failure: str
    retryable: bool


BY_TYPE: Final[dict[str, Verdict]] = {
    "overloaded_error": Verdict(failures.MODEL_OVERLOADED, True),
    "rate_limit_error": Verdict(failures.RATE_LIMITED, True),
    "api_error": Verdict(failures.MODEL_ERROR, True),
    "timeout_error": Verdict(failures.TIMEOUT, True),
    "conflict_error": Verdict(failures.MODEL_ERROR, True),
    "billing_error": Verdict(failures.SPEND_LIMIT, False),
    "authentication_error": Verdict(failures.MODEL_AUTH, False),
    "permission_error": Verdict(failures.MODEL_AUTH, False),
    "not_found_error": Verdict(failures.BAD_REQUEST, False),
    "invalid_request_error": Verdict(failures.BAD_REQUEST, False),
    "request_too_large": Verdict(failures.BAD_REQUEST, False),
}
BY_STATUS: Final[dict[int, Verdict]] = {
    401: Verdict(failures.MODEL_AUTH, False),
    402: Verdict(failures.SPEND_LIMIT, False),
    403: Verdict(failures.MODEL_AUTH, False),
    408: Verdict(failures.TIMEOUT, True),
    409: Verdict(failures.MODEL_ERROR, True),
    429: Verdict(failures.RATE_LIMITED, True),
    529: Verdict(failures.MODEL_OVERLOADED, True),
}
SPEND_CODES: Final = "spend_limit_reached"
"""How the error codes of limits on money end; they come as 429 `rate_limit_error`, and last until the month ends."""
SPEND_WORDS: Final = "you have reached your specified"
"""How the message begins where the account's owner has set the limit: a 400 without an error code of its own."""


def translated(error: Exception) -> ResponderError:
    """For one of STREAM_ERRORS; raise the result `from` it."""
    if isinstance(error, anthropic.APIStatusError):
        return _of_status(error)
    if isinstance(error, anthropic.APIConnectionError):
        return _of_connection(error.__cause__ or error)
    if isinstance(error, httpx2.HTTPError | OSError):
        return _of_connection(error)
    if isinstance(error, anthropic.CredentialsError):
        return ResponderRefused(_told("no usable key", error), failure=failures.MODEL_AUTH)
    return ResponderError(_told("the model's service sent what is not its protocol", error), failure=failures.MODEL_ERROR)


def checked(event: Any) -> dict[str, Any]:
    """An event of a stream, unless it is an error: that is raised as ResponderError or ResponderRefused. Or ValueError."""
    if not isinstance(event, dict):
        raise ValueError("an event that is not a JSON object")
    if event.get("type") == "error":
        error = event.get("error") or {}
        code = (error.get("details") or {}).get("error_code")
        raise _judged(STATUS_OK, error.get("type"), code, str(error.get("message")), None)
    return event


def _of_status(error: anthropic.APIStatusError) -> ResponderError:
    message = error.api_message if isinstance(error.api_message, str) else error.message
    return _judged(error.status_code, error.type, error.error_code, message, _retry_after_s(error.response.headers))


def _judged(status: int, kind: str | None, code: str | None, message: str, retry_after_s: float | None) -> ResponderError:
    verdict = _verdict(status, kind, code, message)
    raised = ResponderError if verdict.retryable else ResponderRefused
    said = " ".join(filter(None, ("the model's service said", str(status) if status != STATUS_OK else "", kind)))
    return raised(f"{said}: {message[:DETAIL_CHARS]}", failure=verdict.failure, retry_after_s=retry_after_s)


def _verdict(status: int, kind: str | None, code: str | None, message: str) -> Verdict:
    if (code or "").endswith(SPEND_CODES) or (status == 400 and message.lower().startswith(SPEND_WORDS)):
        return Verdict(failures.SPEND_LIMIT, False)
    return BY_TYPE.get(kind or "") or BY_STATUS.get(status) or _by_class(status)


def _by_class(status: int) -> Verdict:
    # An unknown kind of 4xx says that the request is at fault. Below 400 it stood in a stream that had begun well.
    return Verdict(failures.BAD_REQUEST, False) if 400 <= status < 500 else Verdict(failures.MODEL_ERROR, True)


def _of_connection(error: BaseException) -> ResponderError:
    if isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
        return ResponderError(_told("the model's service was silent for too long", error), failure=failures.TIMEOUT)
    return ResponderError(_told("no connection to the model's service", error), failure=failures.MODEL_UNREACHABLE)


def _retry_after_s(headers: httpx2.Headers) -> float | None:
    """`retry-after` in seconds, not negative; None when absent or not a number. Without an upper bound: retries.py cuts it."""
    try:
        asked_s = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return max(asked_s, 0.0) if math.isfinite(asked_s) else None


def _told(what: str, error: BaseException) -> str:
    detail = str(error)[:DETAIL_CHARS] or type(error).__name__
    return f"{what}: {detail}"
