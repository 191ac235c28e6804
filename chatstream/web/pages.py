"""The pages: what lies in static/, served so that a browser keeps it, never mixes two versions, and runs nothing else.

Every file's address carries the version of all of them together, so that files may name each other relatively, be kept for
ever, and need no build. Only the pages themselves are asked for every time.
"""

import asyncio
import gzip
import hashlib
import html
import posixpath
import re
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from chatstream.core.ids import session_id
from chatstream.web.conditional import NO_CACHE, matches
from chatstream.web.problems import Problem
from chatstream.web.settings import DESK, SETTINGS

STATIC: Final = Path(__file__).with_name("static")
CHAT: Final = "chat.html"
CONSOLE: Final = "console.html"
FOR_EVER: Final = "public, max-age=31536000, immutable"
SMALL_BYTES: Final = 1024
"""Below that packing gains nothing."""

_IMPORT: Final = re.compile(r"""\bfrom\s*["'](\.{1,2}/[^"']+\.js)["']""")
"""Of our own modules and of the packed ones."""

TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
"""Everything else in the folder (licences) is plain text."""

HEADERS: Final = {
    "Content-Security-Policy": "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            # No picture from elsewhere: its address could carry what was said here to whoever made the model name it.
            "img-src 'self' data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types dompurify",
        ]
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class File(msgspec.Struct, frozen=True):
    """A file as it is sent. packed: None where packing gains nothing."""

    body: bytes
    packed: bytes | None
    content_type: str


class Site(msgspec.Struct, frozen=True):
    """All files by their path below static/. version: changes with any of them."""

    version: str
    files: dict[str, File]


class About(msgspec.Struct, frozen=True):
    """What a page is told of its node. routes: as `GET /path/{name}`, so that it offers only what there is."""

    node: str
    model: str
    base: str
    routes: list[str]


@cache
def site() -> Site:
    """The files, read once. Takes some hundredths of a second."""
    found = {path.relative_to(STATIC).as_posix(): path for path in sorted(STATIC.rglob("*")) if path.is_file()}
    bodies = {name: path.read_bytes() for name, path in found.items()}
    digest = hashlib.blake2b(digest_size=6)
    for name, body in bodies.items():
        digest.update(f"{name} {len(body)} ".encode() + body)
    return Site(digest.hexdigest(), {name: _file(name, body) for name, body in bodies.items()})


def _file(name: str, body: bytes) -> File:
    packed = gzip.compress(body, 9, mtime=0) if len(body) >= SMALL_BYTES else None
    return File(body, packed, TYPES.get(Path(name).suffix, "text/plain"))


def make_page(files: Site, name: str, about: About) -> bytes:
    """A page with the addresses of this version, and what it has to know before it may ask for anything."""
    modules = modules_of(files, f"{name.removesuffix('.html')}/main.js")
    preload = "\n".join(f'<link rel="modulepreload" href="{about.base}{path}">' for path in modules)
    text = files.files[name].body.decode()
    told = html.escape(msgspec.json.encode(about).decode())
    return text.replace("{base}", about.base).replace("{preload}", preload).replace("{about}", told).encode()


def modules_of(files: Site, first: str) -> list[str]:
    """A module and all that it imports, in whatever depth: a page names them, or each depth would wait for the one before."""
    found = [first]
    for path in found:
        source = files.files[path].body.decode()
        named = (posixpath.normpath(f"{posixpath.dirname(path)}/{name}") for name in _IMPORT.findall(source))
        found += [name for name in dict.fromkeys(named) if name not in found]
    return found


async def get_chat(request: web.Request) -> web.Response:
    """The chat; which session it shows is the page's own matter, as long as there can be such a one."""
    if "session" in request.match_info:
        session_id(request.match_info["session"])
    return await _page(request, CHAT)


async def get_console(request: web.Request) -> web.Response:
    """The console; what it shows is the page's own matter."""
    return await _page(request, CONSOLE)


async def _page(request: web.Request, name: str) -> web.Response:
    files = await asyncio.to_thread(site)
    app = request.app
    routes = sorted({f"{route.method} {route.resource.canonical}" for route in app.router.routes() if route.resource})
    about = About(app[DESK].node_id, app[SETTINGS].model, f"/static/{files.version}/", routes)
    body = make_page(files, name, about)
    etag = f'"{hashlib.blake2b(body, digest_size=8).hexdigest()}"'
    headers = HEADERS | {"ETag": etag, "Cache-Control": NO_CACHE}
    if matches(request.headers.get("If-None-Match"), etag):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type="text/html", charset="utf-8", headers=headers)


async def get_static(request: web.Request) -> web.Response:
    """A file of this version. Another version's has another address, and is not here."""
    files = await asyncio.to_thread(site)
    file = files.files.get(request.match_info["path"])
    if file is None or request.match_info["version"] != files.version:
        raise Problem(404, "no-such-file", "there is no such file in this version; load the page again")
    headers = HEADERS | {"Cache-Control": FOR_EVER, "ETag": f'"{files.version}"', "Vary": "Accept-Encoding"}
    if matches(request.headers.get("If-None-Match"), headers["ETag"]):
        return web.Response(status=304, headers=headers)
    body = file.body
    if file.packed is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
        body = file.packed
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, content_type=file.content_type, charset="utf-8", headers=headers)
