"""Old bytes live for ever: histories as they were logged once still fold to the heads they had then.

A file `v<schema>-<name>.jsonl` holds raw records of chat.events, one a line; `v<schema>-<name>.heads.json` what they fold
to. They are never edited. A new schema version adds files of its own. A field that a later version adds to a head or to
the ownership is not in older files and is not compared there.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chatstream.core.claims import INPUT_HEADER, Ownership, counts, fold_record, read_position
from chatstream.core.codec import read_event
from chatstream.core.events import SCHEMA, brought_id
from chatstream.core.ids import MessageId, Offset, SessionId
from chatstream.core.session import Session, evolve, fits

HERE = Path(__file__).parent
HISTORIES = sorted(HERE.glob("v*.jsonl"))


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def fold_history(path: Path) -> tuple[Ownership, dict[SessionId, Session], list[int], list[int]]:
    """Ownership, heads, the offsets of events that did not count, and of those that counted and did not fit."""
    ownership, heads, known = Ownership(), dict[SessionId, Session](), set[tuple[SessionId, MessageId]]()
    ignored, alarms = list[int](), list[int]()
    for record in records(path):
        offset = Offset(record["offset"])
        headers = tuple((name, content.encode()) for name, content in record["headers"])
        value = None if record["value"] is None else record["value"].encode()
        ownership, verdict = fold_record(ownership, offset, record["key"].encode(), value, headers)
        if verdict != "event" or value is None:
            ignored += [offset] if verdict in ("ghost", "lost-claim") else []
            continue
        event, input_at = read_event(value), read_position(dict(headers).get(INPUT_HEADER))
        session = heads.get(event.session, Session(event.session))
        if not counts(session, event, input_at, (event.session, brought_id(event)) in known):
            ignored.append(offset)
            continue
        alarms += [] if fits(session, event) else [offset]
        heads[event.session] = evolve(session, event, input_at)
        if brought_id(event):
            known.add((event.session, brought_id(event)))
    return ownership, heads, ignored, alarms


def same(found: msgspec.Struct, expected: dict[str, Any]) -> None:
    types = {field.name: field.type for field in msgspec.structs.fields(type(found))}
    for name, value in expected.items():
        assert (name, getattr(found, name)) == (name, msgspec.convert(value, types[name]))


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_stored_history_folds_to_the_heads_it_had(path: Path) -> None:
    expected = json.loads(path.with_suffix(".heads.json").read_text(encoding="utf-8"))
    ownership, heads, ignored, alarms = fold_history(path)
    same(ownership, expected["ownership"])
    assert set(heads) == set(expected["heads"])
    for session, head in heads.items():
        same(head, expected["heads"][session])
    assert (ignored, alarms) == (expected["ignored"], expected["alarms"])


@pytest.mark.parametrize("schema", range(1, max(SCHEMA.values()) + 1))
def test_every_event_type_of_every_schema_version_has_its_history(schema: int) -> None:
    values = [record["value"] for path in HERE.glob(f"v{schema}-*.jsonl") for record in records(path)]
    types = {json.loads(value).get("type") for value in values if value and value.startswith("{")}
    assert {kind for kind, version in SCHEMA.items() if version >= schema} <= types
