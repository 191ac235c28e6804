"""An answer of the Messages API, put together from the events of its stream.

The SDK can do this, too, at 150 µs a word against 28 µs here (400 words, SDK 2.12): it makes typed objects of each event
and a new snapshot for each. All sessions of a node share one event loop, so it counts. And blocks stay exactly what the
service sent, with fields that the SDK does not know yet.
"""

from typing import Any

from chatstream.core.events import Blocks, Usage

Event = dict[str, Any]


class Answer:
    """model, stop_reason, usage and content as far as they have come. finished: the last event was seen.

    A stream that just ends has stopped in the middle: only a finished answer is one.
    """

    def __init__(self) -> None:
        self.model = ""
        self.stop_reason: str | None = None
        self.usage: Usage = {}
        self.finished = False
        self._blocks: dict[int, dict[str, Any]] = {}

    @property
    def content(self) -> Blocks:
        return [self._blocks[index] for index in sorted(self._blocks)]

    def take(self, event: Event) -> str | None:
        """One event. New text; an empty one for thinking; None for the rest, events of unknown types among it.

        Raises LookupError, AttributeError, TypeError or ValueError where the event is not of the shape it must be.
        """
        match event["type"]:
            case "message_start":
                self.model = event["message"]["model"]
                self._charge(event["message"]["usage"])
            case "content_block_start":
                block = self._blocks[event["index"]] = dict(event["content_block"])
                begun: str | None = block.get("text")
                return begun or None
            case "content_block_delta":
                return _grow(self._blocks[event["index"]], event["delta"])
            case "message_delta":
                self.stop_reason = event["delta"]["stop_reason"]
                self._charge(event["usage"])
            case "message_stop":
                self.finished = self.stop_reason is not None and bool(self.model)
        return None

    def _charge(self, usage: Usage) -> None:
        # Counts are totals, so later ones replace earlier ones; null says "not applicable" and replaces nothing.
        self.usage = self.usage | {name: count for name, count in usage.items() if count is not None}


def _grow(block: dict[str, Any], delta: dict[str, Any]) -> str | None:
    match delta["type"]:
        case "text_delta":
            text: str = delta["text"]
            block["text"] += text
            return text
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
            return ""
        case "signature_delta":
            block["signature"] = delta["signature"]
        case "citations_delta":
            block["citations"] = [*(block.get("citations") or []), delta["citation"]]
    return None
