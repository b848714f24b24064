"""The proxy passes every byte, in order, late; and no faster than its rate."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.slow_network import Link, SlowNetwork

HOST = "127.0.0.1"


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while part := self.request.recv(65536):
            self.request.sendall(part)


@pytest.fixture
def echo() -> Iterator[int]:
    with socketserver.ThreadingTCPServer((HOST, 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def asked(port: int, data: bytes) -> tuple[bytes, float]:
    """Send all, end the stream, and return what came back, and after how long."""
    began = time.monotonic()
    with socket.create_connection((HOST, port), 20) as connection:
        threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR))).start()
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer, time.monotonic() - began


def test_a_link_is_late_and_takes_one_part_after_another() -> None:
    link = Link(latency_s=0.5, bytes_per_s=100.0)
    assert link.arrival(10.0, 100) == 11.5
    assert link.arrival(10.0, 50) == 12.0, "the first part still enters"
    assert link.arrival(20.0, 100) == 21.5, "an idle line saves nothing up"
    assert link.passed == 250


def test_everything_passes_in_order(echo: int) -> None:
    data = bytes(range(256)) * 8000
    with SlowNetwork(lambda: echo) as network:
        assert asked(network.port, data)[0] == data
        assert network.passed == 2 * len(data)


def test_latency_and_rate_hold_both_ways_and_can_be_changed(echo: int) -> None:
    with SlowNetwork(lambda: echo) as network:
        network.become(latency_s=0.2)
        assert asked(network.port, b"hello")[1] >= 0.4
        network.become(bytes_per_s=200_000)
        answer, seconds = asked(network.port, b"x" * 100_000)
        assert (len(answer), seconds >= 0.5) == (100_000, True)


def test_lost_connections_stay_open_and_pass_nothing_while_new_ones_work(echo: int) -> None:
    with SlowNetwork(lambda: echo) as network, socket.create_connection((HOST, network.port), 20) as connection:
        connection.sendall(b"before")
        assert connection.recv(6) == b"before"
        network.lose()
        connection.sendall(b"after")
        assert asked(network.port, b"anew")[0] == b"anew"
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_a_server_that_is_away_is_seen_by_the_client_and_found_again(echo: int) -> None:
    ports = [echo, 1]
    with SlowNetwork(ports.pop) as network:
        with socket.create_connection((HOST, network.port), 20) as connection:
            assert connection.recv(1) == b""
        assert asked(network.port, b"back")[0] == b"back"
        with socket.create_connection((HOST, network.port), 20) as connection:
            assert connection.recv(1) == b"", "nobody knows a port"
