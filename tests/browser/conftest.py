"""A node, and a browser that shows its pages: Debian's Chromium, headless. What the pages complain of fails the test."""

import os
import shutil
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

from tests.nodes import NodeProcess, Nodes

PARTITIONS: Final = 4
WAIT_MS: Final = 20_000
PICTURES: Final = Path(os.environ.get("CHATSTREAM_PICTURES", "build/pictures"))
"""Where screenshots are kept."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One browser at a time: two would fight for the two cores that a machine may have."""
    for item in items:
        if "tests/browser/" in item.nodeid:
            item.add_marker(pytest.mark.xdist_group("browser"))


def chromium() -> str:
    """The browser's path; skips the test where there is none, and fails it in continuous integration."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("there is no chromium here: apt-get install chromium")
    if found is None:
        pytest.skip("there is no chromium here: apt-get install chromium")
    return found


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    path = chromium()
    async with async_playwright() as playwright:
        # Its own sandbox needs rights that a container does not give.
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        await browser.close()


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[NodeProcess]:
    """A node on the embedded log with the model that needs no key."""
    chromium()
    with Nodes(tmp_path, "", "--partitions", str(PARTITIONS)) as nodes:
        node = nodes.add(responder="offline")
        await node.serves(PARTITIONS)
        yield node


class Window:
    """A window of the browser, on the chat of a node."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._heard)

    def _heard(self, message: ConsoleMessage) -> None:
        # A node that is down is part of some tests: a request that fails is no complaint of the page's.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    async def go(self, path: str = "/") -> "Window":
        await self.page.goto(self.url + path)
        return self

    async def say(self, text: str) -> None:
        await self.page.fill("#composer", text)
        await self.page.press("#composer", "Enter")

    async def sees(self, text: str) -> None:
        """Wait until the text is on the page."""
        await self.page.get_by_text(text).first.wait_for()

    async def replies(self, count: int) -> None:
        """Wait until so many answers are recorded and shown."""
        await self.page.locator("article.is-reply[id]").nth(count - 1).wait_for()

    async def shown(self) -> list[str]:
        """What the conversation says, message by message."""
        return await self.page.locator("article.message .bubble, article.message .markdown").all_inner_texts()

    async def picture(self, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=PICTURES / f"{name}.png")

    async def grave_findings(self) -> list[str]:
        """What axe-core calls serious or critical on what is shown now."""
        await self.page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text())
        found = await self.page.evaluate("() => axe.run()")
        return [
            f"{one['id']}: {one['help']}: {[node['html'][:120] for node in one['nodes'][:3]]}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]


@pytest.fixture
async def context(browser: Browser) -> BrowserContext:
    return await browser.new_context(viewport={"width": 1280, "height": 800})


@pytest.fixture
async def window(context: BrowserContext, node: NodeProcess) -> AsyncIterator[Window]:
    """One window; a second of the same browser is `Window(await context.new_page(), node.url)`."""
    window = Window(await context.new_page(), node.url)
    yield window
    assert window.complaints == []
