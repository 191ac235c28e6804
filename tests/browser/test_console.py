"""The console: what a session is doing, in turns, events and state, and what the node is doing."""

import asyncio

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
    await page.get_by_role("cell", name="reply.failed").wait_for()
    await page.get_by_role("link", name="State").click()
    await window.sees('"green"')
    await page.get_by_label("Key").fill("colour")
    await page.get_by_label("Value, as JSON").fill('"blue"')
    await page.get_by_role("button", name="Set").click()
    await window.sees('"blue"')
    assert get(f"{node.url}/v1/sessions/alice/state") == {"colour": "blue"}
    assert await window.grave_findings() == []
    await page.get_by_role("link", name="Dead letters").click()
    await window.sees("Every command so far could be taken.")
    await page.get_by_role("link", name="Node").click()
    await window.sees(f"Partitions served here: {PARTITIONS} of {PARTITIONS}")
    await page.get_by_role("link", name="alice").wait_for()
    assert await window.grave_findings() == []
    await window.picture("node")
