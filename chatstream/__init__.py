"""chatstream: persistent chat sessions for language-model applications, on Kafka.

`Client` and `AsyncClient` are found here; they are imported when they are first asked for, so that `import chatstream` costs
nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatstream.client import AsyncClient as AsyncClient
    from chatstream.client import Client as Client
    from chatstream.client import Patience as Patience

_FOUND_IN_CLIENT = ("AsyncClient", "Client", "Patience")


def __getattr__(name: str) -> Any:
    if name not in _FOUND_IN_CLIENT:
        raise AttributeError(f"module 'chatstream' has no attribute {name!r}")
    from chatstream import client

    return getattr(client, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_FOUND_IN_CLIENT])
