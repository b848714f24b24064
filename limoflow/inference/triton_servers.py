"""The Triton servers behind one address: calls go to all of them in turn, and each can be spoken to alone."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from limoflow.errors import DependencyUnavailable

# gRPC's own pause between connection attempts grows to two minutes, that between two looks at names to 30 s; a server
# that was restarted, or comes back under another address, must be found sooner.
CHANNEL = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]
IN_TURN = [*CHANNEL, ("grpc.lb_policy_name", "round_robin")]
# A proxy for the world outside is meant for names, not for the addresses behind them.
ALONE = [*CHANNEL, ("grpc.enable_http_proxy", 0)]
LIVE_SECONDS = 5.0
_NAMED = re.compile(r"(?:dns:(?://[^/]*/)?)?(?P<host>\[[^\]]+\]|[^:/]+):(?P<port>\d+)")


class TritonServers:
    """Connections to the servers behind `url`.

    A channel looks at a name again only when it loses a connection, so servers that are added would stay without work:
    from time to time it is replaced by one that has answered, and is closed once its calls are over.

    Parameters
    ----------
    url : str
        gRPC target: ``host:port``, ``ipv4:address:port,address:port`` and the like.
    call_seconds : float
        The longest that a call takes.
    renew_seconds : float
        Time after which servers that were added get calls.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        call_seconds: float,
        renew_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._call_seconds = call_seconds
        self._renew_seconds = renew_seconds
        self._clock = clock
        self._client: InferenceServerClient | None = None
        self._renewed_at = 0.0
        self._renewal: asyncio.Task[None] | None = None

    def in_turn(self) -> InferenceServerClient:
        """Return the client whose calls go to one server after the other."""
        # Made at the first call, because a gRPC channel belongs to the running loop.
        if self._client is None:
            self._client = InferenceServerClient(self._url, channel_args=IN_TURN)
            self._renewed_at = self._clock()
        elif self._clock() - self._renewed_at >= self._renew_seconds and _is_over(self._renewal):
            self._renewed_at = self._clock()
            self._renewal = asyncio.create_task(self._renew(self._client))
        return self._client

    def alone(self, address: str) -> InferenceServerClient:
        """Return a client of the one server at `address`, to be closed by the caller: ``async with``."""
        return InferenceServerClient(address, channel_args=ALONE)

    async def addresses(self) -> list[str]:
        """Return the gRPC target of each server that is there now.

        Raises
        ------
        DependencyUnavailable
            When the name is not known.
        """
        scheme, _, several = self._url.partition(":")
        if scheme in {"ipv4", "ipv6"}:
            return [f"{scheme}:{one}" for one in several.split(",")]
        named = _NAMED.fullmatch(self._url)
        if named is None:
            return [self._url]
        host, port = named["host"].strip("[]"), int(named["port"])
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise DependencyUnavailable(f"the address of {self._url} is not known: {error}") from error
        return sorted({_target(family, address) for family, _, _, _, address in found})

    async def close(self) -> None:
        """Close the connections, calls in flight or not."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _renew(self, before: InferenceServerClient) -> None:
        unused = fresh = InferenceServerClient(self._url, channel_args=IN_TURN)
        try:
            # While names cannot be looked at, the channel that there is may well go on working.
            with suppress(InferenceServerException):
                await fresh.is_server_live(client_timeout=LIVE_SECONDS)
                self._client, unused = fresh, before
                await asyncio.sleep(self._call_seconds)
        finally:
            await unused.close()


def _is_over(task: asyncio.Task[None] | None) -> bool:
    return task is None or task.done()


def _target(family: int, address: tuple[object, ...]) -> str:
    host, port = address[:2]
    return f"ipv6:[{host}]:{port}" if family == socket.AF_INET6 else f"ipv4:{host}:{port}"
