"""The same work without chatstream, as processes of their own: what no implementation on these libraries can beat.

`python -m benchmarks.floors http PORT BYTES`: an aiohttp server that reads a body and answers with one of our size; that
answers a GET with so many bytes; and whose live streams are sent a frame for each body.
`python -m benchmarks.floors kafka BOOTSTRAP COUNT`: consumes COUNT records and produces three for each, acks awaited;
prints its CPU seconds.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop
from aiohttp import web
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.rig import PARTITIONS, cpu_s
from tests.nodes import free_port
from tests.until import until

ANSWER = b'{"message":%s,"reply":%s}' % (b'"' + b"m" * 350 + b'"', b'"' + b"r" * 350 + b'"')


FRAME = b'data: {"type":"text.delta"}\n\n'
WINDOWS = web.AppKey("windows", set[web.StreamResponse])
PAGE = web.AppKey("page", bytes)


async def _answer(request: web.Request) -> web.Response:
    await request.read()
    for window in request.app[WINDOWS]:
        await window.write(FRAME)
    return web.Response(body=ANSWER, content_type="application/json")


async def _page(request: web.Request) -> web.Response:
    return web.Response(body=request.app[PAGE], content_type="application/json")


async def _live(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b'data: {"type":"stream.ready"}\n\n')
    request.app[WINDOWS].add(response)
    await asyncio.Event().wait()
    return response


def serve_http(port: int, page_bytes: int) -> None:
    """Serve until killed."""
    app = web.Application()
    app[WINDOWS] = set()
    app[PAGE] = b"p" * page_bytes
    app.router.add_post("/v1/sessions/{session}/messages", _answer)
    app.router.add_get("/v1/sessions/{session}/messages", _page)
    app.router.add_get("/v1/sessions/{session}/live", _live)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, loop=uvloop.new_event_loop())


@asynccontextmanager
async def bare_http(page_bytes: int = 0) -> AsyncIterator[int]:
    """The bare server's port."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.floors", "http", str(port), str(page_bytes)
    )
    try:
        await until(lambda: _listens(port), 20, "the bare server listens")
        yield port
    finally:
        process.kill()
        await process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as each:
        return each.connect_ex(("127.0.0.1", port)) == 0


def consume_and_produce(bootstrap: str, count: int) -> float:
    """CPU seconds to consume `count` records and produce three for each."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "floor", "enable.auto.commit": False, "log_level": 0})
    consumer.assign([TopicPartition("chat.messages", partition, 0) for partition in range(PARTITIONS)])
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all", "log_level": 0})
    seen = acked = 0

    def on_ack(error: KafkaError | None, _: Message) -> None:
        nonlocal acked
        assert error is None, error
        acked += 1

    start_s = cpu_s(os.getpid())
    value = b"v" * 350
    while acked < 3 * count:
        for message in consumer.consume(500, 0.01) if seen < count else ():
            assert message.error() is None
            seen += 1
            for _ in range(3):
                producer.produce("floor", value, message.key(), on_delivery=on_ack, headers=[("claim", b"1-abc")])
        producer.poll(0 if seen < count else 0.01)
    return cpu_s(os.getpid()) - start_s


def floor_cpu_s(bootstrap: str, count: int) -> float:
    """The same in a process of its own, onto a topic of its own."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    if "floor" not in admin.list_topics(timeout=10).topics:
        admin.create_topics([NewTopic("floor", PARTITIONS, 1)])["floor"].result(30)
    command = [sys.executable, "-m", "benchmarks.floors", "kafka", bootstrap, str(count)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    if sys.argv[1] == "http":
        serve_http(int(sys.argv[2]), int(sys.argv[3]))
    else:
        print(consume_and_produce(sys.argv[2], int(sys.argv[3])))
