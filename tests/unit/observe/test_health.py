"""The health server: probes, scrapes, refusals and a prompt end."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from limoflow.errors import UsageError
from limoflow.observe import health
from limoflow.observe.health import MAX_CONNECTIONS, HealthServer
from limoflow.observe.metrics import Metrics
from limoflow.stack.readiness import answers_http


@dataclass
class Service:
    server: HealthServer
    state: dict[str, tuple[bool, str] | Exception]

    def request(self, method: str, path: str, **headers: str) -> tuple[int, str, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()


@pytest.fixture
def service() -> Iterator[Service]:
    state: dict[str, tuple[bool, str] | Exception] = {"ready": (True, "taking work"), "alive": (True, "loop turns")}

    def check(name: str):
        def run() -> tuple[bool, str]:
            answer = state[name]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return run

    metrics = Metrics()
    metrics.finalized(9)
    with HealthServer("127.0.0.1", 0, check("ready"), metrics.registry, alive=check("alive")) as server:
        yield Service(server, state)


@pytest.mark.parametrize(("path", "name"), [("/healthz", "alive"), ("/readyz", "ready")])
def test_a_probe_says_yes_no_and_why(service, path, name):
    good = service.state[name]
    assert service.request("GET", path)[:2] == (200, f"{good[1]}\n")
    service.state[name] = (False, "breaker of triton is open")
    assert service.request("GET", f"{path}?verbose")[:2] == (503, "breaker of triton is open\n")
    service.state[name] = RuntimeError("the check itself broke")
    status, text, _ = service.request("GET", path)
    assert (status, "RuntimeError: the check itself broke" in text) == (503, True)
    service.state[name] = good
    assert service.request("GET", path)[0] == 200


def test_unready_is_not_dead(service):
    service.state["ready"] = (False, "starting")
    assert service.request("GET", "/readyz")[0] == 503
    assert service.request("GET", "/healthz")[0] == 200


def test_metrics_are_exposed_in_both_formats(service):
    status, text, headers = service.request("GET", "/metrics")
    assert status == 200
    assert "limoflow_finalized_total 9.0" in text
    assert headers["Content-Type"].startswith("text/plain")
    _, text, headers = service.request("GET", "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
def test_only_get_is_answered(service, method):
    status, _, headers = service.request(method, "/readyz")
    assert (status, headers["Allow"]) == (405, "GET")


def test_an_unknown_path_is_named(service):
    status, text, _ = service.request("GET", "/../etc/passwd")
    assert status == 404
    assert "/healthz, /readyz, /metrics" in text


def test_a_silent_client_holds_up_nobody(service):
    with socket.create_connection(("127.0.0.1", service.server.port)):
        assert service.request("GET", "/healthz")[0] == 200


def test_close_frees_the_port_even_while_a_client_is_silent():
    server = HealthServer("127.0.0.1", 0, lambda: (True, "ok"), Metrics().registry)
    with socket.create_connection(("127.0.0.1", server.port)):
        begun = time.monotonic()
        server.close()
        server.close()
        assert time.monotonic() - begun < 5
    with HealthServer("127.0.0.1", server.port, lambda: (True, "ok"), Metrics().registry):
        pass
    assert "health" not in {thread.name for thread in threading.enumerate()}


def test_an_address_in_use_is_named_with_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"127\.0\.0\.1:{port}.*LIMOFLOW_HTTP_PORT"):
            HealthServer("127.0.0.1", port, lambda: (True, "ok"), Metrics().registry)


def test_idle_connections_are_bounded_and_give_their_places_back(service: Service) -> None:
    idle = [socket.create_connection(("127.0.0.1", service.server.port), 10) for _ in range(MAX_CONNECTIONS)]
    with socket.create_connection(("127.0.0.1", service.server.port), 10) as refused:
        assert refused.recv(1) == b""
    for connection in idle:
        connection.close()
    deadline = time.monotonic() + 30
    while not answers_http(service.server.port, "/healthz"):
        assert time.monotonic() < deadline


def test_clients_that_send_a_byte_now_and_then_are_ended_at_a_total_deadline(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "MAX_SECONDS", 0.5)
    dripping = [socket.create_connection(("127.0.0.1", service.server.port), 10) for _ in range(MAX_CONNECTIONS)]
    deadline = time.monotonic() + 30
    while not answers_http(service.server.port, "/healthz"):
        assert time.monotonic() < deadline
        for connection in dripping:
            with contextlib.suppress(OSError):
                connection.send(b"G")
        time.sleep(0.1)
    for connection in dripping:
        connection.close()


@pytest.mark.parametrize("version", ["x", "1.x", "", "-1", "1e9", "\u00b2"])
def test_a_version_of_the_format_that_is_none_is_answered(service: Service, version: str) -> None:
    accept = f"application/openmetrics-text; version={version}"
    status, text, _ = service.request("GET", "/metrics", Accept=accept)
    assert status == 200
    assert "limoflow_finalized_total 9.0" in text


def test_what_breaks_an_answer_is_logged_and_not_printed(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: str) -> object:
        raise KeyError("broken")

    monkeypatch.setattr(health, "choose_encoder", broken)
    with pytest.raises(http.client.RemoteDisconnected):
        service.request("GET", "/metrics")
    with socket.create_connection(("127.0.0.1", service.server.port), 10) as gone:
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.sendall(b"GET /healthz HTTP/1.1\r\n")
    assert service.request("GET", "/healthz")[0] == 200
    assert "Exception occurred during processing" not in capsys.readouterr().err
