"""The body of a POST as a command."""

import asyncio
import json
from typing import Any, Final, TypeVar
from uuid import uuid4

import msgspec
from aiohttp import web
from msgspec.structs import replace
from multidict import CIMultiDictProxy

from chatstream.core import ids, inbound
from chatstream.core.commands import AnyCommand, Message
from chatstream.core.errors import BadId
from chatstream.core.ids import MessageId
from chatstream.core.limits import Limits
from chatstream.web.problems import Problem, bad_field
from chatstream.web.settings import SETTINGS

IDEMPOTENCY_KEY: Final = "Idempotency-Key"

_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


def body_bytes_most(limits: Limits) -> int:
    """Largest raw body: a command may be twice as large as JSON written with `\\\\u` escapes as it is in the log."""
    return 2 * limits.command_bytes


def _once_each(members: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in members]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Problem(400, "duplicate-key", f"one object of the body has two members {twice[:100]!r}")


def _unread(_: str) -> None:
    """Numbers count for nothing here, and long ones would cost time."""


_names_once: Final = json.JSONDecoder(object_pairs_hook=_once_each, parse_int=_unread, parse_float=_unread)


async def read_body(request: web.Request, most_bytes: int) -> bytes:
    """The raw body. Raises Problem: 413, 415 before reading what is too long or packed; 408 for one that does not arrive."""
    if "Content-Encoding" in request.headers:
        raise Problem(415, "unsupported-encoding", "send the body as it is, without Content-Encoding")
    length = request.content_length
    if length is not None and length > most_bytes:
        raise _too_large(length, most_bytes)
    body = await _arrived(request)
    if len(body) > most_bytes:  # in parts, so that no header told
        raise _too_large(len(body), most_bytes)
    return body


async def _arrived(request: web.Request) -> bytes:
    """aiohttp itself would wait for ever, also behind a part that it could not read."""
    wait_s = request.app[SETTINGS].body_s
    try:
        async with asyncio.timeout(wait_s):
            return await request.read()
    except TimeoutError:
        raise Problem(408, "body-timeout", f"the body did not arrive within {wait_s:g} s", retryable=True) from None


def _too_large(length: int, most_bytes: int) -> Problem:
    return Problem(413, "too-large", f"the body has {length} bytes, at most {most_bytes} are taken")


def read_message(headers: CIMultiDictProxy[str], body: bytes, limits: Limits) -> Message:
    """A body and its headers as a message, which always has an id then. Raises BadCommand, BadId, Problem (400, 415)."""
    if not body:
        raise Problem(400, "empty", "the request has no body")
    is_json = _is_json(headers.get("Content-Type"), body)
    if is_json:
        command = inbound.read_json_command(body, limits)
        check_names(body)
    else:
        command = _text_command(body, limits)
    if not isinstance(command, Message):
        raise Problem(400, "bad-command", "only messages are sent here")
    chosen = _chosen_id(command.message_id, headers)
    return replace(command, command_id=chosen, message_id=chosen)


_C = TypeVar("_C", bound=AnyCommand)


def read_act(
    headers: CIMultiDictProxy[str], body: bytes, limits: Limits, kind: type[_C], of_path: dict[str, Any] | None = None
) -> _C:
    """A body, which may be empty, as a command of one kind, with an id. of_path: fields that the request's path and
    headers give. Raises as read_message does."""
    if body and not _is_json(headers.get("Content-Type"), body):
        raise Problem(415, "unsupported-media-type", "say what is asked as application/json, or nothing")
    try:
        fields = msgspec.json.decode(body or b"{}", type=dict[str, Any])
    except msgspec.ValidationError as error:
        raise Problem(400, "bad-command", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(error) from error
    check_names(body or b"{}")
    tag = kind.__struct_config__.tag
    if fields.setdefault("type", tag) != tag:
        raise Problem(400, "bad-command", f"only commands of type {tag} are sent here")
    fields |= of_path or {}
    # Through the codec, so that what a command may be is checked in one place.
    command = inbound.read_json_command(msgspec.json.encode(fields), limits)
    assert isinstance(command, kind)
    return replace(command, command_id=_chosen_id(command.command_id, headers))


def read_value(headers: CIMultiDictProxy[str], body: bytes) -> Any:
    """A body as any JSON value. Raises Problem (400, 415)."""
    if not body:
        raise Problem(400, "empty", "the request has no body")
    # Without a Content-Type it can only be meant as JSON.
    if "Content-Type" in headers and not _is_json(headers["Content-Type"], body):
        raise Problem(415, "unsupported-media-type", "send the value as application/json")
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(error) from error
    check_names(body)
    return value


def check_names(body: bytes) -> None:
    """Raises Problem (400) where an object of a body names a member twice: of two readers each may take another one."""
    if body.count(b":") < 2:
        return
    try:
        _names_once.decode(body.decode())
    except (ValueError, RecursionError) as error:
        raise _malformed(error) from error


def _malformed(error: Exception) -> Problem:
    return Problem(400, "malformed-json", f"the body is not JSON: {error}")


def _is_json(content_type: str | None, body: bytes) -> bool:
    """JSON or plain text? Without a Content-Type an object is taken for JSON, as it is on chat.messages."""
    if content_type is None:
        if body.lstrip(b" \t\r\n")[:1] == b"{":
            return True
        raise Problem(415, "unsupported-media-type", "say Content-Type: text/plain or application/json")
    kind, _, parameters = content_type.partition(";")
    kind = kind.strip().lower()
    if parameters and _charset(parameters) not in _CHARSETS:
        raise Problem(415, "unsupported-charset", "only UTF-8 is taken")
    if kind in ("application/json", "text/plain"):
        return kind == "application/json"
    raise Problem(415, "unsupported-media-type", f"Content-Type is text/plain or application/json, not {kind or 'empty'}")


def _charset(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return "utf-8"


def _text_command(body: bytes, limits: Limits) -> AnyCommand:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Problem(400, "not-utf8", f"the body is not UTF-8: {error}") from error
    # Through JSON, so that what a message may be is checked in one place.
    return inbound.read_json_command(inbound.write_command(Message(text=text)), limits)


def _chosen_id(in_body: MessageId, headers: CIMultiDictProxy[str]) -> MessageId:
    """The id given in the body or as Idempotency-Key, else one of our own."""
    given = _idempotency_key(headers)
    if given and in_body and given != in_body:
        raise bad_field(IDEMPOTENCY_KEY, "bad-id", "Idempotency-Key and the id in the body differ: give one of them")
    return in_body or given or MessageId(uuid4().hex)


def _idempotency_key(headers: CIMultiDictProxy[str]) -> MessageId | None:
    given = headers.getall(IDEMPOTENCY_KEY, ())
    if not given:
        return None
    if len(given) > 1:
        raise bad_field(IDEMPOTENCY_KEY, "bad-id", "Idempotency-Key was given more than once")
    key = given[0]
    # The header's standard wants a quoted string, most clients send it bare: both are the same key.
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    try:
        return ids.message_id(key)
    except BadId as error:
        raise bad_field(IDEMPOTENCY_KEY, "bad-id", str(error)) from error
