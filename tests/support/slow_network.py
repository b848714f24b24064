"""A slow network on loopback: a TCP proxy that everything passes late, and no faster than a rate."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from limoflow.stack.ports import LOOPBACK, free_ports

_CHUNK = 64 * 1024
_CHUNKS_UNDER_WAY = 64


class Link:
    """One direction of a line that all connections share.

    Attributes
    ----------
    latency_s : float
        How long each byte is under way.
    bytes_per_s : float
        How many may enter in a second.
    """

    def __init__(self, latency_s: float = 0.0, bytes_per_s: float = math.inf) -> None:
        self.latency_s = latency_s
        self.bytes_per_s = bytes_per_s
        self.passed = 0
        self._free_at = 0.0

    def arrival(self, now: float, size: int) -> float:
        """Send `size` bytes at `now`, and return when the last of them arrives."""
        self.passed += size
        self._free_at = max(now, self._free_at) + size / self.bytes_per_s
        return self._free_at + self.latency_s


class SlowNetwork:
    """A proxy before one loopback port; it lives in a thread from entering to leaving the ``with`` block.

    Parameters
    ----------
    upstream : callable
        Returns the port of the server; asked at each connection. What it raises closes that connection.

    Attributes
    ----------
    port : int
        Where clients connect to.
    """

    def __init__(self, upstream: Callable[[], int]) -> None:
        self.port = free_ports(1)[0]
        self._upstream = upstream
        self._there, self._back = Link(), Link()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="slow-network", daemon=True)

    @property
    def passed(self) -> int:
        """Bytes that have passed, in both directions."""
        return self._there.passed + self._back.passed

    def become(self, latency_s: float = 0.0, bytes_per_s: float = math.inf) -> None:
        """Change both directions from now on; without arguments there is no delay and no bound."""
        for link in (self._there, self._back):
            link.latency_s, link.bytes_per_s = latency_s, bytes_per_s

    def lose(self) -> None:
        """Pass nothing more over the connections there are, and leave them open: as when a machine is gone at once."""
        self.become(latency_s=math.inf)
        self._there, self._back = Link(), Link()

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._listening.wait(10.0):
            raise TimeoutError(f"the proxy does not listen on port {self.port}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with await asyncio.start_server(self._accept, LOOPBACK, self.port):
            self._listening.set()
            await self._over.wait()
        # What is still connected is cancelled by asyncio.run.

    def _accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        # asyncio itself keeps no reference to a task: one that waits could be collected.
        connection = asyncio.get_running_loop().create_task(self._connected(client, to_client))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _connected(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            server, to_server = await asyncio.open_connection(LOOPBACK, await asyncio.to_thread(self._upstream))
        except Exception:  # noqa: BLE001 - whatever the reason, the client is to see a server that is not there
            to_client.close()
            return
        try:
            # An end of the stream is passed on one way at a time; a broken connection ends both.
            async with asyncio.TaskGroup() as together:
                for source, target, link in ((client, to_server, self._there), (server, to_client, self._back)):
                    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS_UNDER_WAY)
                    together.create_task(_send(source, under_way, link))
                    together.create_task(_deliver(under_way, target))
        except* OSError:
            pass
        finally:
            to_server.transport.abort()
            to_client.transport.abort()


async def _send(source: asyncio.StreamReader, under_way: asyncio.Queue[tuple[float, bytes]], link: Link) -> None:
    while True:
        part = await source.read(_CHUNK)
        await under_way.put((link.arrival(time.monotonic(), len(part)), part))
        if not part:
            return


async def _deliver(under_way: asyncio.Queue[tuple[float, bytes]], target: asyncio.StreamWriter) -> None:
    while True:
        due, part = await under_way.get()
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        if not part:
            target.write_eof()
            return
        target.write(part)
        await target.drain()
