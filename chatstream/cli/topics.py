"""`chatstream topics plan|apply|check`: the five topics on Kafka, as topics.yaml declares them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import typer

from chatstream.cli import flags
from chatstream.core.errors import BadSettings

if TYPE_CHECKING:
    from chatstream.topics import Step

app: Final = typer.Typer(rich_markup_mode=None)


@app.command("plan")
def plan(
    config: flags.Config = None,
    bootstrap_servers: flags.BootstrapServers = None,
    librdkafka: flags.Librdkafka = None,
    topics: flags.Topics = None,
) -> None:
    """Print what `apply` would do, and what it would refuse to do (exit code 1)."""
    given = flags.given(locals())

    from chatstream.topics import plan as find

    steps = _steps(find, given)
    for step in steps:
        print(("cannot: " if step.kind == "refuse" else "would ") + step.sentence)
    if not steps:
        print("nothing to do")
    if any(step.kind == "refuse" for step in steps):
        raise typer.Exit(1)


@app.command("apply")
def apply(
    config: flags.Config = None,
    bootstrap_servers: flags.BootstrapServers = None,
    librdkafka: flags.Librdkafka = None,
    topics: flags.Topics = None,
) -> None:
    """Create the topics that are missing, and change what may be changed."""
    given = flags.given(locals())

    from chatstream.topics import apply as do

    steps = _steps(do, given)
    for step in steps:
        print("did: " + step.sentence)
    if not steps:
        print("nothing to do")


@app.command("check")
def check(
    config: flags.Config = None,
    bootstrap_servers: flags.BootstrapServers = None,
    librdkafka: flags.Librdkafka = None,
    topics: flags.Topics = None,
) -> None:
    """Verify that nodes can work with the topics as they are."""
    given = flags.given(locals())

    from chatstream.topics import check as look

    for step in _steps(look, given):
        print("differs: " + step.sentence)
    print("the topics can be worked with")


def _steps(work: Callable[..., list["Step"]], given: dict[str, Any]) -> list["Step"]:
    from chatstream import topics as declarations
    from chatstream.settings import load

    settings = load(given)
    if not settings.bootstrap_servers:
        raise BadSettings("bootstrap_servers: say where Kafka is, with --bootstrap-servers host:port")
    return work(settings.bootstrap_servers, declarations.load(settings.topics), settings.librdkafka)
