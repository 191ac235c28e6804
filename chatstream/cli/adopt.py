"""`chatstream adopt`: go on with a chat.messages that was made again, or that has lost commands to retention."""

from chatstream.cli import flags
from chatstream.core.errors import BadSettings


def adopt(
    config: flags.Config = None,
    bootstrap_servers: flags.BootstrapServers = None,
    librdkafka: flags.Librdkafka = None,
) -> None:
    """Go on with chat.messages as it is now, where nodes refuse partitions because it was made again or lost commands.

    Commands that were never decided and are gone stay gone; nothing else changes. Nodes go on within `refused_s` (30 s).
    """
    given = flags.given(locals())

    import asyncio
    import uuid

    from chatstream.core.ids import NodeId
    from chatstream.engine.adopting import NODE
    from chatstream.engine.adopting import adopt as go_on
    from chatstream.serve import opened_log
    from chatstream.settings import load

    settings = load(given)
    if not settings.bootstrap_servers:
        raise BadSettings("bootstrap_servers: say where Kafka is, with --bootstrap-servers host:port; only there it can happen")

    async def run() -> None:
        async with opened_log(settings, NodeId(NODE)) as log:
            await go_on(log, lambda: uuid.uuid4().hex[:12], print)

    asyncio.run(run())
