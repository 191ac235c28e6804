"""The console: what a session is doing, in turns, events and state, and what the node is doing."""

import asyncio
from typing import Any

from playwright.async_api import Browser

from tests.browser.conftest import PARTITIONS, Window
from tests.browser.test_chat import get, post
from tests.nodes import NodeProcess


async def test_the_console_tells_what_a_session_is_doing(window: Window, node: NodeProcess) -> None:
    url = f"{node.url}/v1/sessions/alice/messages"
    await asyncio.to_thread(post, url, {"text": "/remember colour green"}, True)
    await asyncio.to_thread(post, url, {"text": "/fail permanent"}, True)
    await asyncio.to_thread(post, url, {"text": "/slow 120"})
    page = (await window.go("/console")).page
    await page.get_by_label("Status").select_option("running")
    await page.get_by_role("link", name="alice").click()
    await window.sees("bad-request")
    await window.sees("attempt 1")
    assert await window.grave_findings() == []
    await window.picture("console")
    await page.get_by_role("link", name="Events").click()
    failed = page.get_by_role("row").filter(has=page.get_by_role("cell", name="reply.failed"))
    place = next(one for one in get(f"{node.url}/v1/console/sessions/alice")["places"] if one["seq"] == 4)
    assert place["epoch"] == 1
    await failed.get_by_role("cell", name=str(place["offset"]), exact=True).first.wait_for()
    assert await window.grave_findings() == []
    await page.get_by_role("link", name="Conversation").click()
    await page.get_by_role("cell", name="/fail permanent").wait_for()
    assert await window.grave_findings() == []
    await page.get_by_role("link", name="State").click()
    await window.sees('"green"')
    await page.get_by_label("Key").fill("colour")
    await page.get_by_label("Value, as JSON").fill('"blue"')
    await page.get_by_role("button", name="Set").click()
    await window.sees('"blue"')
    assert get(f"{node.url}/v1/sessions/alice/state") == {"colour": "blue"}
    await page.get_by_role("cell", name="last_input").wait_for()
    await page.get_by_role("row").filter(has_text="title").get_by_role("button", name="Change").first.click()
    await page.get_by_label("New title").fill("The colours")
    assert await window.grave_findings() == []
    await page.get_by_role("button", name="Save title").click()
    await page.get_by_role("heading", name="The colours").wait_for()
    await page.get_by_role("link", name="Dead letters").click()
    await window.sees("Every command so far could be taken.")
    await page.get_by_role("link", name="Nodes").click()
    await window.sees(f"Partitions served: {PARTITIONS} of {PARTITIONS}")
    await page.get_by_role("row").filter(has=page.get_by_role("link", name="alice")).wait_for()
    assert await window.grave_findings() == []
    await window.picture("node")


def event(seq: int, kind: str, at_s: int, **more: Any) -> dict[str, Any]:
    return {"type": kind, "seq": seq, "time": f"2026-01-01T00:00:{at_s:02}Z", **more}


async def test_a_turns_line_says_how_long_it_waited_ran_and_was_parked(window: Window) -> None:
    events = [
        event(1, "message.accepted", 0, turn=1, text="first"),
        event(2, "message.accepted", 1, turn=2, text="second"),
        event(3, "message.accepted", 2, turn=3, text="urgent", on_busy="interrupt"),
        event(4, "reply.cancelled", 3, turn=1, attempts=1),
        event(5, "approval.requested", 5, turn=3),
        event(6, "approval.decided", 25, turn=3),
        event(7, "step.completed", 26, turn=3),
        event(8, "reply.completed", 27, turn=3, attempts=2),
        event(9, "reply.failed", 30, turn=2, attempts=5, code="timeout"),
        event(10, "turn.restarted", 40, turn=2),
    ]
    base = (await (await window.go("/console")).page.locator("script[type=module]").get_attribute("src") or "").rpartition("/")[
        0
    ]
    turns = await window.page.evaluate(
        "([module, events, nowMs]) => import(module).then(({ turnsOf }) => turnsOf(events, nowMs))",
        [f"{base}/turns.js", events, 1_767_225_650_000],  # 00:00:50
    )
    spans = [[(span["kind"], (span["toMs"] - span["fromMs"]) / 1000) for span in turn["spans"]] for turn in turns]
    assert spans == [
        [("runs", 3)],
        [("waits", 26), ("runs", 3), ("runs", 10)],
        [("waits", 1), ("runs", 2), ("parked", 20), ("runs", 2)],
    ]
    assert [(turn["end"], turn["attempts"], turn["steps"]) for turn in turns] == [
        ("cancelled", 1, 0),
        ("open", 5, 0),
        ("completed", 2, 1),
    ]


async def test_the_console_shows_the_partitions_of_every_node(window: Window) -> None:
    def one(partition: int, state: str, **more: Any) -> dict[str, Any]:
        blank = {"node": "", "url": "", "epoch": 0, "position": -1, "lag": 0, "folded": 0, "end": 0, "detail": ""}
        return {"partition": partition, "state": state, **blank, **more}

    cluster = {
        "node": "node-a",
        "of": 4,
        "nodes": [{"node": f"node-{name}", "url": f"http://{name}.example", "serves": 1} for name in "ab"],
        "partitions": [
            one(0, "active", node="node-a", url="http://a.example", epoch=7, position=1234, lag=5),
            one(1, "restoring", node="node-b", url="http://b.example", epoch=2, folded=250, end=1000),
            one(2, "refused", node="node-b", url="http://b.example", detail="chat.messages was made again"),
            one(3, "unknown", url="http://c.example"),
        ],
    }
    page = window.page
    await page.route("**/v1/cluster", lambda route: route.fulfill(json=cluster))
    await (await window.go("/console/node")).sees("Partitions served: 1 of 4")
    for told in ("7", "1234", "250 of 1,000", "chat.messages was made again", "http://c.example"):
        await page.get_by_role("cell", name=told).first.wait_for()
    assert await page.get_by_role("progressbar").evaluate("(bar) => bar.value") == 0.25
    assert await page.get_by_role("link", name="http://b.example").get_attribute("href") == "http://b.example/console/node"
    assert await window.grave_findings() == []
    await window.picture("nodes")


async def test_the_console_fits_a_phone(browser: Browser, node: NodeProcess) -> None:
    await asyncio.to_thread(post, f"{node.url}/v1/sessions/alice/messages", {"text": "/md"}, True)
    context = await browser.new_context(viewport={"width": 390, "height": 780}, color_scheme="dark", has_touch=True)
    window = Window(await context.new_page(), node.url)
    views = {"/console": "alice", "/console/node": "Calls of the model", "/console/sessions/alice/events": "A sample of"}
    for path, shown in views.items():
        await (await window.go(path)).sees(shown)
        assert await window.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), path
        assert await window.grave_findings() == []
    assert window.complaints == []
