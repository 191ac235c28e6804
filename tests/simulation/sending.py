"""What clients of a simulated history send, as HTTP or as a producer makes it of the plan."""

import json

from msgspec.structs import replace

from chatstream.core.commands import (
    AnyCommand,
    Cancel,
    ClearState,
    Edit,
    Erase,
    Message,
    Regenerate,
    Retry,
    SetState,
    Update,
)
from chatstream.core.ids import MessageId, Seq
from tests.simulation.plan import GARBAGE, SEEN, Send
from tests.simulation.values import tag


def with_tag(send: Send, held: bytes | None) -> Send:
    """A write with the tag of what it is to go over. held: what is there now, as who has just read it knows."""
    if send.over == SEEN:
        return replace(send, over="" if held is None else tag(held))
    return send if send.over == "*" else replace(send, over=tag(send.over.encode()))


def command_of(send: Send) -> AnyCommand:
    """As HTTP makes it."""
    name = MessageId(send.message_id)
    match send.kind:
        case "cancel":
            return Cancel(command_id=name, turn=Seq(send.turn), message_id=MessageId(send.target))
        case "retry":
            return Retry(command_id=name, turn=Seq(send.turn))
        case "regenerate":
            return Regenerate(command_id=name)
        case "edit":
            return Edit(command_id=name, seq=Seq(send.turn), text=_text(send))
        case "update":
            return Update(command_id=name, title=_text(send))
        case "erase":
            return Erase(command_id=name)
        case "set":
            return SetState(command_id=name, key=send.key, value=json.loads(send.value), if_match=send.over)
        case "clear":
            return ClearState(command_id=name, key=send.key, if_match=send.over)
        case _:
            return Message(command_id=name, message_id=name, text=_text(send), on_busy=send.on_busy, delay_s=send.delay_s)


def _text(send: Send) -> str:
    return f"{send.number} {send.script}"


def record_of(send: Send) -> tuple[bytes | None, bytes | None]:
    """As a producer makes it: key and value."""
    if send.kind == "garbage":
        return GARBAGE[send.garbage]
    key = send.session.encode()
    if send.kind == "text":
        return key, _text(send).encode()
    id_name = "message_id" if send.kind == "json" else "command_id"
    return key, json.dumps(_fields(send) | ({id_name: send.message_id} if send.message_id else {})).encode()


def _fields(send: Send) -> dict[str, object]:
    match send.kind:
        case "cancel":
            return {"type": "cancel", "message_id": send.target, "turn": send.turn}
        case "approve":
            return {"type": "approve", "name": "ok", "decision": ("approved", "rejected")[send.number % 2]}
        case "edit":
            return {"type": "edit", "seq": send.turn, "text": _text(send)}
        case "fork":
            return {"type": "fork", "seq": send.turn, "id": send.target}
        case "update":
            return {"type": "update", "title": _text(send)}
        case "json":
            fields: dict[str, object] = {"type": "message", "text": _text(send), "on_busy": send.on_busy}
            return fields | ({"delay_s": send.delay_s} if send.delay_s else {})
        case "retry":
            return {"type": "retry", "turn": send.turn}
        case "set":
            return {"type": "state.set", "key": send.key, "value": json.loads(send.value), "if_match": send.over}
        case "clear":
            return {"type": "state.clear", "key": send.key, "if_match": send.over}
        case _:
            return {"type": send.kind}
