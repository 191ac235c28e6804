"""An agent with two tools that goes on where it was when its process dies: each call of the model and of a tool is a step.

    cd examples
    ANTHROPIC_API_KEY=… chatstream up --responder agent_with_steps:Agent

Kill the node between two tools and start it again: what the model said and what the first tool did is recorded, and the
agent continues with the second. Of a tool whose process died after the deed and before its record, the call is repeated
with the same key: whoever books the table sees by it that it is the same booking.
"""

import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

from anthropic import AsyncAnthropic, DefaultAioHttpClient

from chatstream.core.errors import ResponderError
from chatstream.respond.port import Reply, Step, Turn

ROUNDS_MOST = 10
BOOK = Path("bookings.jsonl")  # stands for the restaurant's own system


def find_tables(_key: str, people: int) -> list[dict[str, Any]]:
    return [{"table": "window", "seats": people}, {"table": "garden", "seats": people + 2}]


def book_table(key: str, table: str) -> str:
    booked = [json.loads(line) for line in BOOK.read_text().splitlines()] if BOOK.exists() else []
    if all(booking["key"] != key for booking in booked):
        with BOOK.open("a") as book:
            book.write(json.dumps({"key": key, "table": table}) + "\n")
    return f"The table at the {table} is booked."


TOOLS: dict[str, Callable[..., Any]] = {"find_tables": find_tables, "book_table": book_table}
TOLD: list[Any] = [
    {
        "name": "find_tables",
        "description": "Which tables are free tonight?",
        "input_schema": {"type": "object", "properties": {"people": {"type": "integer"}}, "required": ["people"]},
    },
    {
        "name": "book_table",
        "description": "Book a table for tonight.",
        "input_schema": {"type": "object", "properties": {"table": {"type": "string"}}, "required": ["table"]},
    },
]


class Agent:
    def __init__(self) -> None:
        self.client = AsyncAnthropic(http_client=DefaultAioHttpClient(), max_retries=0)

    async def respond(self, turn: Turn) -> AsyncIterator[str | Reply]:
        messages: list[Any] = [{"role": said.role, "content": said.text} for said in turn.history[-20:]]
        messages.append({"role": "user", "content": turn.text})
        spent = {"input_tokens": 0, "output_tokens": 0}
        for _ in range(ROUNDS_MOST):
            answer = await turn.step("model", partial(self._ask, messages))
            spent = {name: count + answer["usage"][name] for name, count in spent.items()}
            for block in answer["content"]:
                if block["type"] == "text":
                    yield block["text"]
            asked = [block for block in answer["content"] if block["type"] == "tool_use"]
            if not asked:
                yield Reply(model=answer["model"], stop_reason=answer["stop_reason"], usage=spent)
                return
            results = [await self._use(turn, block) for block in asked]
            messages += [{"role": "assistant", "content": answer["content"]}, {"role": "user", "content": results}]
        raise ResponderError(f"no answer after {ROUNDS_MOST} rounds of tools")

    async def _ask(self, messages: list[Any]) -> dict[str, Any]:
        async with self.client.messages.stream(
            model="claude-haiku-5-5", max_tokens=4096, messages=messages, tools=TOLD
        ) as stream:
            answer = await stream.get_final_message()
        if answer.stop_reason is None:
            raise ResponderError("the answer was cut off")
        return answer.to_dict(exclude_none=True, mode="json")

    async def _use(self, turn: Turn, asked: dict[str, Any]) -> dict[str, Any]:
        def use(step: Step) -> Any:
            return TOOLS[asked["name"]](step.key, **asked["input"])

        result = await turn.step(asked["name"], use)
        return {"type": "tool_result", "tool_use_id": asked["id"], "content": json.dumps(result)}

    async def close(self) -> None:
        await self.client.close()
