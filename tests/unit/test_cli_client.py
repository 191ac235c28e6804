"""The commands' HTTP client, against servers that answer as they are told."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from chatstream.cli import talk
from chatstream.cli.app import run
from chatstream.cli.client import REDIRECTS_MAX, Client, Refusal, Unreachable
from chatstream.core.errors import BadInput

Answer = tuple[int, dict[str, str], bytes]


class Server:
    """Answers requests by a function of (method, path, body). asked: what came."""

    def __init__(self, answer: Callable[[dict[str, Any]], Answer]) -> None:
        self.asked: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked = {"method": self.command, "path": self.path, "body": json.loads(raw) if raw else None}
                outer.asked.append(asked)
                status, headers, body = answer(asked)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = _answer

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator["Server"]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


def as_json(status: int, body: object, **headers: str) -> Answer:
    return status, headers, json.dumps(body).encode()


def test_a_good_answer_is_its_json() -> None:
    with Server(lambda _: as_json(200, {"a": 1})).running() as server:
        assert Client(server.url + "/").ask("GET", "/x").body == {"a": 1}
        assert server.asked == [{"method": "GET", "path": "/x", "body": None}]


def test_a_prefix_in_the_url_is_kept() -> None:
    with Server(lambda _: as_json(200, {})).running() as server:
        Client(server.url + "/chat/").ask("GET", "/v1/x")
        assert server.asked[0]["path"] == "/chat/v1/x"


def test_the_owner_that_is_named_is_asked() -> None:
    with Server(lambda _: as_json(200, {"owner": "here"})).running() as owner:
        elsewhere = {"code": "not-owner", "owner": owner.url}
        with Server(lambda _: as_json(421, elsewhere)).running() as server:
            client = Client(server.url)
            assert client.ask("GET", "/x").body == {"owner": "here"}
            client.ask("GET", "/x")
            assert len(server.asked) == 1


def test_when_the_owner_is_gone_the_first_node_is_asked_again() -> None:
    with Server(lambda _: as_json(200, {})).running() as gone:
        pass
    answers = iter([as_json(421, {"owner": gone.url}), as_json(200, {"a": 1})])
    with Server(lambda _: next(answers)).running() as server:
        client = Client(server.url)
        with pytest.raises(Unreachable, match="no answer"):
            client.ask("GET", "/x")
        assert client.ask("GET", "/x").body == {"a": 1}


def test_owners_in_a_circle_are_given_up() -> None:
    with Server(lambda _: as_json(421, {"code": "not-owner", "owner": server.url})).running() as server:
        with pytest.raises(Refusal, match="not-owner"):
            Client(server.url).ask("GET", "/x")
        assert len(server.asked) == REDIRECTS_MAX


def test_a_problem_becomes_its_detail_and_code() -> None:
    answer = as_json(429, {"detail": "too many", "code": "queue-full"}, **{"Retry-After": "7"})
    with Server(lambda _: answer).running() as server:
        with pytest.raises(Refusal, match=r"too many \(queue-full\)") as caught:
            Client(server.url).ask("GET", "/x")
        assert caught.value.retry_after_s == 7


def test_what_is_not_json_is_not_chatstream() -> None:
    with Server(lambda _: (200, {}, b"<html>")).running() as server, pytest.raises(Unreachable, match="is not chatstream"):
        Client(server.url).ask("GET", "/x")


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://a", "http://", "http://a:99999"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="url: "):
        Client(url)


def test_a_message_whose_outcome_is_unknown_is_sent_again_under_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    def answer(asked: dict[str, Any]) -> Answer:
        if len(server.asked) < talk.ATTEMPTS:
            return as_json(503, {"code": "outcome-unknown"}, **{"Retry-After": "0"})
        return as_json(202, {"message_id": asked["body"]["message_id"], "seq": 1, "status": "running"})

    with Server(answer).running() as server:
        assert run(["send", "alice", "hello", "--url", server.url]) == 0
        assert len({asked["body"]["message_id"] for asked in server.asked}) == 1
        assert len(server.asked) == talk.ATTEMPTS
    assert "seq 1 running" in capsys.readouterr().out


def test_a_message_is_sent_again_only_so_often(capsys: pytest.CaptureFixture[str]) -> None:
    answer = as_json(503, {"code": "outcome-unknown", "detail": "the log did not answer"}, **{"Retry-After": "0"})
    with Server(lambda _: answer).running() as server:
        assert run(["send", "alice", "hello", "--url", server.url]) == 1
        assert len(server.asked) == talk.ATTEMPTS
    assert "outcome-unknown" in capsys.readouterr().err


def test_waiting_goes_on_until_the_reply_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    answers = iter([as_json(202, {"seq": 1}), as_json(202, {"seq": 1}), as_json(200, {"reply": {"text": "hi"}})])
    with Server(lambda _: next(answers)).running() as server:
        assert run(["send", "alice", "hello", "--wait", "--url", server.url]) == 0
        assert len({asked["body"]["message_id"] for asked in server.asked}) == 1
    assert capsys.readouterr().out == "hi\n"
