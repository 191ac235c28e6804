"""HTTP/1.1 on plain sockets, with as little in between as can be: what is timed is the server."""

import asyncio

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def request(method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    if method == "POST":
        lines += ["Content-Type: text/plain", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of a response with a length. Raises AssertionError for any status but 2xx."""
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 2"), head
    length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    return head, await reader.readexactly(length)


async def ask(connection: Connection, raw: bytes) -> tuple[bytes, bytes]:
    """Send a request and read its response."""
    connection[1].write(raw)
    return await answer(connection[0])


async def connect(port: int) -> Connection:
    """A connection to a server here."""
    return await asyncio.open_connection("127.0.0.1", port)


async def close(connection: Connection) -> None:
    """Hang up."""
    connection[1].close()
    await connection[1].wait_closed()
