"""Flags that commands share. None means "not given": then the environment, the TOML file or the default decides."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from chatstream.core.errors import BadSettings

Url = Annotated[str, typer.Option("--url", envvar="CHATSTREAM_URL", help="Where a node listens.", metavar="URL")]
URL = "http://127.0.0.1:8080"

Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="TOML file with settings [default: chatstream.toml if there]")
]
Listen = Annotated[str | None, typer.Option("--listen", metavar="HOST:PORT", help="Where to listen [default: 127.0.0.1:8080]")]
NoAuth = Annotated[
    bool | None, typer.Option("--no-auth", help="Listen beyond loopback although nobody has to log in", show_default=False)
]
AllowHost = Annotated[
    list[str] | None, typer.Option("--allow-host", metavar="NAME", help="Host name this node may be called by; repeatable")
]
AllowOrigin = Annotated[
    list[str] | None, typer.Option("--allow-origin", metavar="URL", help="Origin whose pages may use this node; repeatable")
]
CorsOrigin = Annotated[
    list[str] | None, typer.Option("--cors-origin", metavar="URL", help="Origin whose pages may read answers; repeatable")
]
Advertise = Annotated[str | None, typer.Option("--advertise", metavar="URL", help="Where other nodes reach this one")]
Data = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Data directory [default: data]")]
BootstrapServers = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers", "--bootstrap-server", metavar="HOST:PORT[,…]", help="Kafka [default: the embedded log]"
    ),
]
Librdkafka = Annotated[list[str] | None, typer.Option("-X", metavar="NAME=VALUE", help="librdkafka property; repeatable")]
Topics = Annotated[Path | None, typer.Option("--topics", metavar="FILE", help="topics.yaml of your own")]
CreateTopics = Annotated[
    bool | None,
    typer.Option("--create-topics/--no-create-topics", help="Create missing topics [default: yes]", show_default=False),
]
Partitions = Annotated[
    int | None, typer.Option("--partitions", metavar="N", help="Embedded log: partitions it is made with [default: 16]")
]
Fsync = Annotated[
    bool | None,
    typer.Option("--fsync/--no-fsync", help="Embedded log: every batch to the disk at once [default: no]", show_default=False),
]
Responder = Annotated[
    str | None, typer.Option("--responder", metavar="NAME", help="offline, anthropic[:MODEL] or package.module:name")
]
System = Annotated[str | None, typer.Option("--system", metavar="TEXT|@FILE", help="System prompt")]
MaxTokens = Annotated[int | None, typer.Option("--max-tokens", metavar="N", help="Longest reply of a model [default: 8192]")]
Drain = Annotated[
    float | None, typer.Option("--drain", metavar="SECONDS", help="For running model calls to finish at the end [default: 0]")
]
EraseIdleDays = Annotated[
    float | None,
    typer.Option("--erase-idle-days", metavar="N", help="Erase sessions untouched for N days [default: 0, never]"),
]
MaxCalls = Annotated[int | None, typer.Option("--max-calls", metavar="N", help="Model calls at once [default: 256]")]
Limit = Annotated[list[str] | None, typer.Option("--limit", metavar="NAME=VALUE", help="Any other limit; repeatable")]
LogLevel = Annotated[str | None, typer.Option("--log-level", metavar="LEVEL", help="debug, info, warning or error")]

_PAIRS = {"librdkafka": "-X", "limits": "--limit"}


def given(params: dict[str, Any]) -> dict[str, Any]:
    """What of a command's parameters was given, as settings.load wants it. Raises BadSettings."""
    found = {name: value for name, value in params.items() if value is not None and value != [] and value != ()}
    for name, flag in _PAIRS.items():
        if name in found:
            found[name] = _pairs(flag, found[name])
    calls = found.pop("max_calls", None)
    if calls is not None:
        found["limits"] = {**found.get("limits", {}), "calls": calls}
    return found


def _pairs(flag: str, raw: Sequence[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in raw]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise BadSettings(f"{flag}: is name=value, not {name + equals!r}")
    return {name: value for name, _, value in pairs}
