"""A conversation as the Messages API accepts it.

The API answers 400 to a blank text block, to a conversation that does not begin or end with the user, and to an
assistant's message that ends in thinking; one such message would fail the session's every later turn. So:

- blank text blocks are left out, and so are messages of which nothing is left;
- thinking at the end of an assistant's message (an answer cut off while it thought) is left out;
- other blocks go back exactly as they came: the API checks the signatures of thinking blocks;
- neighbours of the same role become one message, and what the assistant said before the first user's message is left out.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

from chatstream.core.errors import ResponderRefused
from chatstream.core.events import Blocks
from chatstream.respond import failures
from chatstream.respond.port import Said

Role = Literal["user", "assistant"]
ApiMessage = dict[str, Any]
"""`{"role": …, "content": [blocks]}`"""

THINKING: Final = frozenset({"thinking", "redacted_thinking"})


def messages_of(history: Sequence[Said], text: str, content: Blocks | None) -> list[ApiMessage]:
    """The history and the message to be answered (text, or content where there is more than text).

    Raises ResponderRefused when there is nothing to answer.
    """
    asked = _blocks("user", text, content)
    if not asked:
        raise ResponderRefused("the message is blank: the model accepts no such message", failure=failures.BAD_REQUEST)
    said = [(each.role, _blocks(each.role, each.text, each.content)) for each in history]
    return _merged([*said, ("user", asked)])


def messages_so_far(history: Sequence[Said]) -> list[ApiMessage]:
    """The history alone."""
    return _merged((each.role, _blocks(each.role, each.text, each.content)) for each in history)


def _merged(said: Iterable[tuple[Role, Blocks]]) -> list[ApiMessage]:
    messages: list[ApiMessage] = []
    for role, blocks in said:
        if not blocks or (role == "assistant" and not messages):
            continue
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"].extend(blocks)
        else:
            messages.append({"role": role, "content": blocks})
    return messages


def _blocks(role: Role, text: str, content: Blocks | None) -> Blocks:
    blocks = [block for block in content or [{"type": "text", "text": text}] if not _is_blank(block)]
    while role == "assistant" and blocks and blocks[-1].get("type") in THINKING:
        blocks.pop()
    return blocks


def _is_blank(block: dict[str, Any]) -> bool:
    return block.get("type") == "text" and not str(block.get("text") or "").strip()
