"""A memory library beside the model: the memory tool of the Anthropic SDK, its files kept in the session's state.

    cd examples
    ANTHROPIC_API_KEY=… chatstream up --responder with_memory:Rememberer

The model writes notes and reads them again when the conversation itself no longer fits its window. A memory library that
keeps a store of its own remembers twice when an attempt is repeated, and remembers what was never answered. `turn.state`
does neither: what the tool changes is recorded in the same event as the reply, or not at all.
"""

from collections.abc import AsyncIterator
from typing import Any

from anthropic import AsyncAnthropic, DefaultAioHttpClient
from anthropic.lib.tools import BetaAsyncAbstractMemoryTool, ToolError
from anthropic.types import beta as sdk

from chatstream.core.errors import ResponderError
from chatstream.respond.port import Reply, State, Turn


class StateMemory(BetaAsyncAbstractMemoryTool):
    """The tool's files as one JSON object in the session's state: {path: text}, 64 KiB in all."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state
        self._files: dict[str, str] = dict(state.get("memory", {}))

    async def view(self, command: sdk.BetaMemoryTool20250818ViewCommand) -> str:
        if command.path in self._files:
            return self._files[command.path]
        return "\n".join(["Files:", *(path for path in sorted(self._files) if path.startswith(command.path))])

    async def create(self, command: sdk.BetaMemoryTool20250818CreateCommand) -> str:
        return self._save(command.path, command.file_text)

    async def str_replace(self, command: sdk.BetaMemoryTool20250818StrReplaceCommand) -> str:
        text = self._text(command.path)
        if text.count(command.old_str) != 1:
            raise ToolError("old_str must be there exactly once")
        return self._save(command.path, text.replace(command.old_str, command.new_str))

    async def insert(self, command: sdk.BetaMemoryTool20250818InsertCommand) -> str:
        lines = self._text(command.path).split("\n")
        lines.insert(command.insert_line, command.insert_text)
        return self._save(command.path, "\n".join(lines))

    async def delete(self, command: sdk.BetaMemoryTool20250818DeleteCommand) -> str:
        return self._save(command.path, None)

    async def rename(self, command: sdk.BetaMemoryTool20250818RenameCommand) -> str:
        text = self._text(command.old_path)
        self._files.pop(command.old_path)
        return self._save(command.new_path, text)

    def _text(self, path: str) -> str:
        if path not in self._files:
            raise ToolError(f"{path} does not exist")
        return self._files[path]

    def _save(self, path: str, text: str | None) -> str:
        self._files = {**self._files, path: text} if text is not None else {p: t for p, t in self._files.items() if p != path}
        self._state.set("memory", self._files)
        return "Done."


class Rememberer:
    def __init__(self) -> None:
        self.client = AsyncAnthropic(http_client=DefaultAioHttpClient(), max_retries=0)

    async def respond(self, turn: Turn) -> AsyncIterator[str | Reply]:
        messages: list[Any] = [{"role": said.role, "content": said.text} for said in turn.history[-20:]]
        messages.append({"role": "user", "content": turn.text})
        runner = self.client.beta.messages.tool_runner(
            model="claude-haiku-5-5",
            max_tokens=4096,
            max_iterations=10,
            messages=messages,
            tools=[StateMemory(turn.state)],
            thread=False,
            stream=True,
        )
        try:
            async for stream in runner:
                async for event in stream:
                    if event.type == "text":
                        yield event.text
            answer = await runner.until_done()
        finally:
            await runner.close()  # a cancelled turn ends the call, too
        if answer.stop_reason is None:
            raise ResponderError("the answer was cut off")
        yield Reply(model=answer.model, stop_reason=answer.stop_reason, usage=answer.usage.to_dict(exclude_none=True))

    async def close(self) -> None:
        await self.client.close()
