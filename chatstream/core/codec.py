"""Bytes on the topics to commands and events, and back.

A value that starts with `{` (after blanks) is a JSON command; any other text is a user message, so that every console
producer is enough. Events are one line of JSON, `type` first, read back through upcasters for ever.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from chatstream.core.commands import AnyCommand, Cancel, Message
from chatstream.core.errors import BadCommand, BadId, BadInput, UnknownFormat
from chatstream.core.events import SCHEMA, AnyEvent
from chatstream.core.ids import MessageId, SessionId, message_id, session_id
from chatstream.core.limits import Limits

FORMAT: Final = 1
"""Version of the whole log's layout, in every claim. A node refuses a partition with a higher one."""

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
UPCASTERS: Final[dict[tuple[str, int], Upcaster]] = {}
"""(type, version) to the step that makes that version's fields into the next one's. Steps are never edited."""

_BLANKS: Final = b" \t\r\n"


class _MessageWire(msgspec.Struct, frozen=True):
    """A message as it comes from outside, before its ids and sizes were looked at."""

    type: str = "message"
    text: str = ""
    content: list[dict[str, Any]] | None = None
    message_id: str = ""
    command_id: str = ""
    user: str = ""
    metadata: dict[str, Any] | None = None
    on_busy: str = "enqueue"
    delay_s: float | None = None
    at: str | None = None


_event_encoder = msgspec.json.Encoder()
_event_decoder: Final = msgspec.json.Decoder(AnyEvent)
_command_encoder = msgspec.json.Encoder()
_command_decoder: Final = msgspec.json.Decoder(AnyCommand)
_wire_decoder: Final = msgspec.json.Decoder(_MessageWire)
_json_decoder: Final = msgspec.json.Decoder(dict[str, Any])


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
    if not value:
        raise BadCommand("empty", "the record has no value")
    if value.lstrip(_BLANKS)[:1] == b"{":
        return _with_id(read_json_command(value, limits), place)
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise BadCommand("not-utf8", f"the value is not UTF-8: {error}") from error
    return _checked(Message(command_id=place, message_id=place, text=text), limits)


def read_json_command(value: bytes, limits: Limits) -> AnyCommand:
    """A JSON object as a command, its id empty when it brings none. Raises BadCommand."""
    try:
        wire = _wire_decoder.decode(value)
    except msgspec.ValidationError as error:
        raise _not_a_message(value, error) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadCommand("malformed-json", f"the value starts with '{{' but is not JSON: {error}") from error
    if wire.type == "message":
        return _message(wire, limits)
    return _other(wire.type, value)


def _not_a_message(value: bytes, error: msgspec.ValidationError) -> BadCommand:
    # msgspec stops at the first wrong field, so what stands behind it may still not be JSON at all.
    try:
        msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as broken:
        return BadCommand("malformed-json", f"the value starts with '{{' but is not JSON: {broken}")
    return BadCommand("bad-command", str(error))


def _other(kind: str, value: bytes) -> AnyCommand:
    if kind != "cancel":
        raise BadCommand("unknown-type", f"there is no command type {kind!r}")
    try:
        command: AnyCommand = _command_decoder.decode(value)
    except msgspec.ValidationError as error:
        raise BadCommand("bad-command", str(error)) from error
    for given in (command.command_id, command.message_id):
        _outside_id(given)
    return command


def _outside_id(given: str) -> MessageId:
    try:
        return message_id(given) if given else MessageId("")
    except BadId as error:
        raise BadCommand("bad-id", str(error)) from error


def _message(wire: _MessageWire, limits: Limits) -> Message:
    if wire.message_id and wire.command_id and wire.message_id != wire.command_id:
        raise BadCommand("bad-command", "message_id and command_id are one namespace: give one of them")
    if wire.on_busy not in ("enqueue", "reject", "interrupt"):
        raise BadCommand("bad-command", "on_busy is 'enqueue', 'reject' or 'interrupt'")
    if wire.delay_s is not None or wire.at is not None:
        raise BadCommand("not-supported", "delay_s and at are not supported yet")
    if wire.text and wire.content is not None:
        raise BadCommand("bad-command", "give text or content, not both")
    given = _outside_id(wire.message_id or wire.command_id)
    return _checked(
        Message(
            command_id=given,
            message_id=given,
            text=wire.text or text_of(wire.content),
            content=wire.content,
            user=wire.user,
            metadata=wire.metadata,
            on_busy=wire.on_busy,  # type: ignore[arg-type]  # narrowed by the check above
        ),
        limits,
    )


def _checked(message: Message, limits: Limits) -> Message:
    if not message.text and not message.content:
        raise BadCommand("empty", "the message has no text")
    _fits("text", len(message.text.encode()), limits.text_bytes)
    _fits("user", len(message.user), 200)
    if message.content is not None:
        _fits("content", len(_command_encoder.encode(message.content)), limits.content_bytes)
    if message.metadata is not None:
        _fits("metadata", len(_command_encoder.encode(message.metadata)), limits.metadata_bytes)
    return message


def _fits(what: str, size_bytes: int, most: int) -> None:
    if size_bytes > most:
        raise BadCommand("too-large", f"{what} has {size_bytes} bytes, at most {most} are allowed")


def _with_id(command: AnyCommand, place: MessageId) -> AnyCommand:
    if command.command_id:
        return command
    if isinstance(command, Message):
        return msgspec.structs.replace(command, command_id=place, message_id=place)
    return msgspec.structs.replace(command, command_id=place)


def text_of(content: list[dict[str, Any]] | None) -> str:
    """The text of content blocks, joined: what a reader sees who knows no blocks."""
    texts = [block["text"] for block in content or () if block.get("type") == "text" and "text" in block]
    return "".join(text for text in texts if isinstance(text, str))


def write_command(command: Message | Cancel) -> bytes:
    """A command as the value of an inbound record."""
    return _command_encoder.encode(command)


def write_event(event: AnyEvent) -> bytes:
    """An event as one line of JSON, `type` first."""
    return _event_encoder.encode(event)


def read_event(value: bytes) -> AnyEvent:
    """An event from the log, brought up to today's schema.

    Raises UnknownFormat when a newer chatstream wrote it, BadInput when it is no event at all.
    """
    try:
        event: AnyEvent = _event_decoder.decode(value)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _read_old(value)
    return event if event.v == SCHEMA[type_name(event)] else _read_old(value)


def _read_old(value: bytes) -> AnyEvent:
    try:
        fields = upcast(_json_decoder.decode(value), UPCASTERS, SCHEMA)
        event: AnyEvent = msgspec.convert(fields, AnyEvent)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadInput(f"not an event: {error}") from error
    return event


def upcast(fields: dict[str, Any], steps: dict[tuple[str, int], Upcaster], schema: dict[str, int]) -> dict[str, Any]:
    """Bring an event's fields to the current version, one version at a time.

    Raises UnknownFormat for a type or version from the future.
    """
    kind, version = fields.get("type"), fields.get("v", 1)
    if kind not in schema or not isinstance(version, int) or version > schema[kind]:
        raise UnknownFormat(f"event type {kind!r} version {version!r} is not known here: upgrade this node")
    while version < schema[kind]:
        fields = steps[kind, version](fields)
        version += 1
        fields = {**fields, "v": version}
    return fields


def type_name(event: AnyEvent) -> str:
    """The event's short type name, as in its JSON."""
    name = event.__struct_config__.tag
    assert isinstance(name, str)
    return name
