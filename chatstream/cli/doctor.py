"""`chatstream doctor`: what is wrong here, a line each, with what to do about it."""

import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import typer

from chatstream.cli import flags
from chatstream.core.errors import ChatstreamError, DirectoryInUse

if TYPE_CHECKING:
    from chatstream.settings import Settings

FREE_BYTES_MIN: Final = 1024**3
"""RocksDB needs room to compact; below this a busy node can stop within minutes."""
CLOCK_SLACK_S: Final = 60.0
"""Clocks that agree better than this put nothing into a wrong order that anybody sees."""
BROKER_WAIT_S: Final = 10.0


class Complaint(Exception):
    """A check failed: what is wrong, and what to do."""


Check = Callable[["Settings"], str]


def doctor(
    config: flags.Config = None,
    listen: flags.Listen = None,
    no_auth: flags.NoAuth = None,
    data: flags.Data = None,
    partitions: flags.Partitions = None,
    bootstrap_servers: flags.BootstrapServers = None,
    librdkafka: flags.Librdkafka = None,
    topics: flags.Topics = None,
    responder: flags.Responder = None,
    system: flags.System = None,
) -> None:
    """Check what a node needs here: a line each, and exit code 1 when something is wrong."""
    given = flags.given(locals())

    from chatstream.settings import load

    failed = False
    for name, outcome, wrong in _results(load(given)):
        failed = failed or wrong
        print(f"{'WRONG' if wrong else 'ok':5} {name}: {outcome}")
    if failed:
        raise typer.Exit(1)


def _results(settings: "Settings") -> Iterator[tuple[str, str, bool]]:
    for name, check in CHECKS.items():
        try:
            outcome = check(settings)
        except (Complaint, ChatstreamError, OSError) as error:
            yield name, " ".join(str(error).split()), True
        else:
            if outcome:
                yield name, outcome, False


def _python(_: "Settings") -> str:
    # An older one does not get this far: the package does not install there.
    return f"{platform.python_version()} at {sys.executable}"


def _directory(settings: "Settings") -> str:
    from chatstream.serve import keep_node_id

    node_id = keep_node_id(settings.data)
    if not os.access(settings.data, os.W_OK | os.X_OK):
        raise Complaint(f"{settings.data} cannot be written; change its owner, or choose another with --data")
    free_bytes = shutil.disk_usage(settings.data).free
    if free_bytes < FREE_BYTES_MIN:
        raise Complaint(f"{settings.data} has {free_bytes // 2**20} MiB left; make room for 1 GiB at least")
    return f"{settings.data}, node {node_id}, {free_bytes // 2**30} GiB free"


def _port(settings: "Settings") -> str:
    from chatstream.serve import bound

    bound(settings.address).close()
    return f"{settings.listen} is free"


def _responder(settings: "Settings") -> str:
    from chatstream.respond import loading

    spec = settings.responder or loading.default_spec(os.environ)
    loading.load(spec, system=loading.system_text(settings.system), max_tokens=settings.max_tokens)
    if spec.partition(":")[0] == "anthropic" and not os.environ.get(loading.KEY_VARIABLE, "").strip():
        raise Complaint(f"{spec} needs {loading.KEY_VARIABLE} in the environment")
    return spec


def _log(settings: "Settings") -> str:
    """Can it be reached, and are its topics as they should be?"""
    import asyncio

    try:
        return asyncio.run(_look_at_log(settings))
    except TimeoutError as error:
        raise Complaint(
            f"no answer from {settings.bootstrap_servers} in {BROKER_WAIT_S:g} s; is it the right address?"
        ) from error
    except DirectoryInUse:
        return f"embedded, in {settings.data}; a node is using it"


async def _look_at_log(settings: "Settings") -> str:
    import asyncio

    from chatstream.serve import keep_node_id, opened_log

    async with asyncio.timeout(BROKER_WAIT_S), opened_log(settings, keep_node_id(settings.data)) as log:
        topics = await log.identify()
    where = f"Kafka at {settings.bootstrap_servers}" if settings.bootstrap_servers else f"embedded, in {settings.data}"
    return f"{where}, {len(topics)} topics"


def _clock(settings: "Settings") -> str:
    newest = max((path.stat().st_mtime for path in settings.data.rglob("*")), default=0.0)
    ahead_s = newest - time.time()
    if ahead_s > CLOCK_SLACK_S:
        raise Complaint(f"files in {settings.data} are {ahead_s:.0f} s in the future; set the clock (NTP)")
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


CHECKS: Final[dict[str, Check]] = {
    "python": _python,
    "data directory": _directory,
    "clock": _clock,
    "address": _port,
    "responder": _responder,
    "log": _log,
}
"""In the order in which one would look: later ones need what earlier ones found."""
