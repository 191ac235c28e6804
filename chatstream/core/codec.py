"""Bytes on the topics to commands and events, and back.

A value that starts with `{` (after blanks) is a JSON command; any other text is a user message, so that every console
producer is enough. Events are one line of JSON, `type` first, read back through upcasters for ever.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from chatstream.core.commands import AnyCommand, Cancel, Message
from chatstream.core.errors import BadCommand, BadId, BadInput, UnknownFormat
from chatstream.core.events import SCHEMA, AnyEvent
from chatstream.core.ids import NO_ID, MessageId, SessionId, known_id, message_id, session_id
from chatstream.core.limits import USER_BYTES_MAX, Limits
from chatstream.core.prompt import is_blank

FORMAT: Final = 1
"""Version of the whole log's layout, in every claim. A node refuses a partition with a higher one."""

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
UPCASTERS: Final[dict[tuple[str, int], Upcaster]] = {}
"""(type, version) to the step that makes that version's fields into the next one's. Steps are never edited."""

_BLANKS: Final = b" \t\r\n"
_BOM: Final = b"\xef\xbb\xbf"
"""Some editors and shells put it before a text. It is a mark of theirs, nothing that was said."""

NESTING_MAX: Final = 64
"""Levels of lists and objects in content, metadata and state. What is decoded just below the interpreter's recursion
limit may not encode again a few calls deeper: such a record would be accepted and then stop its partition."""

_LATER: Final = frozenset(
    ("retry", "regenerate", "edit", "fork", "update", "state.set", "state.clear", "approve", "erase"),
)
"""Types with a meaning that this version does not act on."""


class _MessageWire(msgspec.Struct, frozen=True):
    """A message as it comes from outside, before its ids and sizes were looked at."""

    type: str = ""
    text: str | None = None
    content: list[dict[str, Any]] | None = None
    message_id: str = ""
    command_id: str = ""
    user: str = ""
    metadata: dict[str, Any] | None = None
    on_busy: str = "enqueue"
    delay_s: float | None = None
    at: str | None = None


class _TypeWire(msgspec.Struct, frozen=True):
    """Only the type, of values whose other fields are not as a message has them."""

    type: Any = ""


_event_encoder: Final = msgspec.json.Encoder()
_event_decoder: Final = msgspec.json.Decoder(AnyEvent)
_command_encoder: Final = msgspec.json.Encoder()
_cancel_decoder: Final = msgspec.json.Decoder(Cancel)
_type_decoder: Final = msgspec.json.Decoder(_TypeWire)
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
    value = (value or b"").removeprefix(_BOM)
    if value.lstrip(_BLANKS)[:1] == b"{":
        return _with_id(read_json_command(value, limits), place)
    return _checked(Message(command_id=place, message_id=place, text=_text(value)), limits)


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
        return _no_message(value, error)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _malformed(error) from error
    if wire.type == "message" or (not wire.type and (wire.text is not None or wire.content is not None)):
        return _message(wire, limits)
    return _other(wire.type, value)


def _no_message(value: bytes, error: msgspec.ValidationError) -> AnyCommand:
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
    return _other(kind, value)


def _malformed(error: Exception) -> BadCommand:
    return BadCommand("malformed-json", f"the value starts with '{{' but is not JSON: {error}")


def _other(kind: str, value: bytes) -> AnyCommand:
    if kind in _LATER:
        raise BadCommand("not-supported", f"commands of type {kind!r} are not supported yet")
    if kind == "":
        raise BadCommand("unknown-type", "the object has neither a type nor a text")
    if kind != "cancel":
        raise BadCommand("unknown-type", f"there is no command type {kind[:100]!r}")
    try:
        command = _cancel_decoder.decode(value)
    except msgspec.ValidationError as error:
        raise BadCommand("bad-command", str(error)) from error
    _outside_id(command.command_id)
    _outside_id(command.message_id, known_id)
    return command


def _outside_id(given: str, well_formed: Callable[[str], MessageId] = message_id) -> MessageId:
    try:
        return well_formed(given) if given else NO_ID
    except BadId as error:
        raise BadCommand("bad-id", str(error)) from error


def _message(wire: _MessageWire, limits: Limits) -> Message:
    if wire.message_id and wire.command_id and wire.message_id != wire.command_id:
        raise BadCommand("bad-command", "message_id and command_id are one namespace: give one of them")
    if wire.on_busy not in ("enqueue", "reject", "interrupt"):
        raise BadCommand("bad-command", "on_busy is 'enqueue', 'reject' or 'interrupt'")
    if wire.delay_s is not None or wire.at is not None:
        raise BadCommand("not-supported", "delay_s and at are not supported yet")
    if wire.content is not None and wire.text and wire.text != text_of(wire.content):
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
    _fits(what, len(_command_encoder.encode(value)), most)


def nests_deeper(value: object, levels: int) -> bool:
    """Does a JSON value have more than `levels` lists and objects inside each other? A plain value has none."""
    layer = [value]
    for _ in range(levels + 1):
        inner = [one for one in layer if isinstance(one, dict | list)]
        if not inner:
            return False
        layer = [item for one in inner for item in (one.values() if isinstance(one, dict) else one)]
    return True


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
    """A command as the value of an inbound record. The text of content blocks stands there once, in the blocks."""
    if isinstance(command, Message) and command.content is not None:
        command = msgspec.structs.replace(command, text="")
    return _command_encoder.encode(command)


def write_event(event: AnyEvent) -> bytes:
    """An event as one line of JSON, `type` first. What user code put into it went through `plain_json` before."""
    return _event_encoder.encode(event)


def write_json(value: object) -> bytes:
    """Any JSON value on one line. Raises BadInput for what is none, as user code may hand it over."""
    try:
        if nests_deeper(value, NESTING_MAX):
            raise BadInput(f"the value nests deeper than {NESTING_MAX} levels")
        return _event_encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BadInput(f"not a JSON value: {error}") from error


def plain_json(value: Any) -> Any:
    """What user code handed over, as every reader of the log will see it. Raises BadInput for what is no JSON value.

    Without it the events in memory could differ from those read back: a date is a text there, a tuple a list.
    """
    return msgspec.json.decode(write_json(value))


def loses_a_number(value: Any) -> bool:
    """Has a value that `write_json` took a number that JSON does not know (nan, inf)? It would be read back as null."""
    layer = [msgspec.to_builtins(value, str_keys=True)]
    while layer:
        if any(isinstance(one, float) and not math.isfinite(one) for one in layer):
            return True
        layer = [item for one in layer if isinstance(one, dict | list | tuple | set | frozenset) for item in _items(one)]
    return False


def _items(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


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

    Raises UnknownFormat for a type or version from the future, BadInput for what cannot be either.
    """
    kind, version = fields.get("type"), fields.get("v", 1)
    if not isinstance(kind, str) or type(version) is not int or version < 1:
        raise BadInput(f"not an event: type {kind!r}, version {version!r}")
    if kind not in schema or version > schema[kind]:
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
