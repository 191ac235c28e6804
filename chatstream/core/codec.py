"""Events as bytes and back, and JSON as user code hands it over.

Events are one line of JSON, `type` first, read back through upcasters for ever. Commands are read in inbound.py.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from chatstream.core.errors import BadInput, UnknownFormat
from chatstream.core.events import SCHEMA, AnyEvent

FORMAT: Final = 1
"""Version of the whole log's layout, in every claim. A node refuses a partition with a higher one."""

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
UPCASTERS: Final[dict[tuple[str, int], Upcaster]] = {}
"""(type, version) to the step that makes that version's fields into the next one's. Steps are never edited."""

NESTING_MAX: Final = 64
"""Levels of lists and objects in content, metadata and state. What is decoded just below the interpreter's recursion
limit may not encode again a few calls deeper: such a record would be accepted and then stop its partition."""

_event_encoder: Final = msgspec.json.Encoder()
_event_decoder: Final = msgspec.json.Decoder(AnyEvent)
_json_decoder: Final = msgspec.json.Decoder(dict[str, Any])


def nests_deeper(value: object, levels: int) -> bool:
    """Does a JSON value have more than `levels` lists and objects inside each other? A plain value has none."""
    layer = [value]
    for _ in range(levels + 1):
        inner = [one for one in layer if isinstance(one, dict | list)]
        if not inner:
            return False
        layer = [item for one in inner for item in (one.values() if isinstance(one, dict) else one)]
    return True


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
