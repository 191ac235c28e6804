"""The model's service goes away, for moments and for long, and comes back."""

import asyncio
from pathlib import Path
from typing import Final

import pytest

from dev.ports import free_ports
from tests.checking.checker import Checker, check
from tests.checking.raw import lag, read_kafka
from tests.fake_messages_api import FakeMessagesApi
from tests.load import KafkaSender, numbered, tally
from tests.nodes import Nodes
from tests.scale import full_only
from tests.until import until

PARTITIONS: Final = 16
SESSIONS: Final = 30
MOMENT_S: Final = 2.0
LONG_S: Final = 150.0
LIMITS: Final = ("--limit", "attempts=6", "--limit", "retry_first_s=0.4", "--limit", "retry_most_s=2", "--limit", "turn_s=60")
"""Some four seconds of trying again, or up to ten: longer than a moment, shorter than long."""

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]


@full_only
async def test_a_moment_without_the_model_fails_nothing_and_a_long_one_stops_nothing(tmp_path: Path, broker: str) -> None:
    sender, api, (port,) = KafkaSender(broker), FakeMessagesApi(), free_ports(1)
    env = {"ANTHROPIC_API_KEY": "none", "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}"}
    with Nodes(tmp_path, broker, *LIMITS) as nodes:
        nodes.add(responder="anthropic", env=env)
        await nodes.serve(PARTITIONS)
        async with tally(broker) as answered:
            async with api.serve(port):
                await sender.send(numbered(SESSIONS, SESSIONS))
                await answered.reaches(SESSIONS, 60, nodes.tails)
            await sender.send(numbered(SESSIONS, SESSIONS))
            await asyncio.sleep(MOMENT_S)
            async with api.serve(port):
                await answered.reaches(2 * SESSIONS, 60, nodes.tails)
            await sender.send((session, f"unlucky {text}") for session, text in numbered(SESSIONS, SESSIONS))
            await answered.reaches(3 * SESSIONS, 60 + LONG_S, nodes.tails)
            await sender.send(numbered(SESSIONS, SESSIONS))
            async with api.serve(port):
                await answered.reaches(4 * SESSIONS, 60, nodes.tails)
                await sender.send(numbered(SESSIONS, SESSIONS))
                await answered.reaches(5 * SESSIONS, 60, nodes.tails)
        await until(lambda: lag(broker) == 0, 30, "nothing is left to be read", nodes.tails)
        checker = check(read_kafka(broker), sender.sent)
        nodes.check_calm()
    assert checker.report.answered == 5 * SESSIONS
    judge(checker)


def judge(checker: Checker) -> None:
    """Who was unlucky failed, by name and after as many attempts as are allowed; all others were answered whole."""
    for events in checker.history.values():
        asked = {event.fields["seq"]: event.fields["text"] for event in events if event.type == "message.accepted"}
        for event in events:
            if event.type == "reply.failed":
                assert asked[event.fields["turn"]].startswith("unlucky")
                assert event.fields["code"] == "model-unreachable"
            elif event.type == "reply.completed":
                assert event.fields["text"] == f"You said: {asked[event.fields['turn']]} ✓ "
