"""The client against a server that answers as it is told: attempts, owners, problems, and readers whose streams break off."""

import asyncio
import subprocess
import sys

import pytest
from aiohttp import web

from chatstream import AsyncClient, Patience
from chatstream.client.transport import REDIRECTS_MAX
from chatstream.core.errors import (
    BadAnswer,
    BadId,
    BadInput,
    ChatstreamError,
    Erased,
    NotAnswered,
    NotOwner,
    OutcomeUnknown,
    RequestRefused,
    Unreachable,
)
from tests.answering import IMPATIENT, QUICK, answering, as_json, in_turn, problem

RECEIPT = {"session": "alice", "message_id": "m", "seq": 1, "status": "running", "position": 0}


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = (
        "import sys, chatstream; heavy = {'aiohttp', 'anthropic', 'confluent_kafka', 'msgspec', 'asyncio', 'rocksdict'}; "
        "assert not heavy & set(sys.modules), heavy & set(sys.modules); "
        "assert 'Client' in dir(chatstream); assert 'aiohttp' not in sys.modules; "
        "from chatstream import AsyncClient, Client; assert 'aiohttp' in sys.modules; "
        "assert not {'anthropic', 'confluent_kafka', 'rocksdict'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_package_has_no_other_names() -> None:
    import chatstream

    with pytest.raises(AttributeError, match="nothing"):
        _ = chatstream.nothing


async def test_a_message_has_one_id_at_every_attempt() -> None:
    answer = in_turn(problem(503, "outcome-unknown"), problem(503, "restoring"), lambda: as_json(RECEIPT, 202))
    async with answering(answer) as (url, asked), AsyncClient(url, patience=QUICK) as client:
        receipt = await client.send("alice", "hello", user="ann")
    assert receipt.seq == 1
    assert asked.paths == ["/v1/sessions/alice/messages"] * 3
    assert len({body["message_id"] for body in asked.bodies}) == 1
    assert asked.bodies[0] == {
        "text": "hello",
        "user": "ann",
        "message_id": asked.bodies[0]["message_id"],
    }


async def test_attempts_are_bounded() -> None:
    async with answering(in_turn(problem(503, "outcome-unknown"))) as (url, asked), AsyncClient(url, patience=QUICK) as client:
        with pytest.raises(OutcomeUnknown, match="because"):
            await client.send("alice", "hello")
    assert len(asked.paths) == QUICK.attempts


@pytest.mark.parametrize(("status", "code"), [(409, "turn-in-progress"), (422, "idempotency-conflict"), (413, "too-large")])
async def test_what_would_be_refused_again_is_not_asked_again(status: int, code: str) -> None:
    errors = [{"field": "text", "detail": "no"}]
    answer = in_turn(problem(status, code, errors=errors))
    async with answering(answer) as (url, asked), AsyncClient(url, patience=QUICK) as client:
        with pytest.raises(RequestRefused, match=rf"because \({code}\)") as caught:
            await client.regenerate("alice")
    assert (caught.value.code, caught.value.status, caught.value.errors) == (code, status, errors)
    assert len(asked.paths) == 1


async def test_a_node_that_asks_for_time_gets_it_within_the_limit() -> None:
    answer = in_turn(lambda: as_json({"code": "queue-full"}, 429, **{"Retry-After": "7"}), lambda: as_json(RECEIPT, 202))
    patience = Patience(attempts=2, asked_most_s=0.01)
    async with answering(answer) as (url, asked), AsyncClient(url, patience=patience) as client, asyncio.timeout(5):
        await client.send("alice", "hello")
        assert len(asked.paths) == 2
    assert Patience().pause_s(1, 7.0) == 7.0
    assert Patience().pause_s(1, 1e9) == Patience().asked_most_s
    assert Patience().pause_s(10_000) <= Patience().most_s


@pytest.mark.parametrize(("status", "code", "kind"), [(410, "session-erased", Erased), (400, "bad-id", BadId)])
async def test_problems_that_have_a_class_become_it(status: int, code: str, kind: type[ChatstreamError]) -> None:
    async with answering(in_turn(problem(status, code))) as (url, _), AsyncClient(url, patience=QUICK) as client:
        with pytest.raises(kind) as caught:
            await client.messages("alice")
    assert caught.value.code == code


async def test_the_owner_that_is_named_is_asked_with_the_same_request() -> None:
    async with answering(in_turn(lambda: as_json(RECEIPT, 202))) as (owner, asked):
        elsewhere = problem(421, "not-owner", owner=owner, partition=3)
        async with answering(in_turn(elsewhere)) as (url, first), AsyncClient(url, patience=QUICK) as client:
            await client.send("alice", "hello")
    assert asked.bodies == first.bodies


async def test_owners_in_a_circle_are_given_up() -> None:
    urls: list[str] = []
    answer = in_turn(lambda: problem(421, "not-owner", owner=urls[0], partition=3)())
    async with answering(answer) as (url, asked), AsyncClient(url, patience=IMPATIENT) as client:
        urls.append(url)
        with pytest.raises(NotOwner, match="partition 3"):
            await client.session("alice")
    assert len(asked.paths) == REDIRECTS_MAX


async def test_where_one_node_does_not_answer_another_is_asked() -> None:
    async with answering(in_turn(lambda: as_json({}))) as (gone, _):
        pass
    async with answering(in_turn(lambda: as_json({"a": 1}))) as (url, _), AsyncClient(gone, url, patience=QUICK) as client:
        assert await client.get_state("alice") == {"a": 1}


async def test_nobody_there_is_said() -> None:
    async with AsyncClient("http://127.0.0.1:1", patience=QUICK) as client:
        with pytest.raises(Unreachable, match=r"no answer from http://127\.0\.0\.1:1"):
            await client.session("alice")


@pytest.mark.parametrize("status", [200, 404])
async def test_what_is_not_json_is_not_chatstream(status: int) -> None:
    answer = in_turn(lambda: web.Response(status=status, text="<html>"))
    async with answering(answer) as (url, _), AsyncClient(url, patience=QUICK) as client:
        with pytest.raises(BadAnswer):
            await client.session("alice")


async def test_an_answer_beyond_the_limit_is_not_read() -> None:
    patience = Patience(attempts=1, bytes_most=10)
    answer = in_turn(lambda: as_json("x" * 8), lambda: as_json("x" * 9))
    async with answering(answer) as (url, _), AsyncClient(url, patience=patience) as client:
        assert (await client.get_value("alice", "k")).value == "x" * 8
        with pytest.raises(BadAnswer, match="larger than 10 bytes"):
            await client.get_value("alice", "k")


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://a", "http://", "http://a:99999"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="url: "):
        AsyncClient(url)


async def test_ids_are_looked_at_before_anything_is_asked() -> None:
    async with AsyncClient("http://127.0.0.1:1") as client:
        with pytest.raises(BadId):
            await client.send("a b", "hello")
        with pytest.raises(BadId):
            await client.get_value("alice", "a/b")
        with pytest.raises(BadInput, match="offset"):
            await anext(client.follow("alice", offset="7"))


async def test_waiting_goes_on_until_the_reply_is_there_and_ends_with_its_time() -> None:
    item = {"seq": 1, "role": "user", "text": "", "content": None, "status": "answered", "message_id": "m", "time": "",
            "turn": 1, "version": 1}  # fmt: skip
    answer = in_turn(*[lambda: as_json(RECEIPT, 202)] * 2, lambda: as_json({"message": item, "reply": item | {"text": "hi"}}))
    async with answering(answer) as (url, asked), AsyncClient(url, patience=QUICK) as client:
        assert (await client.send_and_wait("alice", "hello")).reply.text == "hi"
    assert len({body["message_id"] for body in asked.bodies}) == 1
    async with answering(in_turn(lambda: as_json(RECEIPT, 202))) as (url, asked), AsyncClient(url, patience=QUICK) as client:
        with pytest.raises(NotAnswered, match="message m7 "):
            await client.send_and_wait("alice", "hello", message_id="m7", wait_s=0.05)


async def test_a_write_names_the_value_it_goes_over() -> None:
    written = {"session": "alice", "command_id": "c", "key": "k", "seq": 1}
    answer = in_turn(lambda: as_json(written, ETag='"t2"'))
    async with answering(answer) as (url, asked), AsyncClient(url) as client:
        assert (await client.set_value("alice", "k", {"a": 1}, if_match="t1")).etag == "t2"
        await client.clear_value("alice", "k", if_match="*", command_id="c1")
    assert [headers["If-Match"] for headers in asked.headers] == ['"t1"', "*"]
    assert asked.headers[1]["Idempotency-Key"] == "c1"


async def test_a_closed_client_asks_nobody() -> None:
    client = AsyncClient("http://127.0.0.1:1")
    await client.close()
    await client.close()
    with pytest.raises(BadInput, match="closed"):
        await client.session("alice")
