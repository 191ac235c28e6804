"""The pages as files: what is sent with them, how long they are kept, what they weigh, and where they come from."""

import gzip
import hashlib
import html
import json
import re
from typing import Any, Final

import pytest
from yarl import URL

from chatstream.web.pages import STATIC, site
from tests.web.conftest import Client, problem_of

PACKED_BYTES_MOST: Final = 120 * 1024
PAGES: Final = ("/", "/s/alice", "/console", "/console/sessions/alice")
OWN: Final = sorted(
    path for path in STATIC.rglob("*") if path.suffix in (".js", ".css", ".html") and path.parent.name != "vendor"
)
ELSEWHERE: Final = re.compile(r"""(?:https?:)?//[a-z0-9-]+\.[a-z]""")


async def page(client: Client, path: str) -> str:
    async with client.get(path) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/html"
        return await answer.text()


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_may_run_nothing_but_its_own_files(client: Client, path: str) -> None:
    async with client.get(path) as answer:
        policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
        text = await answer.text()
    for tag in re.findall(r"<script\b[^>]*>", text):
        assert ' src="/static/' in tag
    assert "<style" not in text
    assert not re.search(r"\son\w+=", text)


@pytest.mark.parametrize("path", PAGES)
async def test_everything_a_page_names_is_there_and_kept_for_ever(client: Client, path: str) -> None:
    text = await page(client, path)
    named = re.findall(r'(?:href|src)="(/static/[^"]+)"', text)
    assert named
    for name in named:
        async with client.get(name) as answer:
            assert answer.status == 200, name
            assert "immutable" in answer.headers["Cache-Control"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert len([name for name in named if "/vendor/" not in name]) > 3


async def test_a_page_itself_is_asked_for_every_time_and_sent_once(client: Client) -> None:
    async with client.get("/") as answer:
        assert answer.headers["Cache-Control"] == "private, no-cache"
        etag = answer.headers["ETag"]
    async with client.get("/", headers={"If-None-Match": etag}) as answer:
        assert answer.status == 304
        assert await answer.read() == b""


async def test_a_page_is_told_what_there_is(client: Client) -> None:
    found = re.search(r'<meta name="chatstream" content="([^"]*)">', await page(client, "/s/alice"))
    assert found
    told: dict[str, Any] = json.loads(html.unescape(found[1]))
    assert told["node"] == "node-1"
    assert "POST /v1/sessions/{session}/messages" in told["routes"]


async def test_modules_find_each_other(client: Client) -> None:
    base = f"/static/{site().version}/"
    for path in (name for name in site().files if name.endswith(".js") and not name.startswith("vendor/")):
        source = (STATIC / path).read_text()
        for named in re.findall(r"""from "(\.[^"]+)";""", source):
            async with client.get(f"{base}{path.rpartition('/')[0]}/{named}") as answer:
                assert answer.status == 200, f"{path}: {named}"


@pytest.mark.parametrize("path", ["/", "/console"])
async def test_a_page_names_every_module_that_it_needs_and_no_other(client: Client, path: str) -> None:
    text = await page(client, path)
    named = re.findall(r'<link rel="modulepreload" href="(/static/[^"]+)"', text)
    (first,) = re.findall(r'<script type="module" src="([^"]+)"', text)
    needed = {first}
    asked: set[str] = set()
    while needed > asked:
        for module in needed - asked:
            asked.add(module)
            async with client.get(module) as answer:
                source = await answer.text()
            for found in re.findall(r"""from ?"(\.[^"]+)";?""", source):
                needed.add(str(URL(module).join(URL(found))))
    assert len(named) == len(set(named))
    assert set(named) == needed
    assert any("/vendor/preact.js" in name for name in named)


async def test_files_are_packed_for_who_takes_them_so(client: Client) -> None:
    path = f"/static/{site().version}/chat.css"
    async with client.get(path, headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.headers["Vary"] == "Accept-Encoding"
        packed_length = answer.content_length
    async with client.get(path, headers={"Accept-Encoding": "identity"}) as answer:
        assert "Content-Encoding" not in answer.headers
        body = await answer.read()
    assert body == (STATIC / "chat.css").read_bytes()
    assert packed_length is not None
    assert packed_length < len(body)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("other/chat.css", "no-such-file"),
        ("{}/nothing.js", "no-such-file"),
        ("{}/../pages.py", "no-such-route"),
        ("{}/%2e%2e/pages.py", "no-such-route"),
        ("{}/vendor", "no-such-file"),
    ],
)
async def test_other_versions_and_other_files_are_not_there(client: Client, path: str, code: str) -> None:
    async with client.get("/static/" + path.replace("{}", site().version)) as answer:
        await problem_of(answer, 404, code)


def test_all_of_it_stays_light() -> None:
    sent = [file for name, file in site().files.items() if not name.startswith("vendor/LICENSE")]
    assert sum(len(file.packed or file.body) for file in sent) <= PACKED_BYTES_MOST


def test_what_comes_from_elsewhere_is_as_it_was_published() -> None:
    libraries = json.loads((STATIC / "vendor" / "versions.json").read_text())
    known = {"versions.json"}
    for library in libraries:
        assert re.fullmatch(r"\d+\.\d+\.\d+", library["version"])
        assert library["licence"]
        assert (STATIC / "vendor" / library["licence_file"]).read_text().strip()
        known.add(library["licence_file"])
        for file in library["files"]:
            assert hashlib.sha256((STATIC / "vendor" / file["file"]).read_bytes()).hexdigest() == file["sha256"], file["file"]
            known.add(file["file"])
    assert {path.name for path in (STATIC / "vendor").iterdir()} == known


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.relative_to(STATIC).as_posix())
def test_our_own_files_are_short_and_name_no_other_server(path: Any) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    assert not ELSEWHERE.search(text)
    assert "innerHTML" not in text


def test_packing_changes_nothing() -> None:
    for file in site().files.values():
        assert file.packed is None or gzip.decompress(file.packed) == file.body
