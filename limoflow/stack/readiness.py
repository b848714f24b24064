"""Is a server ready? Small probes over raw sockets; each answers within half a second and never raises."""

from __future__ import annotations

import http.client
import socket
import struct

from limoflow.stack.ports import LOOPBACK

PROBE_TIMEOUT_S = 0.5
_METADATA_KEY, _METADATA_VERSION, _CORRELATION = 3, 1, 20250117
_LARGEST_ANSWER = 1 << 20


def listens(port: int) -> bool:
    """Whether something accepts TCP connections on a loopback port."""
    try:
        with socket.create_connection((LOOPBACK, port), PROBE_TIMEOUT_S):
            return True
    except OSError:
        return False


def answers_http(port: int, path: str) -> bool:
    """Whether ``GET path`` on a loopback port answers with 200."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def serves_kafka(port: int) -> bool:
    """Whether a Kafka broker on a loopback port knows a live broker (itself), so that clients can work with it.

    Sends Metadata v1 for no topic. A listening broker that the controller still fences answers with an empty list.
    """
    body = struct.pack(">hhihi", _METADATA_KEY, _METADATA_VERSION, _CORRELATION, -1, 0)
    try:
        with socket.create_connection((LOOPBACK, port), PROBE_TIMEOUT_S) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            (size,) = struct.unpack(">i", _receive(connection, 4))
            if not 8 <= size <= _LARGEST_ANSWER:
                return False
            correlation, brokers = struct.unpack(">ii", _receive(connection, 8))
            return bool(correlation == _CORRELATION and brokers > 0)
    except (OSError, struct.error):
        return False


def _receive(connection: socket.socket, size: int) -> bytes:
    """Up to `size` bytes; fewer where the peer closed."""
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            break
        received += part
    return received
