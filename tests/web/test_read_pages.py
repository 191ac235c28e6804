"""Pages that are answered from memory: never an old one, and no more of them than there is room for."""

from typing import Any

from chatstream.core.ids import PartitionNo, Seq, SessionId
from chatstream.table.memory import MemoryTableStore
from chatstream.web.read_pages import PAGE_OVERHEAD_BYTES, Asked, ReadPages
from tests.web.conftest import Client, send
from tests.web.fake_desk import FakeDesk

ALICE = SessionId("alice")
TABLE, OTHER = (MemoryTableStore().open(PartitionNo(0)) for _ in range(2))
MESSAGES = "/v1/sessions/alice/messages"


def asked(limit: int) -> Asked:
    return Asked(ALICE, limit, None, None)


def test_a_page_is_found_as_long_as_nothing_has_happened_in_the_same_table() -> None:
    pages = ReadPages(10_000)
    pages.keep(asked(1), TABLE, Seq(4), b"page")
    assert pages.find(asked(1), TABLE, Seq(4)) == b"page"
    assert pages.find(asked(2), TABLE, Seq(4)) is None
    assert pages.find(asked(1), TABLE, Seq(5)) is None
    assert len(pages) == 0  # it is of no more use
    pages.keep(asked(1), TABLE, Seq(4), b"page")
    assert pages.find(asked(1), OTHER, Seq(4)) is None


def test_as_many_bytes_as_the_limit_are_kept_and_one_past_it_lets_go_what_was_asked_for_longest_ago() -> None:
    pages = ReadPages(2 * PAGE_OVERHEAD_BYTES + 20)
    pages.keep(asked(1), TABLE, Seq(1), b"x" * 10)
    pages.keep(asked(2), TABLE, Seq(1), b"x" * 10)
    assert len(pages) == 2
    assert pages.find(asked(1), TABLE, Seq(1)) is not None
    pages.keep(asked(2), TABLE, Seq(2), b"x" * 10)  # in place of the one before
    assert len(pages) == 2
    pages.keep(asked(2), TABLE, Seq(3), b"x" * 11)
    assert pages.find(asked(1), TABLE, Seq(1)) is None
    assert pages.find(asked(2), TABLE, Seq(3)) is not None
    pages.keep(asked(3), TABLE, Seq(3), b"x" * 10_000)
    assert len(pages) == 0


async def test_who_asks_twice_gets_the_same_and_after_an_event_what_is_new(client: Client, desk: FakeDesk) -> None:
    await send(client, "one")
    first = await _page(client)
    assert await _page(client) == first
    desk.end_turn(ALICE, "answer")
    second = await _page(client)
    assert [item["text"] for item in second["data"]] == ["one", "answer"]
    assert second["data"][0]["status"] == "answered"
    assert second["offset"] != first["offset"]


async def _page(client: Client) -> Any:
    async with client.get(MESSAGES) as answer:
        assert answer.status == 200
        return await answer.json()
