"""What the console is told of a session's rows: the head with its fields named, and where each event stands."""

import pytest

from chatstream.core.ids import SessionId
from chatstream.table import rows
from tests.web.conftest import Client, problem_of, send
from tests.web.fake_desk import FakeDesk

ALICE = SessionId("alice")


async def test_events_are_told_with_offset_and_epoch_a_page_at_a_time(client: Client, desk: FakeDesk) -> None:
    table = desk.rows(ALICE)
    table.write([(rows.claim_key(0), b"1-abc"), (rows.claim_key(4), b"3-def"), (rows.claim_key(100), b"4-ghi")])
    for number in range(3):
        await send(client, f"text {number}")
        desk.end_turn(ALICE)
    async with client.get("/v1/console/sessions/alice") as answer:
        first = await answer.json()
    assert first["places"] == [  # the page of these tests is five
        {"seq": seq, "offset": seq - 1, "epoch": 1 if seq - 1 < 4 else 3} for seq in range(1, 6)
    ]
    async with client.get("/v1/console/sessions/alice?after=5") as answer:
        assert (await answer.json())["places"] == [{"seq": 6, "offset": 5, "epoch": 3}]
    async with client.get("/v1/console/sessions/alice?after=6") as answer:
        assert (await answer.json())["places"] == []


async def test_the_head_has_names(client: Client, desk: FakeDesk) -> None:
    desk.rows(ALICE).write([(rows.claim_key(0), b"1-abc")])
    for text in ("first", "second"):
        await send(client, text)
    async with client.get("/v1/console/sessions/alice") as answer:
        head = (await answer.json())["head"]
    assert head["running"]["turn"] == 1
    assert [owed["turn"] for owed in head["queue"]] == [2]
    assert head["last_input"] == {"generation": 0, "offset": 1}
    assert set(head) == set(rows.read_head(desk.rows(ALICE), ALICE).__struct_fields__)


async def test_a_session_that_nobody_heard_of_has_no_rows(client: Client) -> None:
    async with client.get("/v1/console/sessions/nobody") as answer:
        await problem_of(answer, 404, "no-such-session")


@pytest.mark.parametrize("after", ["-1", "x", "1" * 17])
async def test_a_place_is_asked_for_by_a_number(client: Client, after: str) -> None:
    async with client.get(f"/v1/console/sessions/alice?after={after}") as answer:
        await problem_of(answer, 400, "bad-parameter")
