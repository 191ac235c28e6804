"""Server-sent events, read one by one."""

import asyncio
import json
from typing import Any

from aiohttp import ClientResponse


class Frames:
    """Reads a stream frame by frame. retries: what the stream said of when to connect again, in milliseconds."""

    def __init__(self, answer: ClientResponse) -> None:
        self._answer = answer
        self.retries: list[int] = []

    async def next(self) -> tuple[str, Any, str]:
        """(event, data, id) of the next frame; a comment is no event and its text stands for the id; `end` at the end."""
        async with asyncio.timeout(10):
            lines: dict[str, str] = {}
            while line := (await self._answer.content.readline()).decode():
                if line != "\n":
                    name, _, value = line.rstrip("\n").partition(": ")
                    assert name not in lines
                    lines[name] = value
                elif "retry" in lines:
                    self.retries.append(int(lines.pop("retry")))
                    assert not lines
                else:
                    data = json.loads(lines["data"]) if "data" in lines else None
                    return lines.get("event", ""), data, lines.get("id", lines.get("", ""))
        assert not lines
        return "end", None, ""

    async def data(self) -> Any:
        """What the next frame that is no comment carries; None at the end."""
        while True:
            event, data, _ = await self.next()
            if data is not None or event == "end":
                return data

    async def told(self, count: int) -> list[Any]:
        """The same of so many."""
        return [await self.data() for _ in range(count)]
