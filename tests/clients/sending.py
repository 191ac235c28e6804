"""Turns of a conversation, for those who read along."""

import asyncio
from urllib.request import Request, urlopen

SEND_S = 60.0


async def converse(url: str, session: str, turns: int) -> int:
    """So many messages, each answered before the next; how many there were."""
    for number in range(turns):
        await asyncio.to_thread(_ask, f"{url}/v1/sessions/{session}/messages", f"question {number}")
    return turns


def _ask(url: str, text: str) -> None:
    headers = {"Content-Type": "text/plain", "Prefer": "wait=50"}
    with urlopen(Request(url, text.encode(), headers), timeout=SEND_S) as response:
        assert response.status == 200, response.read()
