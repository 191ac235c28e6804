"""Everything wrong that may be asked at a route, made from what the table of routes says of it."""

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

import msgspec

from chatstream.core.limits import Limits
from chatstream.web.openapi import document
from chatstream.web.route import JSON, PATH, TEXT, Anything, Body, Route
from chatstream.web.routes import ROUTES

DOCUMENT: Final[dict[str, Any]] = document(ROUTES)
HOLE: Final = re.compile(r"\{(\w+)(?::[^}]*)?\}")
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")

RIGHT_HOLES: Final = {"session": "alice", "name": "pay", "key": "a", "offset": "0", "view": "x", "version": "v", "path": "p"}
HOLES: Final = (
    "%20", "a%2Fb", "a" * 201, "%2E%2E", "%2E", "a%00", "a%0Ab", "a%7F", "%FF", "%C3%28", "%F0%9F%98%80", "-1", "9" * 19,
    "%D9%A3",
)  # fmt: skip
VALUES: Final = (
    "", "0", "-1", "-2", "1.5", "1e3", "x", "a b", "a/b", "NOW", "true", "9" * 30, "٣", "ä", "\x00", "a\nb", "a" * 201, "%",
    ",", "idle,,", "0000000000000001_0000000000000001", "0000000000000000_000000000000000", "0000000000000000_000000000000000x",
    '""', 'W/"x"', "null", "[]",
)  # fmt: skip
FIELDS: Final[tuple[Any, ...]] = (1, "x", -1.5, [], {}, True, [1], {"a": 1})
IDS: Final = ("a b", "a/b", "x" * 201, "ä", "..")


class Wrong(NamedTuple):
    """A request that has to be refused. statuses: with one of which."""

    what: str
    method: str
    path: str
    statuses: tuple[int, ...]
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    in_parts: bool = False


def path_with(route: Route, **holes: str) -> str:
    """The route's path, its holes filled rightly where nothing else is said."""
    return HOLE.sub(lambda hole: holes.get(hole[1], RIGHT_HOLES[hole[1]]), route.path)


def right_body(route: Route) -> bytes | None:
    """The smallest body that the route takes, None where it needs none."""
    if route.body is None or not route.body.is_needed:
        return None
    return json.dumps(_right(schema_of(route))).encode()


def right_headers(route: Route) -> tuple[tuple[str, str], ...]:
    return (("Content-Type", JSON),) if right_body(route) is not None else ()


def schema_of(route: Route) -> dict[str, Any]:
    """What its body may be, as JSON schema."""
    operation = DOCUMENT["paths"][HOLE.sub(r"{\1}", route.path)][route.method.lower()]
    schema: dict[str, Any] = operation["requestBody"]["content"][JSON]["schema"]
    return DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _right(schema: Mapping[str, Any]) -> Any:
    if "properties" not in schema:
        return _right_field(schema)
    needed = [*schema.get("required", ()), *schema.get("anyOf", [{"required": []}])[0]["required"]]
    return {name: _right_field(schema["properties"][name]) for name in needed}


def _right_field(schema: Mapping[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return _right_field(schema["anyOf"][0])
    return {"integer": 1, "string": "x", "object": {}, "array": []}.get(schema.get("type", ""), 1)


def fits(kind: Any, value: str) -> bool:
    """Is a text what a kind allows?"""
    try:
        msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        return False
    return value.isascii() or not (isinstance(kind, type) and issubclass(kind, int))


def allows(schema: Mapping[str, Any], value: Any) -> bool:
    """Does the schema of a field allow a JSON value? As far as fields of bodies go."""
    if "anyOf" in schema:
        return any(allows(one, value) for one in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    if isinstance(value, list) and schema.get("type") == "array":
        return all(allows(schema["items"], one) for one in value)
    types = {"integer": int, "number": int | float, "string": str, "boolean": bool, "object": dict, "array": list}
    kind = types.get(schema.get("type", ""), object)
    return isinstance(value, kind) and (not isinstance(value, bool) or kind in (bool, object))


def everything(route: Route, limits: Limits) -> Iterator[Wrong]:
    """Whatever can be wrong with a request for this route."""
    yield from wrong_holes(route)
    yield from wrong_params(route)
    yield from wrong_senders(route)
    yield from wrong_methods(route)
    if route.body is not None:
        yield from wrong_media(route, route.body)
        yield from wrong_json(route, route.body)
        yield from wrong_fields(route)
        yield from wrong_sizes(route, route.body, limits)


def request(route: Route, what: str, *statuses: int, **more: Any) -> Wrong:
    """The right request, but for what is given."""
    more.setdefault("headers", right_headers(route))
    more.setdefault("body", right_body(route))
    return Wrong(what, route.method, more.pop("path", path_with(route)), statuses, **more)


def wrong_holes(route: Route) -> Iterator[Wrong]:
    for name in HOLE.findall(route.path):
        for value in HOLES:
            told = unquote(value, errors="surrogateescape")
            if not fits(PATH[name], told) or (PATH[name] is not Anything and told in (".", "..")):
                yield request(route, f"{name} = {value[:20]}", 400, 404, path=path_with(route, **{name: value}))


def wrong_params(route: Route) -> Iterator[Wrong]:
    for param in route.params:
        if param.is_wish:
            continue
        for value in VALUES:
            if not fits(param.kind, value) and (param.place == "query" or value.isprintable()):
                yield _with_param(route, f"{param.name} = {value[:20]!r}", param.place, [(param.name, value)])
        right = next(value for value in ("1", "-1", "idle", "all", "long-poll", "jsonl", '"x"', "x") if fits(param.kind, value))
        yield _with_param(route, f"{param.name} twice", param.place, [(param.name, right), (param.name, right)])


def _with_param(route: Route, what: str, place: str, given: list[tuple[str, str]]) -> Wrong:
    if place == "header":
        return request(route, what, 400, headers=(*right_headers(route), *given))
    # A live read needs an offset: without one it would be refused for that.
    rest = [("offset", "-1")] if given[0][0] == "live" else []
    return request(route, what, 400, query="&".join(f"{name}={quote(value, safe='')}" for name, value in [*given, *rest]))


def wrong_senders(route: Route) -> Iterator[Wrong]:
    for name, value in (("Host", "evil.example"), ("Host", "[::1"), ("Origin", "https://evil.example"), ("Origin", "null")):
        yield request(route, f"{name}: {value}", 403, headers=(*right_headers(route), (name, value)))


def wrong_methods(route: Route) -> Iterator[Wrong]:
    there = {one.method for one in ROUTES if HOLE.sub("", one.path) == HOLE.sub("", route.path)}
    there |= {"HEAD"} if any(one.has_head and one.path == route.path for one in ROUTES if one.method == "GET") else set()
    for method in METHODS:
        if method not in there:
            yield Wrong(f"method {method}", method, path_with(route), (405,))


def wrong_media(route: Route, body: Body) -> Iterator[Wrong]:
    given = right_body(route) or b"{}"
    for media in (
        "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/html", "application/xml", "", "json",
        "application/json; charset=utf-16", "application/json; charset=latin-1", TEXT,
    ):  # fmt: skip
        if media not in body.kinds:
            yield request(route, f"Content-Type: {media}", 415, headers=(("Content-Type", media),), body=given)
    for coding, packed in (("gzip", gzip.compress(given)), ("br", given), ("identity, x", given)):
        headers = (("Content-Type", JSON), ("Content-Encoding", coding))
        yield request(route, f"Content-Encoding: {coding}", 415, headers=headers, body=packed)


def wrong_json(route: Route, body: Body) -> Iterator[Wrong]:
    bodies = [
        b"{", b'{"text": "a"} x', b"\xff", b'"\xff"', b'{"text": "\xff"}', b'{"text": "\\ud800"}', b"\xef\xbb\xbf{", b"NaN",
        b'{"text": NaN}', b'{"metadata": {"a": Infinity}}', b'{"seq": 01}', b"[" * 10_000, b'{"a":' * 3_000, b"hello",
        b"\x00",
        b'{"text": "a", "text": "a"}', b'{"x": {"y": 1, "y": 2}}', b'{"text": "a\x00b"}', b"{'text': 'a'}", b'{"text": "a",}',
        "{}".encode("utf-16"),
    ]  # fmt: skip
    schema = schema_of(route)
    if "properties" in schema:
        bodies += [b"[]", b"null", b'"x"', b"1", b"true"]
        deep = json.dumps(_right(schema))[:-1] + (", " if _right(schema) else "")
        bodies += [f'{deep}"metadata": {"[" * 5000}{"]" * 5000}}}'.encode()] if "metadata" in schema["properties"] else []
    else:
        bodies += [b"[" * 65 + b"]" * 65]
    bodies += [b""] if body.is_needed else []
    for given in bodies:
        yield request(route, f"body {given[:30]!r}", 400, headers=(("Content-Type", JSON),), body=given)
    if TEXT in body.kinds:
        for given in (b"", b"\xff", b"\xed\xa0\x80"):
            yield request(route, f"text {given!r}", 400, headers=(("Content-Type", TEXT),), body=given)


def wrong_fields(route: Route) -> Iterator[Wrong]:
    schema = schema_of(route)
    right = _right(schema)
    for name, field in schema.get("properties", {}).items():
        wrong = [value for value in FIELDS if not allows(field, value)]
        wrong += IDS if name == "id" or name.endswith("_id") else ()
        for value in wrong:
            given = json.dumps({**right, name: value}).encode()
            what = f"{name} = {json.dumps(value)[:20]}"
            yield request(route, what, 400, headers=(("Content-Type", JSON),), body=given)
    for name in schema.get("required", ()):
        given = json.dumps({key: value for key, value in right.items() if key != name}).encode()
        yield request(route, f"without {name}", 400, headers=(("Content-Type", JSON),), body=given)


def wrong_sizes(route: Route, body: Body, limits: Limits) -> Iterator[Wrong]:
    large = (right_body(route) or b"{}").ljust(body.most_bytes(limits) + 1)
    headers = (("Content-Type", JSON),)
    yield request(route, "one byte too many", 413, headers=headers, body=large)
    yield request(route, "one byte too many, in parts", 413, headers=headers, body=large, in_parts=True)
