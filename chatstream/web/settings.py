"""What a node's HTTP side can be told, and the typed keys under which handlers find what they need."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry

from chatstream.core.limits import Limits
from chatstream.engine.desk import Desk

EngineCounters = Callable[[], Mapping[str, float]]
"""Gives the engine's own counters by name when /metrics is asked for; they only grow."""


class SseTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Of streams of server-sent events, in seconds."""

    shortest_s: float = 40.0
    longest_s: float = 50.0
    """A stream ends itself between these, before proxies do (30 to 60 s); its reader comes back where it was."""
    heartbeat_s: float = 15.0
    """A comment is sent when nothing else was for so long."""
    write_s: float = 10.0
    """How long a reader may take to make room for the next frame; then its stream is ended as `slow`."""
    write_grace_s: float = 5.0
    """From then on for that and for the last frame; then the connection is dropped."""


class WebSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Times are in seconds."""

    allowed_hosts: frozenset[str] = frozenset()
    """Names under which the node may be asked, beside loopback; lower case, without port."""
    allowed_origins: frozenset[str] = frozenset()
    """Origins whose pages may use the node, beside its own: `https://chat.example`."""
    cors_origins: frozenset[str] = frozenset()
    """Origins whose pages may, in addition, read what they are answered."""
    poll_s: float = 25.0
    """Longest time of a long poll; it ends up to a tenth earlier, so that pollers do not all come back at once."""
    sse: SseTimes = SseTimes()
    body_s: float = 30.0
    """How long a request's body may take to arrive."""
    restore_hold_s: float = 5.0
    """How long a request is held while its partition is being restored."""
    peers_s: float = 2.0
    """How long other nodes may take to answer what is asked of all of them."""
    retry_after_s: int = 1
    """What `Retry-After` says where nothing better is known."""
    url: str = ""
    """Under which other nodes reach this one."""
    model: str = ""
    """Which responder answers here, as it was named: the pages tell people."""


DESK: Final = web.AppKey("desk", Desk)
LIMITS: Final = web.AppKey("limits", Limits)
SETTINGS: Final = web.AppKey("settings", WebSettings)
PASSED_ON: Final = web.AppKey("passed_on", set[int])
"""Requests that are with another node now, by id()."""
REGISTRY: Final = web.AppKey("registry", CollectorRegistry)

HELD: Final = web.RequestKey("held", bool)
"""On a request that waits on purpose: its time says nothing about how fast the node is."""
REQUEST_ID: Final = web.RequestKey("request_id", str)
REQUEST_ID_HEADER: Final = "X-Request-Id"
