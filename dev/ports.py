"""Ports for servers that are started on a number, stopped, and started again on the same one.

Asking the system for "any free port" gives one that clients' outgoing connections are given too: between two starts of a
server somebody's connection may sit on it, and the server dies of "address already in use". So: below that range.
"""

import random
import socket
from typing import Final

HOST: Final = "127.0.0.1"
FIRST: Final = 10_000
LAST: Final = 32_000
"""Linux gives outgoing connections ports from 32768 on (net.ipv4.ip_local_port_range)."""
TRIES: Final = 200


def free_ports(count: int) -> list[int]:
    """Different ports that nobody listens on now. Raises RuntimeError when none can be found."""
    found: set[int] = set()
    for _ in range(TRIES * count):
        if len(found) == count:
            return sorted(found)
        port = random.SystemRandom().randint(FIRST, LAST)
        with socket.socket() as each:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                each.bind((HOST, port))
            except OSError:
                continue
        found.add(port)
    raise RuntimeError(f"no {count} free ports between {FIRST} and {LAST}")
