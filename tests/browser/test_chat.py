"""The chat as a person uses it: every action, two windows in step, a node that dies, hostile text, a long conversation."""

import asyncio
import json
import re
import urllib.request
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, BrowserContext

from tests.browser.conftest import PARTITIONS, Window, chromium
from tests.nodes import NodeProcess, Nodes

HOSTILE: Final = """
<img src=x onerror="window.broken=1"><script>window.broken=2</script>
[a link](javascript:window.broken=3) <svg onload="window.broken=4"></svg>
<a href="https://example.org" onclick="window.broken=5">b</a> <iframe src="javascript:parent.broken=6"></iframe>
![picture](https://example.org/spy.png)
<form action=x><button>c</button></form> <details open ontoggle="window.broken=7">d</details>
<style>body{display:none}</style><div style="position:fixed">e</div>
<details><summary>f</summary><br><sub onclick="window.broken=8">g</sub>
"""


def post(url: str, body: dict[str, Any], wait: bool = False) -> Any:
    headers = {"Content-Type": "application/json"} | ({"Prefer": "wait=30"} if wait else {})
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


async def test_a_first_conversation(window: Window) -> None:
    await (await window.go()).sees("What is on your mind?")
    assert await window.grave_findings() == []
    await window.page.locator(".pick").first.click()
    await window.replies(1)
    assert window.page.url.startswith(f"{window.url}/s/chat-")
    code = window.page.locator(".code-block").first
    assert "def greet" in await code.inner_text()
    await code.locator(".code-copy").click()
    await code.get_by_text("Copied").wait_for()
    await window.page.locator(".session.is-current").wait_for()
    assert await window.grave_findings() == []
    await window.picture("chat")


async def test_every_action(window: Window) -> None:
    page = (await window.go()).page
    await window.say("hello there")
    await window.replies(1)
    await page.get_by_label("Answer again").click()
    await window.sees("2 of 2")
    await page.get_by_label("The version before").click()
    await window.sees("1 of 2")
    await window.say("/fail permanent")
    await window.sees("This was not answered")
    await page.get_by_role("button", name="Try again").click()
    await window.sees("2 of 2")
    await window.say("/slow 60")
    await page.get_by_text("w1", exact=True).wait_for()
    await window.say("waits in line")
    await window.sees("Next in line")
    assert await window.grave_findings() == []
    await page.get_by_text("Take back").click()
    await window.sees("Stopped before a word was said.")
    await page.get_by_label("Stop the answer").click()
    await window.sees("Stopped here.")
    await page.press("#composer", "ArrowUp")
    await window.sees("Sending takes the conversation back")
    await window.say("said otherwise")
    await window.sees("You said: said otherwise")
    await page.get_by_label("Fork from here").last.click()
    await window.sees("A fork of")
    await page.get_by_label("More about this conversation").click()
    await page.get_by_role("menuitem", name="Erase for good").click()
    await page.get_by_role("button", name="Erase", exact=True).click()
    await window.sees("What is on your mind?")


async def test_the_list_tells_what_is_unread_and_is_searched(window: Window, node: NodeProcess) -> None:
    page = (await window.go()).page
    await window.say("about clouds")
    await window.replies(1)
    await asyncio.to_thread(post, f"{node.url}/v1/sessions/bob/messages", {"text": "about rivers"}, True)
    rivers = page.locator(".session", has_text="about rivers")
    await rivers.and_(page.locator(".is-unread")).wait_for()
    await page.get_by_label("Search titles").fill("clou")
    await rivers.wait_for(state="detached")
    await page.locator(".session", has_text="about clouds").wait_for()
    await page.get_by_label("Search titles").fill("")
    await rivers.click()
    await window.sees("You said: about rivers")
    assert page.url == f"{window.url}/s/bob"
    await rivers.and_(page.locator(":not(.is-unread)")).wait_for()


async def test_a_message_for_later_is_shown_and_taken_back(window: Window) -> None:
    page = (await window.go()).page
    await page.get_by_label("Send later").click()
    await page.get_by_role("button", name="In an hour").click()
    await window.say("remind me")
    await window.sees("Will be sent")
    await page.get_by_text("Take back").click()
    await window.sees("Taken back before it was sent")


async def test_what_is_being_retried_is_told(window: Window) -> None:
    await window.go()
    await window.say("/fail transient 2")
    # The first wait may be over in a moment; the second is longer.
    await window.page.get_by_text(re.compile("Attempt [12] failed")).wait_for()
    await window.sees("I answered at attempt 3")


async def test_windows_stay_in_step_while_the_node_dies_and_comes_back(
    window: Window, browser: Browser, context: BrowserContext, node: NodeProcess
) -> None:
    await window.go("/s/alice")
    beside = await Window(await context.new_page(), node.url).go("/s/alice")
    elsewhere = await Window(await (await browser.new_context()).new_page(), node.url).go("/s/alice")
    windows = [window, beside, elsewhere]
    await window.say("first")
    for one in windows:
        await one.replies(1)
    await beside.say("/slow 6")
    for one in windows:
        await one.page.get_by_text("w1", exact=False).last.wait_for()
    node.kill9()
    await elsewhere.say("while it was gone")
    await elsewhere.sees("Trying again by itself.")
    await elsewhere.page.fill("#composer", "a draft")
    await window.sees("Reconnecting")
    node.start()
    await node.serves(PARTITIONS)
    for one in windows:
        await one.replies(3)
    items = get(f"{node.url}/v1/sessions/alice/messages")["data"]
    recorded = [item["text"] for item in sorted(items, key=lambda item: (item["turn"], item["seq"]))]
    assert recorded[0::2] == ["first", "/slow 6", "while it was gone"]
    for one in windows:
        assert await one.shown() == recorded
        assert one.complaints == []
    await elsewhere.page.reload()
    await elsewhere.replies(3)
    assert await elsewhere.page.input_value("#composer") == "a draft"


async def test_more_windows_than_a_browser_has_connections(window: Window, context: BrowserContext, node: NodeProcess) -> None:
    windows = [window] + [Window(await context.new_page(), node.url) for _ in range(7)]
    for number, one in enumerate(windows):
        await one.go(f"/s/window-{number}")
    for number, one in enumerate(windows):
        await one.say(f"from {number}")
    for number, one in enumerate(windows):
        await one.sees(f"You said: from {number}")
        assert one.complaints == []


async def test_a_decision_is_asked_for_and_given(browser: Browser, tmp_path: Path) -> None:
    chromium()
    with Nodes(tmp_path, "", "--partitions", str(PARTITIONS)) as nodes:
        node = nodes.add(responder="examples.asks_a_person:respond")
        await node.serves(PARTITIONS)
        window = await Window(await (await browser.new_context()).new_page(), node.url).go()
        await window.say("buy 3 lamps")
        await window.sees("A decision is needed: purchase")
        assert await window.grave_findings() == []
        await window.page.get_by_label("Comment").fill("with a green shade")
        await window.page.get_by_role("button", name="Approve").click()
        await window.sees("Bought: 3 × lamp")
        assert window.complaints == []


async def test_no_text_becomes_a_script(window: Window, node: NodeProcess) -> None:
    asked: list[str] = []
    window.page.on("request", lambda request: asked.append(request.url))
    url = f"{node.url}/v1/sessions/mallory/messages"
    pieces = HOSTILE.strip().splitlines()
    for piece in pieces:  # one by one: the model repeats the first 200 characters only
        await asyncio.to_thread(post, url, {"text": piece}, True)
    await window.go("/s/mallory")
    await window.replies(len(pieces))
    answer = window.page.locator("article.is-reply .markdown")
    for tag in ("script", "svg", "iframe", "form", "style", "img", "[style]", "[onclick]", "[onerror]", '[href^="javascript"]'):
        assert await answer.locator(tag).count() == 0, tag
    assert await answer.get_by_text("picture").get_attribute("href") == "https://example.org/spy.png"
    assert await window.page.evaluate("() => window.broken") is None
    assert [url for url in asked if not url.startswith((node.url, "data:"))] == []


GROWS: Final = """Some words to begin with, and more of them, so that the line is long.

Then **bold words that go on** and go on, `code`, [a link](https://example.org/) and _emphasis_, with more words behind.

- a point of some length, with words and words and words
- another, with **bold** in the middle and words behind

1. first comes what comes first, as one would expect

## A heading of a few more words than usual

| a | b |
|---|---|
| words in a cell | and in another one |

```python
def greet(name: str) -> str:
    return f"hello {name}"
```

> A quotation, which is long enough to be one, and then some.

The end comes after some more words, and here it is."""
GROW: Final = """
async ([module, text, size]) => {
  const { Growing, toFragment } = await import(module);
  const place = document.createElement("div");
  const growing = new Growing(place);
  const said = (node) => node.textContent.replace(/\\s+/g, " ").trim();
  const wrong = [];
  let purified = 0;
  const purify = DOMPurify.sanitize;
  for (let at = size; at < text.length + size; at += size) {
    const now = text.slice(0, at);
    DOMPurify.sanitize = (...given) => { purified += 1; return purify.apply(DOMPurify, given); };
    growing.update(now);
    DOMPurify.sanitize = purify;
    const whole = document.createElement("div");
    whole.append(toFragment(now));
    if (said(place) !== said(whole)) wrong.push([said(place).slice(-40), said(whole).slice(-40)]);
  }
  return [wrong, purified];
}
"""


async def test_an_answer_that_grows_says_what_it_says_when_it_is_whole(window: Window) -> None:
    page = (await window.go()).page
    await window.sees("What is on your mind?")
    main = await page.locator("script[type=module]").get_attribute("src") or ""
    module = main.replace("chat/main.js", "shared/markdown.js")
    for size in (1, 3, 7):
        wrong, purified = await page.evaluate(GROW, [module, GROWS, size])
        assert wrong == []
        # Most letters are put behind the last one, and no Markdown is read for them.
        assert purified < len(GROWS) / size
    assert window.complaints == []


async def test_a_long_conversation_is_read_upwards_and_by_link(window: Window, node: NodeProcess) -> None:
    turns = 300
    url = f"{node.url}/v1/sessions/long/messages"
    await asyncio.to_thread(lambda: [post(url, {"text": f"message number {number}"}) for number in range(turns)])
    await asyncio.to_thread(post, url, {"text": "the last one"}, True)
    page = (await window.go("/s/long")).page
    await window.sees("You said: the last one")
    beginning = page.get_by_text("message number 0", exact=True)
    while not await beginning.count():
        await page.locator(".scroller").evaluate("(node) => { node.scrollTop = Math.max(0, node.scrollTop - 2500); }")
        await page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert await page.locator("article.message").count() < turns
    seq = next(item["seq"] for item in get(f"{url}?limit=200")["data"] if item["text"] == "message number 250")
    await page.evaluate("(seq) => { location.hash = `#${seq}`; }", seq)
    await page.locator(f"#m{seq}.is-found").wait_for()
    await page.get_by_label("To the newest message").click()
    await window.sees("You said: the last one")


async def test_a_phone_in_the_dark(browser: Browser, node: NodeProcess) -> None:
    context = await browser.new_context(viewport={"width": 390, "height": 780}, color_scheme="dark", has_touch=True)
    window = await Window(await context.new_page(), node.url).go()
    await window.say("/md")
    await window.replies(1)
    assert await window.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert await window.grave_findings() == []
    await window.picture("phone")
    await window.page.get_by_role("button", name="Conversations").click()
    await window.page.locator(".session").first.wait_for()
    assert window.complaints == []
