"""Service processes and the command line on a broker of the test's own, without Triton."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from limoflow.stack.ports import PortReservation
from tests.support.stack import REPOSITORY

RUNNING = ("ingestor", "generator", "verifier", "scorer", "selector", "exporter")
GUARD_S = 120.0
Broker = Callable[..., Mapping[str, str]]
"""Variables with which a user, the first argument, reaches the broker; keywords change settings."""


class Place:
    """A folder with processes that sign in as the services that they are."""

    def __init__(self, folder: Path, broker: Broker, variables: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._broker = broker
        self._variables = dict(variables or {})
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports: dict[str, int] = {}

    def environment(self, user: str, **changes: object) -> dict[str, str]:
        """Return the variables of a process."""
        return {
            **os.environ,
            **self._broker(user, **changes),
            "PYTHONPATH": str(REPOSITORY),
            "LIMOFLOW_HOME": str(self.folder / "home"),
            "LIMOFLOW_EXPORTER_FOLDER": str(self.folder / "home" / "releases"),
            "LIMOFLOW_INSTANCE": f"{user}-0",
            **self._variables,
        }

    def log(self, service: str) -> str:
        """Return what a service has written."""
        return (self.folder / f"{service}.log").read_text(encoding="utf-8", errors="replace")

    def start(self, *services: str, **changes: object) -> None:
        """Start processes."""
        reserved = PortReservation(len(services))
        self.ports |= dict(zip(services, reserved.ports, strict=True))
        reserved.release()
        for service in services:
            variables = {"LIMOFLOW_HTTP_PORT": str(self.ports[service])}
            with (self.folder / f"{service}.log").open("ab") as log:
                self.processes[service] = subprocess.Popen(
                    [sys.executable, "-m", f"services.{service}"],
                    cwd=self.folder,
                    env=self.environment(service, **changes) | variables,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )

    def kill(self) -> None:
        """End every process with SIGKILL."""
        for process in self.processes.values():
            process.send_signal(signal.SIGKILL)
        for process in self.processes.values():
            process.wait(GUARD_S)
        self.processes.clear()

    def logs(self, services: Iterable[str] = RUNNING) -> str:
        """Return the ends of logs, for messages."""
        return "\n".join(f"{name}: {self.log(name)[-1500:]}" for name in services)

    def limoflow(self, *arguments: str, **changes: object) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "limoflow.cli", *arguments],
            cwd=self.folder,
            env=self.environment("cli", **changes),
            capture_output=True,
            text=True,
            timeout=GUARD_S,
            check=False,
        )


@contextmanager
def place(folder: Path, broker: Broker, variables: Mapping[str, str] | None = None) -> Iterator[Place]:
    """Open a place, and leave no process behind."""
    made = Place(folder, broker, variables)
    try:
        yield made
    finally:
        made.kill()
