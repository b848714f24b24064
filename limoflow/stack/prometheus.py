"""Prometheus on a laptop: the project's rules, and targets that follow the stack's processes."""

from __future__ import annotations

import json
import os
import shutil
from functools import partial
from pathlib import Path

from limoflow.errors import MissingDependency
from limoflow.resources import resource
from limoflow.stack.paths import cache_folder
from limoflow.stack.ports import LOOPBACK, PortReservation
from limoflow.stack.processes import ProcessSpec
from limoflow.stack.readiness import answers_http
from limoflow.stack.state import StackState, read_state, state_path, write_atomically

PROMETHEUS_VARIABLE = "LIMOFLOW_PROMETHEUS"
_SCRAPED = {"http": "limoflow", "metrics": "triton"}


def find_program(name: str = "prometheus") -> Path:
    """Return `prometheus` or `promtool`.

    Looked for in the folder `$LIMOFLOW_PROMETHEUS`, on the path, and where `make prometheus` unpacks it.

    Raises
    ------
    MissingDependency
        When it is in none of them.
    """
    chosen = os.environ.get(PROMETHEUS_VARIABLE)
    unpacked = cache_folder() / "prometheus" / "usr" / "bin"
    found = shutil.which(name, path=chosen) if chosen else shutil.which(name) or shutil.which(name, path=unpacked)
    if found is None:
        raise MissingDependency(
            f"{name} is not on the path: run `make prometheus` (Debian's package, without installing it), or set "
            f"{PROMETHEUS_VARIABLE} to the folder that holds it"
        )
    return Path(found)


def targets_of(state: StackState) -> list[dict[str, object]]:
    """Return the processes of a stack that show metrics, as Prometheus reads targets from a file."""
    return [
        {
            "targets": [f"{LOOPBACK}:{process.ports[purpose]}"],
            "labels": {"job": job, "service": process.service, "instance": process.name},
        }
        for process in state.processes
        for purpose, job in _SCRAPED.items()
        if purpose in process.ports and (process.service == "triton") == (job == "triton") and process.phase != "ended"
    ]


class PrometheusServer:
    """One Prometheus: its port, its folder ``<state>/prometheus``, its process.

    Parameters
    ----------
    state_folder : Path
        Folder of the stack.

    Raises
    ------
    MissingDependency
        When the program is missing.
    """

    def __init__(self, state_folder: Path) -> None:
        self._program = find_program()
        self._stack = state_folder
        self._folder = state_folder / "prometheus"
        self._reservation = PortReservation(1)
        self.port = self._reservation.ports[0]
        self._seen: tuple[int, int] | None = None
        self._told = ""

    @property
    def address(self) -> str:
        """host:port of its page and API."""
        return f"{LOOPBACK}:{self.port}"

    def spec(self) -> ProcessSpec:
        """Write its configuration and return how to run it."""
        (self._folder / "targets").mkdir(parents=True, exist_ok=True)
        for path in resource("deploy/prometheus").glob("*.yaml"):
            shutil.copyfile(path, self._folder / path.name)
        return ProcessSpec(
            name="prometheus",
            command=(
                str(self._program),
                f"--config.file={self._folder / 'prometheus.yaml'}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                "--storage.tsdb.retention.time=7d",
                f"--web.listen-address={self.address}",
                "--enable-feature=exemplar-storage",
                "--log.level=warn",
            ),
            env={},
            log_path=self._stack / "logs" / "prometheus.log",
            ready=partial(answers_http, self.port, "/-/ready"),
            ports={"prometheus": self.port},
            clean=self._reservation.release,
        )

    def follow(self) -> None:
        """Write the targets anew where the stack's processes have changed; cheap enough for ten times a second."""
        path = state_path(self._stack)
        status = path.stat()
        seen = (status.st_mtime_ns, status.st_ino)
        if seen == self._seen:
            return
        state = read_state(self._stack)
        targets = json.dumps(targets_of(state) if state is not None else [], indent=1)
        if targets != self._told:
            write_atomically(self._folder / "targets" / "stack.json", targets)
        self._seen, self._told = seen, targets
