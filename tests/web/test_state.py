"""The K/V state of a session over HTTP."""

import pytest

from chatstream.core.limits import Limits
from tests.web.conftest import Client, problem_of, send
from tests.web.fake_desk import FakeDesk

STATE = "/v1/sessions/alice/state"
JSON = {"Content-Type": "application/json"}


async def put(client: Client, key: str, body: str, **headers: str) -> dict[str, object]:
    """Set a value; the answer's body, with its ETag."""
    async with client.put(f"{STATE}/{key}", data=body, headers=JSON | headers) as answer:
        assert answer.status == 200, await answer.text()
        return {**(await answer.json()), "etag": answer.headers.get("ETag")}


async def test_a_value_is_set_read_and_removed(client: Client) -> None:
    written = await put(client, "a", '{"b": [1, null]}')
    assert (written["seq"], written["key"]) == (1, "a")
    async with client.get(f"{STATE}/a") as answer:
        assert (answer.status, await answer.json()) == (200, {"b": [1, None]})
        assert answer.headers["ETag"] == written["etag"]
    async with client.get(f"{STATE}/a", headers={"If-None-Match": str(written["etag"])}) as answer:
        assert answer.status == 304
    await put(client, "c", "2")
    async with client.get(STATE) as answer:
        assert await answer.json() == {"a": {"b": [1, None]}, "c": 2}
    async with client.delete(f"{STATE}/a") as answer:
        assert answer.status == 200
    async with client.get(f"{STATE}/a") as answer:
        await problem_of(answer, 404, "no-such-key")


async def test_a_write_may_name_the_value_that_it_goes_over(client: Client, desk: FakeDesk) -> None:
    first = await put(client, "a", "1")
    second = await put(client, "a", "2", **{"If-Match": str(first["etag"])})
    for headers in ({"If-Match": str(first["etag"])}, {"If-Match": '"none"'}):
        async with client.put(f"{STATE}/a", data="3", headers=JSON | headers) as answer:
            await problem_of(answer, 412, "precondition-failed")
        async with client.delete(f"{STATE}/a", headers=headers) as answer:
            await problem_of(answer, 412, "precondition-failed")
    async with client.put(f"{STATE}/new", data="3", headers=JSON | {"If-Match": "*"}) as answer:
        await problem_of(answer, 412, "precondition-failed")
    assert desk.last_seq("alice") == second["seq"] == 2
    async with client.delete(f"{STATE}/a", headers={"If-Match": "*"}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("given", ["abc", '"a", "b"', '""', "W/x"])
async def test_an_if_match_that_is_none_is_refused(client: Client, given: str) -> None:
    async with client.put(f"{STATE}/a", data="1", headers=JSON | {"If-Match": given}) as answer:
        await problem_of(answer, 400, "bad-parameter")


@pytest.mark.parametrize(
    ("key", "body", "status", "code"),
    [
        ("a", "", 400, "empty"),
        ("a", "{", 400, "malformed-json"),
        ("a", "NaN", 400, "malformed-json"),
        ("x" * 201, "1", 400, "bad-id"),
        ("a%0Ab", "1", 400, "bad-id"),
        ("a", "[" * 65 + "]" * 65, 400, "too-deep"),
    ],
)
async def test_what_is_no_write_is_refused(client: Client, desk: FakeDesk, key: str, body: str, status: int, code: str) -> None:
    async with client.put(f"{STATE}/{key}", data=body, headers=JSON) as answer:
        await problem_of(answer, status, code)
    assert desk.submitted == []


async def test_a_value_is_as_large_as_the_limit_and_not_a_byte_larger(client: Client, limits: Limits) -> None:
    most = limits.state_value_bytes
    await put(client, "a", '"' + "x" * (most - 2) + '"')
    async with client.put(f"{STATE}/a", data='"' + "x" * (most - 1) + '"', headers=JSON) as answer:
        await problem_of(answer, 413, "too-large")


async def test_the_whole_state_has_its_limit_and_may_always_shrink(client: Client, limits: Limits) -> None:
    value = '"' + "x" * (limits.state_value_bytes - 2) + '"'
    count = limits.state_bytes // (limits.state_value_bytes + 3)
    for number in range(count):
        await put(client, f"k{number:02}", value)
    async with client.put(f"{STATE}/last", data=value, headers=JSON) as answer:
        await problem_of(answer, 413, "state-too-large")
    await put(client, "k00", "1")
    await put(client, "last", value)


async def test_a_sessions_state_is_unknown_before_its_first_event(client: Client) -> None:
    async with client.get(STATE) as answer:
        await problem_of(answer, 404, "no-such-session")
    await send(client, "one")
    async with client.get(STATE) as answer:
        assert await answer.json() == {}


async def test_a_repeated_write_gets_the_first_answer(client: Client) -> None:
    first = await put(client, "a", "1", **{"Idempotency-Key": "w-1"})
    assert await put(client, "a", "1", **{"Idempotency-Key": "w-1"}) == {**first, "duplicate": True}
    async with client.put(f"{STATE}/a", data="2", headers=JSON | {"Idempotency-Key": "w-1"}) as answer:
        await problem_of(answer, 422, "idempotency-conflict")
