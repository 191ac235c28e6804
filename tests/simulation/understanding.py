"""Inbound records as the judge understands them, and whether the one or the other could be followed when it was decided."""

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from chatstream.core.limits import Limits
from chatstream.log.port import Record
from tests.simulation.idling import is_idle
from tests.simulation.values import may_write
from tests.simulation.wrong import Wrong

if TYPE_CHECKING:
    from tests.simulation.oracle import Story, Told

OTHERS = ("cancel", "approve", "retry", "regenerate", "fork", "update", "erase")
KEEPING = ("state.set", "state.clear")


class Command(NamedTuple):
    """kind: message, edit, one of OTHERS or KEEPING, or garbage. target: the id that a cancel names, the new session of a fork,
    the key of a value. over: the tag that a write names. since: of an erasure that is only for idle sessions."""

    kind: str
    session: str = ""
    id: str = ""
    text: str = ""
    target: str = ""
    turn: int = 0
    value: Any = None
    over: str = ""
    since: str = ""


def is_session(name: str) -> bool:
    """May a session be called so?"""
    return re.fullmatch(r"[A-Za-z0-9._:@~-]{1,200}", name) is not None and name not in (".", "..")


def understand(record: Record, partition: int) -> Command:
    """What an inbound record asks for."""
    try:
        session = (record.key or b"").decode()
        text = (record.value or b"").decode()
    except UnicodeDecodeError:
        return Command("garbage")
    if not is_session(session) or not text:
        return Command("garbage")
    forwarded = dict(record.headers).get("forwarded")
    place = forwarded.decode().replace("/", "-") if forwarded else f"{partition}-{record.offset}"
    if not text.startswith("{"):
        return Command("message", session, f"k-{place}", text)
    try:
        fields = json.loads(text)
    except ValueError:
        return Command("garbage")
    kind = fields.get("type", "message")
    name = fields.get("message_id" if kind == "message" else "command_id", "")
    if name.startswith("k-"):
        return Command("garbage")
    return _command(kind, session, name or f"k-{place}", fields)


def _command(kind: str, session: str, name: str, fields: dict[str, Any]) -> Command:
    if kind == "message" and fields.get("text"):
        return Command("message", session, name, fields["text"])
    if kind == "edit" and fields.get("text") and fields.get("seq"):
        return Command("edit", session, name, fields["text"], "", fields["seq"])
    if kind in KEEPING:
        return Command(kind, session, name, "", fields["key"], 0, fields.get("value"), fields.get("if_match", ""))
    if kind not in OTHERS:
        return Command("garbage")
    text = fields.get("name", "") or fields.get("title", "")
    target = fields.get("message_id", "") or fields.get("id", "")
    return Command(
        kind, session, name, text, target, fields.get("turn", 0) or fields.get("seq", 0), since=fields.get("idle_since", "")
    )


def judge_decision(where: str, command: Command, told: "Told") -> None:
    """Is the event what the command asks for? Raises Wrong."""
    event = told.event
    kind, target = event["type"], event["session"] if command.kind == "fork" else ""
    its = event.get("from") == command.session if command.kind == "fork" else event["session"] == command.session
    match command.kind:
        case "cancel":
            right = kind == "reply.cancelled" and event.get("by") == command.id
        case "approve":
            right = kind == "approval.decided" and event["name"] == f"{command.text}#1" and event["command_id"] == command.id
        case "retry" | "regenerate":
            right = kind == "turn.restarted" and command.turn in (0, event["turn"]) and event["command_id"] == command.id
        case "fork":
            through = command.turn or event["through_seq"]
            right = kind == "session.created" and event["command_id"] == command.id
            right = right and command.target in ("", target) and event["through_seq"] == through
        case "update":
            right = kind == "session.updated" and event["title"] == command.text and event["command_id"] == command.id
        case "erase":
            right = kind == "session.erased" and event["command_id"] == command.id
        case "state.set" | "state.clear":
            right = kind == "state.changed" and event["command_id"] == command.id
            right = right and event["state"] == {command.target: command.value}
        case _:
            right = _is_message(command, event)
    if not its or not right:
        raise Wrong(f"P1: {where} {command} led to {event}")


def _is_message(command: Command, event: dict[str, Any]) -> bool:
    kind = event["type"]
    if not kind.startswith("message.") or event["message_id"] != command.id or event.get("scheduled"):
        return False
    replaces = command.turn if command.kind == "edit" else 0
    same: bool = event.get("text") == command.text and event.get("replaces", 0) == replaces
    return same or kind == "message.refused"


def judge_edit(where: str, story: "Story", command: Command, told: "Told") -> None:
    """Was the edit taken or refused as it had to be? Raises Wrong."""
    seq = told.event["seq"]
    named = command.turn < seq and command.turn in story.past.messages
    back = story.past.took_back(command.turn, seq - 1)
    wanted = "no-such-message" if not named else "rewound" if back else "queue-full"
    code = told.event.get("code")
    if code != wanted and (code is not None or wanted != "queue-full"):
        raise Wrong(f"P1: {where} {command} led to {told.event}; edits: {story.past.edits}")


def could_follow(story: "Story", command: Command, seq: int, limits: Limits) -> bool:
    """Could a command that led to nothing have been followed right after event `seq`?"""
    match command.kind:
        case "cancel":
            return _names(story, command, seq)
        case "approve":
            return bool(seq) and story.told[seq - 1].parked == f"{command.text}#1"
        case "retry" | "regenerate":
            return _may_run_again(story, command, seq, limits.waiting_turns)
        case "erase":
            return is_idle(story, seq, command.since) if command.since else seq > 0
        case "fork":
            return seq > 0 and command.turn <= seq
        case "state.set" | "state.clear":
            held = story.told[seq - 1].held if seq else {}
            return may_write(held, command.target, command.value, command.over, limits.state_bytes)
        case _:
            return True


def _names(story: "Story", command: Command, seq: int) -> bool:
    """Does the cancel name a turn that is owed, or a message that waits?"""
    owed, later = (story.told[seq - 1].owed, story.told[seq - 1].later) if seq else ((), ())
    if command.turn:
        return command.turn in owed or command.turn in later
    if command.target:
        target = story.ids.get(command.target, 0)
        sent = story.waiting.sent.get(target, target)
        return 0 < target <= seq and (target in later or sent in owed)
    return bool(owed)


def _may_run_again(story: "Story", command: Command, seq: int, waiting_turns: int) -> bool:
    ends: dict[int, str] = {}
    last = 0
    for before, told in zip([()] + [one.owed for one in story.told[:seq]], story.told[:seq], strict=False):
        if told.event["type"].startswith("reply.") and told.event["turn"] in before:
            last = told.event["turn"]
            ends[last] = told.event["type"]
    turn = command.turn if command.kind == "retry" and command.turn else last
    if turn not in ends or (command.kind == "retry" and ends[turn] == "reply.completed"):
        return False
    owed = story.told[seq - 1].owed
    return turn not in owed and len(owed) <= waiting_turns and not story.past.took_back(turn, seq)
