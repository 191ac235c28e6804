"""The chat in a headless Chromium on the same cores as the node: how soon it is there, and whether it ever stands still."""

import asyncio
import shutil
from typing import Any, Final

from aiohttp import ClientSession
from playwright.async_api import Browser, Page, async_playwright

from benchmarks.rig import Row, node
from tests.nodes import NodeProcess

WAIT_MS: Final = 120_000
SCROLL_MS: Final = 8_000

WATCH: Final = """
addEventListener("DOMContentLoaded", () => new MutationObserver((_, self) => {
  if (document.querySelector("#composer")) { window.usableMs = performance.now(); self.disconnect(); }
}).observe(document, { childList: true, subtree: true }));
"""
FRAMES: Final = """
(forMs) => new Promise((done) => {
  const gaps = []; const scroller = document.querySelector(".scroller"); const began = performance.now(); let last = began;
  const frame = (now) => {
    gaps.push(now - last); last = now;
    if (forMs > 0) scroller.scrollTop -= 60;
    if (forMs > 0 ? now - began < forMs : document.querySelector("[aria-busy]")) requestAnimationFrame(frame);
    else done(gaps.slice(1).sort((a, b) => a - b));
  };
  requestAnimationFrame(frame);
})
"""


async def pages(_: str, quick: bool) -> list[Row]:
    """First paint, a long conversation scrolled upwards, and an answer of 1,000 pieces a second."""
    path = shutil.which("chromium")
    if path is None:
        return [Row("the chat in a browser", "not measured: no chromium here")]
    async with async_playwright() as playwright, node("", responder="benchmarks.stub:pieces") as process:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            return [
                *await _opening(browser, process, 3 if quick else 10),
                await _scrolling(browser, process, 200 if quick else 2_500),
                await _streaming(browser, process),
            ]
        finally:
            await browser.close()


async def _opening(browser: Browser, process: NodeProcess, times: int) -> list[Row]:
    paints, usables = [], []
    for _ in range(times):
        page = await _page(browser)
        await page.goto(process.url)
        await page.locator("#composer").wait_for()
        paints.append(await page.evaluate("() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1"))
        usables.append(await page.evaluate("() => window.usableMs"))
        await page.context.close()
    return [
        Row("chat: first paint, nothing cached, median", f"{sorted(paints)[times // 2]:.0f} ms", "", "1,000 ms"),
        Row("chat: page usable, nothing cached, median", f"{sorted(usables)[times // 2]:.0f} ms", "", "1,500 ms"),
    ]


async def _page(browser: Browser) -> Page:
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    page = await context.new_page()
    page.set_default_timeout(WAIT_MS)
    await page.add_init_script(WATCH)
    return page


async def _scrolling(browser: Browser, process: NodeProcess, turns: int) -> Row:
    await _grow(process, "long", turns)
    page = await _page(browser)
    await page.goto(f"{process.url}/s/long")
    await page.locator("article.is-reply[id]").first.wait_for()
    gaps: list[float] = await page.evaluate(FRAMES, SCROLL_MS)
    return Row(f"chat: frames while {2 * turns:,} messages are scrolled upwards", _told(gaps), "", "p99 50 ms")


async def _grow(process: NodeProcess, session: str, turns: int) -> None:
    gate = asyncio.Semaphore(50)

    async def one(client: ClientSession) -> None:
        async with gate, client.post(f"/v1/sessions/{session}/messages", data="## A question\n\nWith a *few* words."):
            pass

    async with ClientSession(process.url, headers={"Content-Type": "text/plain"}) as client:
        await asyncio.gather(*(one(client) for _ in range(turns)))
        async with client.post(f"/v1/sessions/{session}/messages", data="x", headers={"Prefer": "wait=55"}):
            pass


async def _streaming(browser: Browser, process: NodeProcess) -> Row:
    page = await _page(browser)
    await page.goto(f"{process.url}/s/stream")
    await page.fill("#composer", "pieces")
    await page.press("#composer", "Enter")
    await page.locator("[aria-busy]").wait_for()
    gaps: list[float] = await page.evaluate(FRAMES, 0)
    return Row("chat: frames while an answer comes at 1,000 pieces/s", _told(gaps), "", "none above 200 ms")


def _told(gaps: list[Any]) -> str:
    if not gaps:
        return "no frames"
    return f"p50 {gaps[len(gaps) // 2]:.0f} ms, p99 {gaps[int(len(gaps) * 0.99)]:.0f} ms, longest {gaps[-1]:.0f} ms"
