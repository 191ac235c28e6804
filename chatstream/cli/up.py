"""`chatstream up`: a node, until it is told to stop."""

import sys
from typing import TYPE_CHECKING

from chatstream.cli import flags

if TYPE_CHECKING:
    from chatstream.serve import Serving


def up(
    config: flags.Config = None,
    listen: flags.Listen = None,
    no_auth: flags.NoAuth = None,
    allow_host: flags.AllowHost = None,
    allow_origin: flags.AllowOrigin = None,
    cors_origin: flags.CorsOrigin = None,
    advertise: flags.Advertise = None,
    data: flags.Data = None,
    bootstrap_servers: flags.BootstrapServers = None,
    librdkafka: flags.Librdkafka = None,
    topics: flags.Topics = None,
    create_topics: flags.CreateTopics = None,
    partitions: flags.Partitions = None,
    fsync: flags.Fsync = None,
    responder: flags.Responder = None,
    system: flags.System = None,
    max_tokens: flags.MaxTokens = None,
    drain: flags.Drain = None,
    erase_idle_days: flags.EraseIdleDays = None,
    max_calls: flags.MaxCalls = None,
    limits: flags.Limit = None,
    log_level: flags.LogLevel = None,
) -> None:
    """Run a node: HTTP, the engine, and the log it is given (embedded, or Kafka with --bootstrap-servers).

    Every flag is also CHATSTREAM_… in the environment and a line in chatstream.toml.
    """
    settings_given = flags.given(locals())

    from chatstream import logs, serve
    from chatstream.settings import load

    settings = load(settings_given)
    logs.set_up(settings.log_level)
    serve.run(settings, announce)


def announce(served: "Serving") -> None:
    """The line a person needs at the start, and what to try."""
    hint = " (no model; set ANTHROPIC_API_KEY or --responder)" if served.model == "offline" else ""
    print(f"chatstream serves {served.url} from {served.log}, answers by {served.model}{hint}")
    print(f"try: curl -H 'Prefer: wait=30' -H 'Content-Type: text/plain' -d hello {served.url}/v1/sessions/alice/messages")
    sys.stdout.flush()
