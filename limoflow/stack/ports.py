"""Free loopback ports that stay ours: outside the kernel's ephemeral range, held by a socket until they are used."""

from __future__ import annotations

import random
import socket
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from limoflow.errors import StackError

LOOPBACK = "127.0.0.1"
_LOWEST_PORT = 15000
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_ATTEMPTS = 400


def _candidates(attempts: int) -> list[int]:
    # A client that reconnects to a dead server's port inside the ephemeral range can connect to itself and so take
    # the port away from the server that restarts; ports below that range are safe from it.
    try:
        lowest_ephemeral = int(_EPHEMERAL_RANGE.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        lowest_ephemeral = 32768
    if lowest_ephemeral - _LOWEST_PORT < attempts:
        return [0] * attempts
    return random.SystemRandom().sample(range(_LOWEST_PORT, lowest_ephemeral), attempts)


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True


class PortReservation:
    """Free loopback ports, held by bound sockets until `release`.

    Parameters
    ----------
    count : int
        How many ports to hold.

    Raises
    ------
    StackError
        If that many free ports cannot be found.
    """

    def __init__(self, count: int) -> None:
        self._sockets: list[socket.socket] = []
        for port in _candidates(_ATTEMPTS):
            if len(self._sockets) == count:
                break
            self._hold(port)
        if len(self._sockets) < count:
            found = len(self._sockets)
            self.release()
            raise StackError(f"only {found} of {count} free loopback ports were found: stop other local servers")
        self.ports: Sequence[int] = tuple(held.getsockname()[1] for held in self._sockets)

    def _hold(self, port: int) -> None:
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            held.bind((LOOPBACK, port))
        except OSError:
            held.close()
        else:
            self._sockets.append(held)

    def release(self) -> None:
        """Give the ports free, right before the process that listens on them starts. May be called twice."""
        for held in self._sockets:
            held.close()
        self._sockets.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def free_ports(count: int) -> Sequence[int]:
    """Distinct loopback ports that are free at this moment."""
    with PortReservation(count) as reservation:
        return reservation.ports
