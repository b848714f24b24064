"""A real one-node Apache Kafka (KRaft) on loopback."""

from __future__ import annotations

import base64
import shutil
import string
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from limoflow.errors import StackError
from limoflow.resources import resource
from limoflow.stack.jars import java, kafka_jars
from limoflow.stack.ports import LOOPBACK, PortReservation
from limoflow.stack.processes import ProcessSpec, log_tail
from limoflow.stack.readiness import serves_kafka

_JVM = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
_FORMAT_TIMEOUT_S = 60.0


class KafkaBroker:
    """One broker: its ports, its folder ``<state>/kafka``, its process.

    Parameters
    ----------
    state_folder : Path
        Folder of the stack; data, configuration and log lie below it and survive a restart.
    port : int, optional
        Port for clients; a free one where None.
    cache : Path, optional
        Folder of downloads; the user's cache where None.
    session_timeout_ms : int
        How long the controller waits for a silent broker. A broker that was killed can come back only after that time;
        a broker that is starved of processor time for longer is fenced until its next heartbeat.
    properties : mapping, optional
        Lines of server.properties, in place of or beside those of the template: listeners with TLS, an authorizer.
        `${port}` and `${controller_port}` stand for the broker's.
    passwords : mapping, optional
        SCRAM-SHA-512 users that are there from the first start, name to password.

    Raises
    ------
    MissingDependency
        If Java or Maven is needed and missing.
    """

    def __init__(
        self,
        state_folder: Path,
        port: int | None = None,
        cache: Path | None = None,
        session_timeout_ms: int = 3000,
        properties: Mapping[str, str] | None = None,
        passwords: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = state_folder.absolute() / "kafka"
        self._java = java()
        self._jars = kafka_jars(cache)
        self._session_timeout_ms = session_timeout_ms
        self._properties = dict(properties or {})
        self._passwords = dict(passwords or {})
        self._reservation = PortReservation(1 if port else 2)
        self.controller_port = self._reservation.ports[-1]
        self.port = port or self._reservation.ports[0]

    @property
    def bootstrap(self) -> str:
        """Address for clients, ``host:port``."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def log_path(self) -> Path:
        """The broker's log."""
        return self.folder.parent / "logs" / "kafka.log"

    def spec(self) -> ProcessSpec:
        """Write the configuration, format the storage where that has not been done, and say how to run the broker."""
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self._write_configuration(self._data)
        self._format()
        return ProcessSpec(
            name="kafka",
            command=self._command("kafka.Kafka", str(configuration)),
            env={},
            log_path=self.log_path,
            ready=lambda: serves_kafka(self.port),
            ready_timeout_s=90.0,
            stop_grace_s=20.0,
            cwd=self.folder,
            ports={"kafka": self.port, "controller": self.controller_port},
            clean=self._reservation.release,
        )

    def _command(self, main_class: str, *arguments: str) -> tuple[str, ...]:
        logging = f"-Dlog4j2.configurationFile={resource('deploy/local/kafka/log4j2.yaml')}"
        return (str(self._java), *_JVM, logging, "-cp", f"{self._jars}/*", main_class, *arguments)

    def _write_configuration(self, data: Path) -> Path:
        values: Mapping[str, object] = {
            "port": self.port,
            "controller_port": self.controller_port,
            "data_folder": data,
            "session_timeout_ms": self._session_timeout_ms,
            "heartbeat_interval_ms": max(100, self._session_timeout_ms // 6),
        }
        template = resource("deploy/local/kafka/server.properties.template").read_text(encoding="utf-8")
        path = self.folder / ("server.properties" if data == self._data else "format.properties")
        # Of two lines for one name the later one counts.
        text = "\n".join([template, *(f"{name}={value}" for name, value in self._properties.items()), ""])
        path.write_text(string.Template(text).substitute(values), encoding="utf-8")
        return path

    def _users(self) -> tuple[str, ...]:
        users = (f"SCRAM-SHA-512=[name={name},password={word}]" for name, word in self._passwords.items())
        return tuple(part for user in users for part in ("--add-scram", user))

    def _format(self) -> None:
        """Format under another name and rename, so that a folder named ``data`` is always a formatted one."""
        if self._data.is_dir():
            return
        unfinished = self.folder / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        configuration = self._write_configuration(unfinished)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=").replace("-", "_")
        arguments = ("format", "-t", cluster, "-c", str(configuration), *self._users())
        command = self._command("kafka.tools.StorageTool", *arguments)
        log = self.folder / "format.log"
        with log.open("wb") as output:
            done = subprocess.run(
                command, stdout=output, stderr=subprocess.STDOUT, timeout=_FORMAT_TIMEOUT_S, check=False
            )
        if done.returncode != 0:
            raise StackError(f"Kafka could not format {self._data} (exit code {done.returncode}):\n{log_tail(log)}")
        unfinished.rename(self._data)
