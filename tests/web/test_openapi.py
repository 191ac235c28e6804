"""/openapi.json: it is valid, it says all there is and nothing else, and a running node keeps to it."""

import ast
import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

import chatstream
from chatstream.core import errors
from chatstream.core.errors import ChatstreamError
from chatstream.core.ids import NodeId
from chatstream.core.limits import Limits
from chatstream.log.simulated import SimulatedBroker, SimulatedLog
from chatstream.web import problems
from chatstream.web.app import make_app
from chatstream.web.codes import CODES
from chatstream.web.openapi import document
from chatstream.web.routes import ROUTES
from tests.web.conftest import Client
from tests.web.fake_desk import FakeDesk

PACKAGE: Final = Path(chatstream.__file__).parent
DOCUMENT: Final[dict[str, Any]] = document(ROUTES)
MEMBERS: Final = {"Problem": 1, "bad_field": 1, "BadCommand": 0, "Nothing": 0, "_trouble": 1, "of_refusal": 0}
"""Calls that name a code, and at which place."""


def test_the_document_is_valid() -> None:
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


async def test_every_registered_route_is_in_it_and_no_other(limits: Limits) -> None:
    app = make_app(FakeDesk(limits), limits, log=SimulatedLog(SimulatedBroker(partitions=4), NodeId("n1")))
    registered = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None}
    documented = {(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item}
    # HEAD is what GET is, without the body: it is documented where it is something else.
    assert documented <= registered
    assert {
        (method, path) for method, path in registered - documented if method != "HEAD" or ("GET", path) not in registered
    } == set()


async def test_it_is_served_without_the_routes_that_are_not_there(client: Client) -> None:
    async with client.get("/openapi.json") as answer:
        assert (answer.status, answer.content_type) == (200, "application/json")
        body, etag = await answer.json(), answer.headers["ETag"]
    assert body["openapi"] == "3.1.0"
    left_out = set(DOCUMENT["paths"]) - set(body["paths"])
    assert left_out == {"/v1/console/dead-letters", "/v1/console/dead-letters/{offset}/redrive"}
    async with client.get("/openapi.json", headers={"If-None-Match": etag}) as answer:
        assert answer.status == 304


def test_every_name_is_used_once() -> None:
    names = [operation["operationId"] for item in DOCUMENT["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names))


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    text = json.dumps(DOCUMENT)
    used = set(re.findall(r'"#/components/(\w+)/([^"]+)"', text))
    there = {(kind, name) for kind, found in DOCUMENT["components"].items() for name in found}
    assert used == there


def test_everything_says_what_it_is() -> None:
    for item in DOCUMENT["paths"].values():
        for operation in item.values():
            assert operation["summary"], operation["operationId"]
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert schema["description"], name
    for name, header in DOCUMENT["components"]["headers"].items():
        assert header["description"], name


@pytest.mark.parametrize("route", [route for route in ROUTES if route.body], ids=lambda route: f"{route.method} {route.path}")
def test_a_body_is_asked_for_as_http_takes_it(route: Any) -> None:
    """Without the type that the path says already, and without what stands in the path."""
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    if "$ref" in schema:
        body = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        assert "type" not in body["required"]
        assert not set(body["properties"]) & route.body.of_path


def codes_named() -> set[str]:
    """Every code that stands as a literal where a problem, a refusal or a dead letter of a command is made."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                place = MEMBERS.get(name)
                if place is not None and len(node.args) > place and isinstance(node.args[place], ast.Constant):
                    found.add(str(node.args[place].value))  # type: ignore[attr-defined]  # checked in the line before
    return found


def test_every_code_of_a_problem_is_listed() -> None:
    of_records = {"missing-key", "bad-key", "misrouted"}  # of where a record stands, which a request does not
    assert codes_named() - of_records <= CODES


def test_no_code_is_listed_that_there_is_not() -> None:
    source = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "codes.py")
    of_errors = {one.code for one in vars(errors).values() if isinstance(one, type) and issubclass(one, ChatstreamError)}
    assert [code for code in sorted(CODES) if f'"{code}"' not in source and code not in of_errors] == []


def test_what_a_problem_says_beside_has_a_place_in_its_schema() -> None:
    given = problems.Problem(503, "internal", "d", extra={"owner": None, "partition": 1, "message_id": "m", "session": "s"})
    told = json.loads(problems.document(given, "r"))
    assert set(told) <= set(DOCUMENT["components"]["schemas"]["Document"]["properties"])
