"""What a call of the model came to, made fit for the log: user code may give and raise anything, and it is checked here, once.

Nothing that passed here can fail to be written as an event, but for its size, which the partition's writer looks at.
"""

import re
from contextlib import suppress
from typing import Any, Final

import msgspec

from chatstream.core import codec
from chatstream.core.errors import BadInput, ResponderError, ResponderRefused
from chatstream.core.events import Blocks, Usage
from chatstream.respond.failures import RESPONDER_ERROR
from chatstream.respond.port import Reply

_FAILURE: Final = re.compile(r"[a-z0-9-]{1,64}")
"""Codes of our own are in respond.failures; user code may have others, if programs can compare them."""

RETRY_AFTER_MOST_S: Final = 86_400.0
"""Far above Limits.retry_most_s, which cuts it further; it keeps numbers out that cannot be reckoned with."""

_encoder: Final = msgspec.json.Encoder()


def piece_bytes(piece: str) -> int:
    """What a piece of text takes in an event. Raises ResponderRefused for half a surrogate pair, which is no text."""
    try:
        return len(_encoder.encode(piece)) - 2
    except UnicodeEncodeError as error:
        raise _not_text(error) from error


def plain_text(text: str) -> str:
    """The text itself, of a subclass of str too."""
    return text if type(text) is str else str.__str__(text)


def checked_reply(reply: Reply) -> Reply:
    """A responder's last word as every reader of the log will see it. Raises ResponderRefused for what cannot be recorded."""
    for what, text in (("text", reply.text or ""), ("model", reply.model), ("stop_reason", reply.stop_reason)):
        if not isinstance(text, str):
            raise ResponderRefused(f"Reply.{what} is a {type(text).__name__}; it may be a str")
        piece_bytes(plain_text(text))
    return Reply(
        text=None if reply.text is None else plain_text(reply.text),
        content=None if reply.content is None else _blocks(reply.content),
        model=plain_text(reply.model),
        stop_reason=plain_text(reply.stop_reason),
        usage=None if reply.usage is None else _usage(reply.usage),
    )


def checked_usage(usage: Usage, most_bytes: int) -> Usage:
    """What user code reported in the middle of a call. Raises BadInput, to that code."""
    raw = codec.write_json(usage)
    if len(raw) > most_bytes:
        raise BadInput(f"the usage has {len(raw)} bytes, at most {most_bytes} are allowed")
    plain = msgspec.json.decode(raw)
    if not isinstance(plain, dict):
        raise BadInput(f"the usage is a {type(usage).__name__}; it may be a dict")
    return plain


def checked_json(what: str, value: Any, most_bytes: int) -> Any:
    """A value of user code's as every reader of the log will see it. Raises BadInput where it is no JSON, or too large."""
    try:
        raw = codec.write_json(value)
    except BadInput as error:
        raise BadInput(f"{what} cannot be recorded: {error}") from error
    if b"null" in raw and codec.loses_a_number(value):
        raise BadInput(f"{what} has a number that JSON does not know (nan or inf)")
    if len(raw) > most_bytes:
        raise BadInput(f"{what} has {len(raw)} bytes, at most {most_bytes} are allowed")
    return msgspec.json.decode(raw)


def _blocks(content: Any) -> Blocks:
    plain = _plain("content", content)
    if not isinstance(plain, list) or not all(isinstance(block, dict) for block in plain):
        raise ResponderRefused("Reply.content is no list of dicts")
    return plain


def _usage(usage: Any) -> Usage:
    plain = _plain("usage", usage)
    if not isinstance(plain, dict):
        raise ResponderRefused(f"Reply.usage is a {type(usage).__name__}; it may be a dict")
    return plain


def _plain(what: str, value: Any) -> Any:
    try:
        return codec.plain_json(value)
    except BadInput as error:
        raise ResponderRefused(f"Reply.{what} cannot be recorded: {error}") from error


def _not_text(error: UnicodeEncodeError) -> ResponderRefused:
    return ResponderRefused(f"the responder gave what is no text: {error}")


def failure_of(error: BaseException, detail_chars: int) -> ResponderError:
    """Whatever a responder raised, as an error whose fields can be recorded; its text is cut at detail_chars."""
    words = _cut(_words(error), detail_chars)
    if not isinstance(error, ResponderError):
        return ResponderError(words)
    failure: object = error.failure
    after_s: object = error.retry_after_s
    code = failure if isinstance(failure, str) and _FAILURE.fullmatch(failure) else RESPONDER_ERROR
    wait_s = float(min(after_s, RETRY_AFTER_MOST_S)) if isinstance(after_s, int | float) and after_s >= 0 else None
    kind = ResponderError if error.retryable else ResponderRefused
    return kind(words, failure=plain_text(code), retry_after_s=wait_s)


def _words(error: BaseException) -> str:
    text = "(its text cannot be had)"
    with suppress(Exception):  # the exception is the user's code too
        text = str(error)
    return text if isinstance(error, ResponderError) else f"{type(error).__name__}: {text}"


def _cut(text: str, most: int) -> str:
    """At most so many characters, all of which can be written: texts of exceptions hold file names that are no UTF-8."""
    text = plain_text(text).encode(errors="backslashreplace").decode()
    return text if len(text) <= most else f"{text[: most - 1]}…"
