"""A running node keeps to its own contract: requests made from /openapi.json, right and wrong ones, get answers that are in it.

The checks are schemathesis' own; none is switched off. One answer is a 503 by contract, and told apart below.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import cache
from typing import Any, Final

import pytest
import pytest_asyncio
import requests
import schemathesis
from aiohttp import ClientSession
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, CheckContext, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from chatstream.web.erasing import delete_session
from chatstream.web.openapi import document, path_of
from chatstream.web.route import PATH, Anything, Route
from chatstream.web.routes import ROUTES
from chatstream.web.sessions import get_session
from tests.web.embedded_node import Embedded, embedded_node
from tests.web.wrong import HOLE

EXAMPLES: Final = 8
"""A route and mode: all of them together take some twenty seconds of CPU."""
WAIT_S: Final = 60.0


def no_server_error(context: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """As schemathesis has it, but for an offset beyond the end: this node may be behind another, so it is a 503 by contract."""
    if response.status_code == 503 and response.json()["code"] == "behind":
        return None
    return not_a_server_error(context, response, case)


CHECKS: Final = [no_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@cache
def contract() -> Any:
    """The document as schemathesis reads it."""
    return schemathesis.openapi.from_dict(document(ROUTES))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Embedded]:
    """One for all: what one route left behind is the others' trouble, as in life."""
    async with embedded_node(tmp_path_factory.mktemp("contract")) as node, ClientSession(node.url) as client:
        headers = {"Prefer": "wait=30", "Content-Type": "text/plain"}
        async with client.post("/v1/sessions/alice/messages", data="/remember a 1", headers=headers) as answer:
            assert answer.status == 200
        yield node


def can_be_wrong(route: Route) -> bool:
    """Is there anything that its kinds do not allow?"""
    holes = any(PATH[hole] is not Anything for hole in HOLE.findall(route.path))
    return holes or route.body is not None or any(not param.is_wish for param in route.params)


def hold_to_it(url: str, route: Route, mode: GenerationMode, told: Any = None) -> set[int]:
    """Ask as the contract says, or as it says not to; the statuses of the answers. told: the contract, if it is another one."""
    seen = set()
    # What is right is asked of a session that there is, so that more is answered than that there is none.
    is_known = mode is GenerationMode.POSITIVE and "session" in HOLE.findall(route.path) and route.handler is not delete_session
    operation = (told or contract())[path_of(route)][route.method]
    cases = operation.as_strategy(generation_mode=mode, path_parameters={"session": "alice"} if is_known else None)
    with requests.Session() as client:

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases)
        def ask(case: Case[Any]) -> None:
            response = case.call(base_url=url, session=client, timeout=WAIT_S)
            seen.add(response.status_code)
            case.validate_response(response, checks=CHECKS)

        ask()
    return seen


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_right_requests_are_answered_as_the_contract_says(node: Embedded, route: Route) -> None:
    seen = await asyncio.to_thread(hold_to_it, node.url, route, GenerationMode.POSITIVE)
    assert seen & ({answer.status for answer in route.answers} | {404, 409}), seen


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "route", [route for route in ROUTES if can_be_wrong(route)], ids=lambda route: f"{route.method} {route.path}"
)
async def test_wrong_requests_are_answered_as_the_contract_says(node: Embedded, route: Route) -> None:
    assert await asyncio.to_thread(hold_to_it, node.url, route, GenerationMode.NEGATIVE)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("what", ["body", "status", "type"])
async def test_a_node_that_does_not_keep_to_it_is_noticed(node: Embedded, what: str) -> None:
    told = document(ROUTES)
    responses = told["paths"]["/v1/sessions/{session}"]["get"]["responses"]
    if what == "body":
        told["components"]["schemas"]["Overview"]["properties"]["title"]["type"] = "integer"
    elif what == "status":
        del responses["200"]
    else:
        responses["200"]["content"]["text/html"] = responses["200"]["content"].pop("application/json")
    route = next(route for route in ROUTES if route.handler is get_session)
    changed = schemathesis.openapi.from_dict(told)
    with pytest.raises(FailureGroup):
        await asyncio.to_thread(hold_to_it, node.url, route, GenerationMode.POSITIVE, changed)
