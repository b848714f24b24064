"""Health over HTTP: /healthz (the process lives), /readyz (it takes work), /metrics (Prometheus)."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, ClassVar, Self

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from limoflow.errors import UsageError
from limoflow.redaction import redacted

Check = Callable[[], tuple[bool, str]]
Answer = tuple[HTTPStatus, str, bytes]

MAX_CONNECTIONS = 64
"""Connections that are answered at one time."""
MAX_SECONDS = 10.0
"""What one connection may take in all; one read may take 5 s."""

_TEXT = "text/plain; charset=utf-8"
_log = structlog.stdlib.get_logger(__name__)


def _always() -> tuple[bool, str]:
    return True, "ok"


class HealthServer:
    """Answers probes and scrapes from a daemon thread, from the moment it is made until `close`.

    Parameters
    ----------
    host : str
        Address to listen on: loopback, unless probes come from elsewhere (Kubernetes: 0.0.0.0).
    port : int
        Port; 0 takes a free one, see `port`.
    ready : callable
        Returns whether the service takes work, and why (not). Called from other threads; an exception means no.
    registry : CollectorRegistry
        What /metrics shows.
    alive : callable, optional
        Returns whether the process is worth keeping, and why (not). Says yes by default.

    Raises
    ------
    UsageError
        When the address cannot be listened on.
    """

    def __init__(
        self, host: str, port: int, ready: Check, registry: CollectorRegistry, *, alive: Check = _always
    ) -> None:
        routes = {"/healthz": lambda _: _checked(alive), "/readyz": lambda _: _checked(ready)}
        routes["/metrics"] = lambda accept: _metrics(registry, accept)
        try:
            self._server = _Server((host, port), routes)
        except OSError as error:
            raise UsageError(
                f"cannot listen for health checks on {host}:{port}: {error.strerror or error}; "
                "set LIMOFLOW_HTTP_PORT to a free port (0: any) and LIMOFLOW_HTTP_HOST to an address of this machine"
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="health", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening; returns within a tenth of a second or so. Closing twice is allowed."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _checked(check: Check) -> Answer:
    try:
        good, reason = check()
    except Exception as error:  # noqa: BLE001 - a check that fails is the answer "no", not the end of the server
        _log.exception("health check failed")
        good, reason = False, f"{type(error).__name__}: {error}"
    return (
        HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE,
        _TEXT,
        f"{redacted(reason)}\n".encode("utf-8", "replace"),
    )


def _metrics(registry: CollectorRegistry, accept: str) -> Answer:
    try:
        encoder, content_type = choose_encoder(accept)
    except (TypeError, ValueError):
        # A version that is no number.
        encoder, content_type = choose_encoder("")
    return HTTPStatus.OK, content_type, encoder(registry)


class _Server(socketserver.ThreadingTCPServer):
    """A thread for each connection, a bound on them (more are closed unanswered), and on the time of each."""

    allow_reuse_address = True
    request_queue_size = 2 * MAX_CONNECTIONS
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], routes: dict[str, Callable[[str], Answer]]) -> None:
        self.routes = routes
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._deadlines: dict[socket.socket, float] = {}
        # Held while a connection is ended, so that its number is not yet another's.
        self._ending = threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, where one is left."""
        if self._slots.acquire(blocking=False):
            with self._ending:
                self._deadlines[request] = time.monotonic() + MAX_SECONDS
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and give the place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def service_actions(self) -> None:
        """End the connections whose time has passed; called several times a second."""
        now = time.monotonic()
        with self._ending:
            for request, deadline in self._deadlines.items():
                if now > deadline:
                    # Whoever has gone has ended it.
                    with contextlib.suppress(OSError):
                        request.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._ending:
            self._deadlines.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's
        """Log what ended an answer: connections that end early are nobody's fault here."""
        if isinstance(sys.exception(), OSError):
            _log.debug("a connection ended before its answer", client=str(client_address))
        else:
            _log.exception("a request could not be answered")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "limoflow"
    sys_version = ""
    timeout: ClassVar[float] = 5.0

    def do_GET(self) -> None:
        """Answer one probe or scrape."""
        route = self.server.routes.get(self.path.partition("?")[0])
        if route is None:
            known = ", ".join(self.server.routes)
            self._send((HTTPStatus.NOT_FOUND, _TEXT, f"no such path; there are {known}\n".encode()))
        else:
            self._send(route(self.headers.get("Accept", "")))

    def _refuse(self) -> None:
        self._send((HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"only GET is answered\n"), Allow="GET")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = _refuse  # noqa: N815 - the names are the base class's

    def _send(self, answer: Answer, **headers: str) -> None:
        status, content_type, body = answer
        self.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Keep scrapes, which come every few seconds, out of the log at its usual level."""
        _log.debug("request", line=format % args)
