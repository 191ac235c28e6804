"""GET /openapi.json: the whole contract as OpenAPI 3.1, made of the table of routes and the types that they name.

What a route says of itself is all there is to it; nothing here knows any route by name.
"""

import inspect
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

import msgspec
from aiohttp import web

from chatstream.core.commands import Command
from chatstream.web import problems
from chatstream.web.codes import CODES
from chatstream.web.conditional import NO_CACHE, matches
from chatstream.web.route import JSON, PATH, SSE, Answer, Body, Param, Route
from chatstream.web.settings import REQUEST_ID_HEADER

OPENAPI: Final = "3.1.0"
VERSION: Final = version("chatstream")

Schema = dict[str, Any]

_RETRYABLE: Final = (429, 503)
_HOLE: Final = re.compile(r"\{(\w+)(?::[^}]*)?\}")
_ABOUT_HEADERS: Final = {
    REQUEST_ID_HEADER: "The request's id: the one it came with if that is harmless, else a new one.",
    "Retry-After": "Seconds after which it is worth trying again.",
    "ETag": "Names this version of the answer.",
    "Content-Disposition": "The name of the file.",
    "Location": "Where to read what was made.",
    "Preference-Applied": "The preference that was followed.",
    "Stream-Next-Offset": "The offset to go on from.",
    "Stream-Up-To-Date": "`true` where there is nothing behind this answer yet.",
    "Stream-Cursor": "To be handed back as `cursor`, so that no cache repeats an old answer.",
}


class Contract:
    """The document of some routes, made when somebody first asks for it."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes

    @cached_property
    def body(self) -> bytes:
        """As it is served. Takes some milliseconds once."""
        return msgspec.json.encode(document(self._routes))


CONTRACT: Final = web.AppKey("contract", Contract)


async def get_openapi(request: web.Request) -> web.Response:
    """This contract, as OpenAPI 3.1."""
    body = request.app[CONTRACT].body
    etag = f'"{VERSION}-{len(body)}"'
    headers = {"ETag": etag, "Cache-Control": NO_CACHE}
    if matches(request.headers.get("If-None-Match"), etag):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type="application/json", headers=headers)


def path_of(route: Route) -> str:
    """The route's path as OpenAPI writes it: aiohttp's may say in a hole what fits it."""
    return _HOLE.sub(r"{\1}", route.path)


def document(routes: Sequence[Route]) -> Schema:
    """The contract of these routes."""
    types = _Types(routes)
    names = _names(routes)
    paths: dict[str, Schema] = {}
    for route, name in zip(routes, names, strict=True):
        paths.setdefault(path_of(route), {})[route.method.lower()] = _operation(route, name, types)
    return {
        "openapi": OPENAPI,
        "info": {
            "title": "chatstream",
            "version": VERSION,
            "summary": "Chat sessions that outlive processes, machines and weeks of silence.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in sorted({_tag(route) for route in routes})],
        "paths": paths,
        "components": {
            "schemas": types.schemas(),
            "responses": {str(status): _problem(status, types) for status in sorted(_statuses(routes))},
            "headers": {name: _header(name) for name in sorted(_headers(routes))},
        },
    }


class _Types:
    """The schemas of everything that routes name; structs are components."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._bodies = {kind: route.body for route in routes if route.body for kind in route.body.kinds.values()}
        kinds = [problems.Document]
        for route in routes:
            kinds += [kind for answer in route.answers for kind in (*answer.kinds.values(), answer.frames) if kind is not None]
            kinds += [param.kind for param in route.params]
        kinds += [*self._bodies, *PATH.values()]
        kinds = [kind for number, kind in enumerate(kinds) if kind not in kinds[:number]]
        found, self._components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
        self._found = list(zip(kinds, found, strict=True))

    def of(self, kind: Any) -> Schema:
        """The schema of one kind: a reference where it is a struct."""
        return next(schema for known, schema in self._found if known == kind)

    def schemas(self) -> dict[str, Schema]:
        """The components."""
        for kind, body in self._bodies.items():
            if isinstance(kind, type) and issubclass(kind, Command):
                self._components[kind.__name__] = _as_body(self._components[kind.__name__], body)
        self._components[problems.Document.__name__]["properties"]["code"]["enum"] = sorted(CODES)
        return {name: _cleaned(schema) for name, schema in sorted(self._components.items())}


def _as_body(command: Schema, body: Body) -> Schema:
    """A command as HTTP takes it: its type is known from the path, and some of its fields are."""
    properties = {name: schema for name, schema in command["properties"].items() if name not in body.of_path}
    required = [name for name in command["required"] if name != "type" and name in properties]
    return {**command, "properties": properties, "required": required, **body.also}


def _cleaned(schema: Schema) -> Schema:
    return {**schema, "description": inspect.cleandoc(schema.get("description", ""))}


def _names(routes: Sequence[Route]) -> list[str]:
    """The handlers' names; where one handler has several routes, what stands in the path tells them apart."""
    names = [route.handler.__name__ for route in routes]
    often = Counter(names)
    return [
        "_".join([name, *(_HOLE.findall(route.path) if often[name] > 1 else ())])
        for name, route in zip(names, routes, strict=True)
    ]


def _tag(route: Route) -> str:
    if route.path.startswith("/v1/sessions"):
        return "sessions"
    if route.path.startswith("/v1/"):
        return "console"
    return "pages" if any("text/html" in answer.kinds for answer in route.answers) or "{" in route.path else "node"


def _operation(route: Route, name: str, types: _Types) -> Schema:
    about = inspect.cleandoc(route.handler.__doc__ or "")
    found: Schema = {
        "operationId": name,
        "tags": [_tag(route)],
        "summary": about.split("\n")[0],
        "description": about,
        "parameters": [
            *(_in_path(name, types) for name in _HOLE.findall(route.path)),
            *(_parameter(param, types) for param in route.params),
        ],
        "responses": _responses(route, types),
    }
    if route.body is not None:
        content = {media: {"schema": types.of(kind)} for media, kind in route.body.kinds.items()}
        found["requestBody"] = {"required": route.body.is_needed, "content": content}
    return found


def _in_path(name: str, types: _Types) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": types.of(PATH[name])}


def _parameter(param: Param, types: _Types) -> Schema:
    about = param.about + (". What cannot be read is ignored" if param.is_wish else "")
    return {"name": param.name, "in": param.place, "required": False, "description": about, "schema": types.of(param.kind)}


def _responses(route: Route, types: _Types) -> Schema:
    found: Schema = {str(status): {"$ref": f"#/components/responses/{status}"} for status in refusals(route)}
    found |= {str(answer.status): _answer(answer, types) for answer in route.answers}
    return dict(sorted(found.items()))


def refusals(route: Route) -> set[int]:
    """The statuses of the problems that a route may answer with."""
    return {*problems.ALWAYS, *route.refused}


def _statuses(routes: Iterable[Route]) -> set[int]:
    return set[int]().union(*(refusals(route) for route in routes))


def _answer(answer: Answer, types: _Types) -> Schema:
    found: Schema = {"description": HTTPStatus(answer.status).phrase, "headers": _refs(answer.headers)}
    if answer.kinds:
        found["content"] = {media: {"schema": types.of(kind)} for media, kind in answer.kinds.items()}
    if answer.frames is not None:
        found.setdefault("content", {})[SSE] = {"schema": _frame(types.of(answer.frames))}
    return found


def _frame(data: Schema) -> Schema:
    """One of a stream's events. What is in its `data` is told as JSON schema tells it of text that is JSON."""
    text = {"type": "string", "contentMediaType": JSON, "contentSchema": data}
    return {"type": "object", "properties": {"event": {"type": "string"}, "id": {"type": "string"}, "data": text}}


def _problem(status: int, types: _Types) -> Schema:
    return {
        "description": HTTPStatus(status).phrase,
        "headers": _refs(("Retry-After",) if status in _RETRYABLE else ()),
        "content": {problems.CONTENT_TYPE: {"schema": types.of(problems.Document)}},
    }


def _refs(names: Iterable[str]) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (REQUEST_ID_HEADER, *names)}


def _headers(routes: Iterable[Route]) -> set[str]:
    named = {name for route in routes for answer in route.answers for name in answer.headers}
    return {REQUEST_ID_HEADER, "Retry-After", *named}


def _header(name: str) -> Schema:
    return {
        "description": _ABOUT_HEADERS.get(name, ""),
        "required": name == REQUEST_ID_HEADER,
        "schema": {"type": "string"},
    }
