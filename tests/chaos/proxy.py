"""A TCP proxy between nodes and one broker: it delays, cuts, resets, goes silent, holds produce requests back, loses acks.

It knows just enough of Kafka's protocol to tell one request from the next: each begins with its length and its kind.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from dev.ports import HOST, free_ports

PRODUCE: Final = 0
"""The api_key of a produce request."""
CHUNK_BYTES: Final = 64 * 1024


class _Connection:
    """One client and its broker. deaf: what the broker answers is thrown away."""

    def __init__(self, client: asyncio.StreamWriter, broker: asyncio.StreamWriter) -> None:
        self.client = client
        self.broker = broker
        self.deaf = False

    def reset(self) -> None:
        """RST towards the client, as of a machine that has forgotten the connection."""
        linger = struct.pack("ii", 1, 0)
        sock = self.client.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.client.transport.abort()


class Proxy:
    """See above. Settings hold from the next bytes on.

    delay_s: each piece on its way takes so much longer, either direction. refusing: new connections are closed at once.
    hold_produce_s: a produce request waits here so long; cut_held: its connection is reset meanwhile, so that it lands late
    and nobody is told. lose_acks: a produce request gets through, its answer does not. held, lost: how many there were.
    """

    def __init__(self, broker_port: int) -> None:
        self.port = free_ports(1)[0]
        self.delay_s = 0.0
        self.refusing = False
        self.hold_produce_s = 0.0
        self.cut_held = False
        self.lose_acks = False
        self.held = 0
        self.lost = 0
        self._broker_port = broker_port
        self._open = asyncio.Event()
        self._open.set()
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["Proxy"]:
        """Let traffic through as long as the block runs."""
        server = await asyncio.start_server(self._accept, HOST, self.port)
        try:
            yield self
        finally:
            server.close()
            self.calm()
            for connection in self._connections:
                connection.client.transport.abort()
                connection.broker.transport.abort()
            if self._tasks:
                await asyncio.wait(self._tasks)

    # -- troubles -------------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Every connection ends in good order."""
        for connection in list(self._connections):
            connection.client.close()

    def reset(self) -> None:
        """Every connection is reset."""
        for connection in list(self._connections):
            connection.reset()

    def silence(self) -> None:
        """Connections stay open and nothing gets through, until `speak`."""
        self._open.clear()

    def speak(self) -> None:
        """Go on with what came meanwhile."""
        self._open.set()

    def calm(self) -> None:
        """No trouble any more."""
        self.delay_s = self.hold_produce_s = 0.0
        self.refusing = self.cut_held = self.lose_acks = False
        self.speak()

    # -- traffic --------------------------------------------------------------------------------------------------

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._spawn(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        try:
            answers, broker = await asyncio.open_connection(HOST, self._broker_port)
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection(writer, broker)
        self._connections.add(connection)
        both = [self._spawn(self._requests(connection, reader)), self._spawn(self._answers(connection, answers))]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        self._connections.discard(connection)
        writer.close()
        # Requests that are held back are still on their way: they reach the broker although nobody waits for them.
        await asyncio.wait(both[:1])
        broker.close()

    def _spawn(self, work: "asyncio._CoroutineLike[None]") -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _requests(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = await reader.readexactly(4)
                body = await reader.readexactly(int.from_bytes(head, "big"))
                if int.from_bytes(body[:2], "big") == PRODUCE:
                    await self._trouble(connection)
                await self._pass()
                connection.broker.write(head + body)
                await connection.broker.drain()

    async def _trouble(self, connection: _Connection) -> None:
        """What befalls a produce request."""
        if self.lose_acks and not connection.deaf:
            connection.deaf = True
            self.lost += 1
            asyncio.get_running_loop().call_later(1.0, connection.reset)
        if self.hold_produce_s:
            self.held += 1
            if self.cut_held:
                asyncio.get_running_loop().call_later(self.hold_produce_s / 2, connection.reset)
            await asyncio.sleep(self.hold_produce_s)

    async def _answers(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                await self._pass()
                if not connection.deaf:
                    connection.client.write(chunk)
                    await connection.client.drain()

    async def _pass(self) -> None:
        await self._open.wait()
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
