"""The agent of the examples, for tests that kill its process: `--responder tests.stepping:Stepping`.

What its tools do is noted in the directory STEPPING. Booking hangs as long as there is no file `go`.
"""

import asyncio
import importlib
import os
from pathlib import Path
from typing import Any, Final

agent_with_steps: Any = importlib.import_module("examples.agent_with_steps")  # as users import it: it is in no package
PLACE: Final = Path(os.environ.get("STEPPING", "."))
NOTES: Final = PLACE / "notes"
GO: Final = PLACE / "go"

agent_with_steps.BOOK = PLACE / "bookings.jsonl"


def _note(what: str) -> None:
    with NOTES.open("a") as notes:
        notes.write(what + "\n")


def find_tables(key: str, people: int) -> Any:
    _note(f"find {key}")
    return agent_with_steps.find_tables(key, people)


async def book_table(key: str, table: str) -> Any:
    _note(f"book {key}")
    if not GO.exists():
        await asyncio.Event().wait()
    return agent_with_steps.book_table(key, table)


agent_with_steps.TOOLS = {"find_tables": find_tables, "book_table": book_table}

Stepping = agent_with_steps.Agent
