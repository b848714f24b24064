import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from limoflow.stack.ports import free_ports
from limoflow.stack.readiness import answers_http, listens, serves_kafka


@contextlib.contextmanager
def server(answer: Callable[[bytes], bytes]) -> Iterator[int]:
    """Answers one request and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(answer(connection.recv(4096)))

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def metadata(brokers: int, correlation: int | None = None) -> Callable[[bytes], bytes]:
    def answer(request: bytes) -> bytes:
        size, key, version, asked, client = struct.unpack(">ihhih", request[:14])
        assert (size, key, version, client) == (len(request) - 4, 3, 1, -1)
        body = struct.pack(">ii", asked if correlation is None else correlation, brokers) + b"\0" * 20 * brokers
        return struct.pack(">i", len(body)) + body

    return answer


def test_a_broker_that_knows_a_live_broker_is_ready() -> None:
    with server(metadata(brokers=1)) as port:
        assert serves_kafka(port)


@pytest.mark.parametrize(
    "answer",
    [
        metadata(brokers=0),
        metadata(brokers=1, correlation=7),
        lambda _: b"",
        lambda _: b"\0\0",
        lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        lambda _: struct.pack(">i", 100) + b"\0" * 5,
        lambda _: struct.pack(">i", 4) + b"\0" * 4,
    ],
    ids=["fenced", "other answer", "closed", "short", "http", "cut", "tiny"],
)
def test_anything_else_is_not_ready(answer: Callable[[bytes], bytes]) -> None:
    with server(answer) as port:
        assert not serves_kafka(port)


@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", False),
        (b"nonsense\r\n\r\n", False),
        (b"", False),
    ],
)
def test_http_is_ready_with_200_only(answer: bytes, ready: bool) -> None:
    with server(lambda _: answer) as port:
        assert answers_http(port, "/readyz") is ready


def test_nobody_listens() -> None:
    (port,) = free_ports(1)
    assert not listens(port)
    assert not answers_http(port, "/")
    assert not serves_kafka(port)


def test_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert listens(listener.getsockname()[1])


def test_a_server_that_never_answers_is_not_ready() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert not answers_http(port, "/")
        assert not serves_kafka(port)
