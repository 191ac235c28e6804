"""Who may ask: a page elsewhere must not be able to post to a local node or read from it.

A `Host` that is neither loopback nor listed is DNS rebinding or a mistake; an `Origin` that is neither the node's own nor
listed is a foreign page.
"""

from typing import Final

from chatstream.web.problems import Problem

_REMEMBERED_MOST: Final = 256


class Doorkeeper:
    """Checks `Host` and `Origin`; remembers the hosts it let in, for nearly all requests bring the same one."""

    def __init__(self, hosts: frozenset[str], origins: frozenset[str]) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._known: set[str] = set()

    def check(self, host: str | None, origin: str | None) -> None:
        """Raises Problem (403)."""
        if host is None or host not in self._known:
            self._check_host(host)
        if origin is not None:
            self._check_origin(origin, host or "")

    def _check_host(self, host: str | None) -> None:
        name = host_name(host or "")
        if not name or not (is_loopback(name) or name in self._hosts):
            raise Problem(403, "foreign-host", "the Host header names neither loopback nor a host this node may be asked as")
        if host is not None and len(self._known) < _REMEMBERED_MOST:
            self._known.add(host)

    def _check_origin(self, origin: str, host: str) -> None:
        # Behind a proxy that ends TLS the scheme differs from ours, so only host and port are compared.
        _, separator, authority = origin.lower().partition("://")
        if separator and authority == host.lower():
            return
        if origin.lower() not in self._origins:
            raise Problem(403, "foreign-origin", "pages of this origin may not use this node")


def host_name(host: str) -> str:
    """The name in a Host header, lower case, without port and brackets; empty when it is ill-formed."""
    if host.startswith("["):
        name, bracket, rest = host[1:].partition("]")
        return name.lower() if bracket and (not rest or _is_port(rest)) else ""
    name, colon, port = host.partition(":")
    return name.lower() if not colon or port.isdecimal() else ""


def _is_port(rest: str) -> bool:
    return rest.startswith(":") and rest[1:].isdecimal()


def is_loopback(name: str) -> bool:
    """Is a name or address from a Host header this very machine?"""
    if name in ("localhost", "::1"):
        return True
    parts = name.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isdecimal() and int(part) < 256 for part in parts)
