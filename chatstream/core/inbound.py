"""Records of the inbound topic, and bodies over HTTP, as commands; and back.

A value that starts with `{` (after blanks) is a JSON command; any other text is a user message, so that every console
producer is enough. Whatever is wrong with one is BadCommand, with the dead letter's reason.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from chatstream.core.codec import NESTING_MAX, nests_deeper
from chatstream.core.commands import (
    COMMANDS,
    AnyCommand,
    Approve,
    Cancel,
    ClearState,
    Command,
    Edit,
    Erase,
    Fork,
    Message,
    Regenerate,
    Retry,
    SetState,
    Update,
)
from chatstream.core.errors import BadCommand, BadId
from chatstream.core.events import Blocks
from chatstream.core.ids import NO_ID, MessageId, SessionId, known_id, message_id, name_of, session_id, state_key
from chatstream.core.limits import USER_BYTES_MAX, Limits
from chatstream.core.prompt import is_blank
from chatstream.core.times import at_ms

_BLANKS: Final = b" \t\r\n"
_BOM: Final = b"\xef\xbb\xbf"
"""Some editors and shells put it before a text. It is a mark of theirs, nothing that was said."""

TITLE_BYTES_MAX: Final = 1_000
"""A title somebody sets: a line, whatever its script; no setting."""
NAME_BYTES_MAX: Final = 200
"""A model's name; no setting."""
COMMENT_BYTES_MAX: Final = 4_000
"""Why somebody approved or rejected; no setting."""


class _MessageWire(msgspec.Struct, frozen=True):
    """A message as it comes from outside, before its ids and sizes were looked at."""

    type: str = ""
    text: str | None = None
    content: Blocks | None = None
    message_id: str = ""
    command_id: str = ""
    user: str = ""
    metadata: dict[str, Any] | None = None
    on_busy: str = "enqueue"
    delay_s: float | None = None
    at: str | None = None


class _EditWire(msgspec.Struct, frozen=True):
    """An edit as it comes from outside."""

    seq: int
    text: str | None = None
    content: Blocks | None = None
    message_id: str = ""
    command_id: str = ""
    user: str = ""
    metadata: dict[str, Any] | None = None


class _TypeWire(msgspec.Struct, frozen=True):
    """Only the type, of values whose other fields are not as a message has them."""

    type: Any = ""


def _type_of(command: type[Command]) -> str:
    tag = command.__struct_config__.tag
    assert isinstance(tag, str)
    return tag


_encoder: Final = msgspec.json.Encoder()
_type_decoder: Final = msgspec.json.Decoder(_TypeWire)
_wire_decoder: Final = msgspec.json.Decoder(_MessageWire)
_edit_decoder: Final = msgspec.json.Decoder(_EditWire)
_decoders: Final = {_type_of(kind): msgspec.json.Decoder(kind) for kind in COMMANDS if kind not in (Message, Edit)}


def read_key(key: bytes | None) -> SessionId:
    """The session an inbound record is for. Raises BadCommand (`missing-key`, `bad-key`)."""
    if not key:
        raise BadCommand("missing-key", "the record has no key: the key is the session id")
    try:
        return session_id(key.decode())
    except (UnicodeDecodeError, BadId) as error:
        raise BadCommand("bad-key", f"the record's key is not a session id: {error}") from error


def read_command(value: bytes | None, place: MessageId, limits: Limits) -> AnyCommand:
    """An inbound record's value as a command.

    place: the id it gets when it brings none. Raises BadCommand with the dead letter's reason.
    """
    value = (value or b"").removeprefix(_BOM)
    if value.lstrip(_BLANKS)[:1] == b"{":
        return with_id(read_json_command(value, limits), place)
    return _checked(Message(command_id=place, message_id=place, text=_text(value)), limits)


def with_id(command: AnyCommand, chosen: MessageId) -> AnyCommand:
    """The command under the id it brought, else under the chosen one."""
    if command.command_id:
        return command
    if isinstance(command, Message):
        return replace(command, command_id=chosen, message_id=chosen)
    return replace(command, command_id=chosen)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise BadCommand("not-utf8", f"the value is not UTF-8: {error}") from error


def read_json_command(value: bytes, limits: Limits) -> AnyCommand:
    """A JSON object as a command, its id empty when it brings none. Raises BadCommand."""
    _text(value)  # the JSON decoder looks only into the strings it needs
    try:
        wire = _wire_decoder.decode(value)
    except msgspec.ValidationError as error:
        return _no_message(value, error, limits)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _malformed(error) from error
    if wire.type == "message" or (not wire.type and (wire.text is not None or wire.content is not None)):
        return _message(wire, limits)
    return _other(wire.type, value, limits)


def _no_message(value: bytes, error: msgspec.ValidationError, limits: Limits) -> AnyCommand:
    """A value whose fields are not a message's: another command, or a dead letter for the nearest reason."""
    try:
        kind = _type_decoder.decode(value).type
    except msgspec.ValidationError:
        kind = ""
    # The decoder stops at the first wrong field, so what stands behind it may still not be JSON at all.
    except (msgspec.DecodeError, RecursionError) as broken:
        raise _malformed(broken) from broken
    if not isinstance(kind, str):
        raise BadCommand("unknown-type", "the type is not a string") from error
    if kind in ("", "message"):
        raise BadCommand("bad-command", str(error)) from error
    return _other(kind, value, limits)


def _malformed(error: Exception) -> BadCommand:
    return BadCommand("malformed-json", f"the value starts with '{{' but is not JSON: {error}")


def _other(kind: str, value: bytes, limits: Limits) -> AnyCommand:
    if kind == "":
        raise BadCommand("unknown-type", "the object has neither a type nor a text")
    if kind != _type_of(Edit) and kind not in _decoders:
        raise BadCommand("unknown-type", f"there is no command type {kind[:100]!r}")
    try:
        if kind == _type_of(Edit):
            return _edit(_edit_decoder.decode(value), limits)
        command: AnyCommand = _decoders[kind].decode(value)
    except msgspec.ValidationError as error:
        raise BadCommand("bad-command", str(error)) from error
    _outside_id(command.command_id)
    _check(command, limits)
    return command


def _check(command: AnyCommand, limits: Limits) -> None:  # noqa: C901  a match over a closed union
    """What the types do not say. Raises BadCommand."""
    match command:
        case Cancel():
            _outside_id(command.message_id, known_id)
        case Fork() if command.id:
            _well_formed(session_id, command.id)
        case Fork() | Retry():
            if (command.seq if isinstance(command, Fork) else command.turn) < 0:
                raise BadCommand("bad-command", "a seq is not negative")
        case Update():
            _check_update(command, limits)
        case SetState():
            _well_formed(state_key, command.key)
            _json_fits("value", command.value, limits.state_value_bytes)
        case ClearState():
            _well_formed(state_key, command.key)
        case Approve():
            _well_formed(name_of, command.name)
            _fits("comment", len(command.comment.encode()), COMMENT_BYTES_MAX)
        case Erase():
            if command.idle_since and at_ms(command.idle_since) is None:
                raise BadCommand("bad-command", "idle_since is a time like 2026-01-31T09:00:00Z")
        case Message() | Regenerate() | Edit():
            pass


def _check_update(command: Update, limits: Limits) -> None:
    for what, given, most in (
        ("title", command.title, TITLE_BYTES_MAX),
        ("system", command.system, limits.system_bytes),
        ("model", command.model, NAME_BYTES_MAX),
    ):
        if isinstance(given, str):
            _fits(what, len(given.encode()), most)
    if isinstance(command.metadata, dict):
        _json_fits("metadata", command.metadata, limits.metadata_bytes)


def _outside_id(given: str, well_formed: Callable[[str], MessageId] = message_id) -> MessageId:
    try:
        return well_formed(given) if given else NO_ID
    except BadId as error:
        raise BadCommand("bad-id", str(error)) from error


def _well_formed(check: Callable[[str], object], given: str) -> None:
    try:
        check(given)
    except BadId as error:
        raise BadCommand("bad-id", str(error)) from error


def _given_id(wire: _MessageWire | _EditWire) -> MessageId:
    if wire.message_id and wire.command_id and wire.message_id != wire.command_id:
        raise BadCommand("bad-command", "message_id and command_id are one namespace: give one of them")
    return _outside_id(wire.message_id or wire.command_id)


def _message(wire: _MessageWire, limits: Limits) -> Message:
    given = _given_id(wire)
    if wire.on_busy not in ("enqueue", "reject", "interrupt"):
        raise BadCommand("bad-command", "on_busy is 'enqueue', 'reject' or 'interrupt'")
    return _checked(
        Message(
            command_id=given,
            message_id=given,
            text=_said(wire),
            content=wire.content,
            user=wire.user,
            metadata=wire.metadata,
            on_busy=wire.on_busy,  # type: ignore[arg-type]  # narrowed by the check above
            delay_s=_delay_s(wire, limits),
            at=wire.at or "",
        ),
        limits,
    )


def _said(wire: _MessageWire | _EditWire) -> str:
    if wire.content is not None and wire.text and wire.text != text_of(wire.content):
        raise BadCommand("bad-command", "give text or content, not both")
    return wire.text or text_of(wire.content)


def _delay_s(wire: _MessageWire, limits: Limits) -> float:
    if wire.at and at_ms(wire.at) is None:
        raise BadCommand("bad-command", "at is a time like 2026-01-31T09:00:00Z")
    if not wire.delay_s:
        return 0.0
    # A command that was written with its defaults brings a delay of 0 beside its time.
    if wire.at and wire.delay_s:
        raise BadCommand("bad-command", "give delay_s or at, not both")
    if not 0 <= wire.delay_s <= limits.delay_s:
        raise BadCommand("bad-command", f"delay_s is 0 to {limits.delay_s:g}")
    return wire.delay_s


def _edit(wire: _EditWire, limits: Limits) -> Edit:
    given = _given_id(wire)
    if wire.seq < 1:
        raise BadCommand("bad-command", "seq names the message to go back to")
    message = Message(text=_said(wire), content=wire.content, user=wire.user, metadata=wire.metadata)
    _checked(message, limits)
    return Edit(
        command_id=given,
        seq=wire.seq,  # type: ignore[arg-type]  # a number from outside becomes a Seq here
        text=message.text,
        content=message.content,
        user=message.user,
        metadata=message.metadata,
    )


def _checked(message: Message, limits: Limits) -> Message:
    if not message.text and all(is_blank(block) for block in message.content or ()):
        raise BadCommand("empty", "the message has no text")
    _fits("text", len(message.text.encode()), limits.text_bytes)
    if message.user:
        _fits("user", len(message.user.encode()), USER_BYTES_MAX)
    if message.content is not None:
        _json_fits("content", message.content, limits.content_bytes)
    if message.metadata is not None:
        _json_fits("metadata", message.metadata, limits.metadata_bytes)
    return message


def _json_fits(what: str, value: object, most: int) -> None:
    if nests_deeper(value, NESTING_MAX):
        raise BadCommand("too-deep", f"{what} nests deeper than {NESTING_MAX} levels")
    _fits(what, len(_encoder.encode(value)), most)


def _fits(what: str, size_bytes: int, most: int) -> None:
    if size_bytes > most:
        raise BadCommand("too-large", f"{what} has {size_bytes} bytes, at most {most} are allowed")


def text_of(content: Blocks | None) -> str:
    """The text of content blocks, joined: what a reader sees who knows no blocks."""
    texts = [block["text"] for block in content or () if block.get("type") == "text" and "text" in block]
    return "".join(text for text in texts if isinstance(text, str))


def write_command(command: AnyCommand) -> bytes:
    """A command as the value of an inbound record. The text of content blocks stands there once, in the blocks."""
    if isinstance(command, Message | Edit) and command.content is not None:
        command = replace(command, text="")
    return _encoder.encode(command)
