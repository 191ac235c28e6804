"""The assembly of a node: which log, which tables, which responder, and HTTP in front."""

import asyncio
import gc
import logging
import os
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from chatstream import topics
from chatstream.core.errors import BadId, BadSettings, ChatstreamError
from chatstream.core.ids import NodeId, message_id
from chatstream.engine.node import Node
from chatstream.log.kafka_watchdog import LOOKS, Watchdog, end_process
from chatstream.log.port import Log, Topic
from chatstream.respond import loading
from chatstream.settings import Address, Settings
from chatstream.table.rocks import RocksTableStore
from chatstream.web.app import make_app
from chatstream.web.server import BACKLOG, HttpServer
from chatstream.web.settings import WebSettings

log = logging.getLogger(__name__)

NODE_ID_FILE: Final = "node-id"
TABLES: Final = "tables"
LOG: Final = "log"
TOPICS_WAIT_S: Final = 30.0
"""A broker that runs hears of a new topic within a second; one that is just being made leader of it takes some more."""
TOPICS_LOOK_S: Final = 0.2
GARBAGE_AFTER: Final = 20_000
"""Objects made and not freed between two looks of the garbage collector. At Python's own 700 it took a seventh of a busy node's
time, and found next to nothing: what a turn makes is freed by its reference counts."""
LOOP_STUCK_S: Final = 30.0
"""Longest time the event loop may stand still, as when somebody's model code blocks it: Kafka's heartbeats go on from a thread
of their own, so the partitions would stay here and nobody would be answered."""


class CannotListen(ChatstreamError):
    """The address cannot be listened on: it is taken, or not this machine's."""

    code = "cannot-listen"


class NodeFailed(ChatstreamError):
    """The node met what it cannot go on from, and says so in its log: start it again, its conversations are in the log."""

    code = "node-failed"


class Serving(msgspec.Struct, frozen=True):
    """A node that runs. url: where it really listens. log and model: what a person is told about them."""

    node: Node
    url: str
    log: str
    model: str


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Serving]:
    """A node, from its settings to answering HTTP, and back.

    1. What a person may have got wrong comes first and costs nothing to take back: the data directory, the responder's
       name, the address.
    2. The log, and its topics: without them there is nothing to join.
    3. The engine joins the group. The address was bound before, because other nodes are told it.
    4. HTTP last: whoever can connect gets an answer.
    On the way out the engine stops first (it needs the log, and wakes those who wait over HTTP), then HTTP, then the rest.

    Raises BadSettings, CannotListen, DirectoryInUse, LogUnavailable, LogReplaced.
    """
    node_id = keep_node_id(settings.data)
    spec = settings.responder or loading.default_spec(os.environ)
    limits = settings.make_limits()
    system = loading.system_text(settings.system)
    make_responder = loading.load(spec, system=system, max_tokens=settings.max_tokens, calls=limits.calls)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(bound(settings.address))
        port = int(listener.getsockname()[1])
        opened = await stack.enter_async_context(opened_log(settings, node_id))
        tables = stack.enter_context(closing(RocksTableStore(settings.data / TABLES)))
        responder = make_responder()
        stack.push_async_callback(responder.close)
        node = Node(log=opened, tables=tables, responder=responder, limits=limits, node_id=node_id, url=settings.url(port))
        app = make_app(node, limits=limits, settings=_web_settings(settings, spec, settings.url(port)), log=opened)
        http = HttpServer(app, settings.address.host, port, bound=listener)
        stack.push_async_callback(http.close)
        await node.start()
        stack.push_async_callback(node.stop, drain_s=settings.drain)
        await http.start()
        yield Serving(node, f"http://{Address(settings.address.host, port)}", _log_name(settings), spec)


@asynccontextmanager
async def opened_log(settings: Settings, node_id: NodeId) -> AsyncIterator[Log]:
    """The log that the settings name, open, with all its topics. Raises as `serving` does."""
    opened = _make_log(settings, node_id)
    if settings.bootstrap_servers:
        await asyncio.to_thread(_ready_topics, settings)
    await opened.open()
    try:
        if settings.bootstrap_servers:
            await until_topics_known(opened)
        yield opened
    finally:
        await opened.close()


async def until_topics_known(opened: Log, wait_s: float = TOPICS_WAIT_S) -> None:
    """Wait until the log knows all its topics: of several brokers the one that answers it may hear of new ones last.

    Returns after wait_s all the same: what is missing then is said where it is needed.
    """
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + wait_s
    while not set(Topic) <= set(await opened.identify()) and loop.time() < deadline_s:  # noqa: ASYNC110  # a broker has no event
        await asyncio.sleep(TOPICS_LOOK_S)


def _ready_topics(settings: Settings) -> None:
    """Create what is missing, unless told not to; refuse what cannot be worked with; say what else differs."""
    declared = topics.load(settings.topics)
    servers, properties = settings.bootstrap_servers, settings.librdkafka
    if settings.create_topics:
        steps = topics.plan(servers, declared, properties)
        # Only these: what exists and differs may be so on purpose, changing it is for `topics apply`.
        missing = {step.topic: declared[step.topic] for step in steps if step.kind == "create"}
        if missing:
            topics.apply(servers, missing, properties)
    wait_s = TOPICS_WAIT_S if settings.create_topics else 0.0
    for step in topics.check(servers, declared, properties, wait_s=wait_s):
        log.warning("the topics differ from their declaration: %s", step.sentence)


def keep_node_id(data: Path) -> NodeId:
    """The node's id: made once, then the one in the data directory, which is made when missing. Raises BadSettings."""
    path = data / NODE_ID_FILE
    try:
        data.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make_node_id(path)
        return NodeId(message_id(path.read_text(encoding="ascii").strip()))
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"data: {data} cannot be used: {error}") from error
    except BadId as error:
        raise BadSettings(f"data: {path} does not hold a node's id; remove it to get a new one") from error


def _make_node_id(path: Path) -> None:
    # At once or not at all, and never over another process's: a link is made only where nothing is.
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_text(f"node-{uuid.uuid4().hex[:12]}\n", encoding="ascii")
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()


def bound(address: Address) -> socket.socket:
    """A socket bound to the address, not listening yet. Raises CannotListen."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            # Listening already keeps a second node from binding the same port meanwhile.
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise CannotListen(f"cannot listen on {address}: {error.strerror}; choose another with --listen") from error
    listener.setblocking(False)
    return listener


def run(settings: Settings, announce: Callable[[Serving], None]) -> None:
    """Serve until SIGTERM or SIGINT; a second signal ends the process at once. Raises as `serving` does, and NodeFailed."""
    _allow_open_files()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings, announce))


def _allow_open_files() -> None:
    """Ask for as many open files as the system allows: each reader is one, and 1,024 is what most shells begin with."""
    try:
        import resource
    except ImportError:
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems say "unlimited" and mean less
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(settings: Settings, announce: Callable[[Serving], None]) -> None:
    told = _Told()
    try:
        async with loop_watched(), serving(settings) as served:
            told.starting = None
            announce(served)
            _calm_garbage_collector()
            await asyncio.wait([told.stop, served.node.failed], return_when=asyncio.FIRST_COMPLETED)
            if served.node.failed.done() and (error := served.node.failed.exception()) is not None:
                raise NodeFailed(f"the node cannot go on: {type(error).__name__}: {error}") from error
            log.info("stopping; a second signal ends the process at once")
    except asyncio.CancelledError:
        # Told to stop while the log did not answer yet: there was nothing to leave.
        if not told.stop.done():
            raise


def _calm_garbage_collector() -> None:
    """Modules and what else came with the start stay for good: they are not looked through again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER)


@asynccontextmanager
async def loop_watched(limit_s: float = LOOP_STUCK_S, action: Callable[[str], None] = end_process) -> AsyncIterator[None]:
    """While entered: an event loop that makes no turn for limit_s ends the process (action is for tests)."""
    loop = asyncio.get_running_loop()
    beats = 0
    timer: asyncio.TimerHandle | None = None

    def beat() -> None:
        nonlocal beats, timer
        beats += 1
        timer = loop.call_later(limit_s / LOOKS, beat)

    watchdog = Watchdog("the event loop", lambda: beats, limit_s, action)
    beat()
    watchdog.start()
    try:
        yield
    finally:
        watchdog.stop()
        if timer is not None:
            timer.cancel()


class _Told:
    """What signals have said. stop: completes with the first one. starting: the task to cancel while it still starts."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.stop: asyncio.Future[None] = loop.create_future()
        self.starting = asyncio.current_task()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._tell, number)

    def _tell(self, number: int) -> None:
        if self.stop.done():
            log.warning("told to stop again: ending at once; what was not confirmed is done after the next start")
            os._exit(128 + number)
        self.stop.set_result(None)
        if self.starting is not None:
            log.info("stopping before the start was done; a second signal ends the process at once")
            self.starting.cancel()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _make_log(settings: Settings, node_id: NodeId) -> Log:
    if settings.bootstrap_servers:
        from chatstream.log.kafka import KafkaLog

        return KafkaLog(bootstrap_servers=settings.bootstrap_servers, node_id=node_id, overrides=settings.librdkafka)
    from chatstream.log.embedded import EmbeddedLog

    return EmbeddedLog(settings.data / LOG, partitions=settings.partitions, fsync=settings.fsync)


def _log_name(settings: Settings) -> str:
    if settings.bootstrap_servers:
        return f"Kafka at {settings.bootstrap_servers}"
    return f"the embedded log in {settings.data}"


def _web_settings(settings: Settings, model: str, url: str) -> WebSettings:
    # Other nodes ask under the name that they were told.
    names = {*settings.allow_host, urlsplit(url).hostname or ""} - {""}
    return WebSettings(
        allowed_hosts=frozenset(name.lower() for name in names),
        allowed_origins=frozenset(settings.allow_origin),
        cors_origins=frozenset(settings.cors_origin),
        url=url,
        model=model,
    )
