"""The local stack: Kafka, Triton and the services as processes that find each other."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from limoflow.settings import Home
from limoflow.stack.kafka import KafkaBroker
from limoflow.stack.ports import PortReservation
from limoflow.stack.processes import ProcessSpec
from limoflow.stack.prometheus import PrometheusServer
from limoflow.stack.readiness import answers_http
from limoflow.stack.supervisor import Service, Supervisor
from limoflow.stack.triton import ServedModels, TritonServer

SERVICES = ("ingestor", "generator", "verifier", "scorer", "selector", "exporter", "trainer")
SHARING = ("generator", "verifier", "scorer", "selector")
"""Services whose workers share partitions; of the others one works and the rest stand by."""
TRITON_VENV_VARIABLE = "LIMOFLOW_TRITON_VENV"
CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What the local stack runs.

    Attributes
    ----------
    triton_venv : Path
        Environment of the Triton server.
    workers : mapping
        Processes for each service; one where none is named.
    partitions : int
        Partitions of each work topic, the ceiling for a service's workers.
    observe : bool
        Whether Prometheus runs too.
    advertised : str, optional
        host:port at which clients reach the broker, where something stands between (a proxy, a tunnel).
    """

    triton_venv: Path
    workers: Mapping[str, int] = field(default_factory=dict)
    partitions: int = 4
    observe: bool = False
    advertised: str | None = None


def idle_workers(service: str, workers: int, partitions: int) -> str | None:
    """Return why some of a service's workers would have nothing to do, or None where each can have a partition."""
    if service not in SHARING or workers <= partitions:
        return None
    return (
        f"its topics have {partitions} partitions, so {workers - partitions} of {workers} workers would have none; "
        f"ask for at most {partitions}, or for more --partitions"
    )


def triton_venv() -> Path:
    """Return the Triton environment: `$LIMOFLOW_TRITON_VENV`, else `.venv-triton` beside the checkout's code."""
    return Path(os.environ.get(TRITON_VENV_VARIABLE) or CHECKOUT / ".venv-triton")


def run_stack(home: Home, options: StackOptions, *, started: Callable[[], None]) -> None:
    """Start everything, call `started`, and keep it running until a signal; leaves no process behind."""
    from models.precision import embedder_dtype
    from models.repository import TEMPLATES, first_models, prepare

    # The embedder costs twice as much as the causal LM: with two processes neither core stands idle for the other.
    instances = max(1, min(2, os.cpu_count() or 1))
    prepare(TEMPLATES, home.triton_repository, catalog_root=home.root, dtype=embedder_dtype(), instances=instances)
    with Supervisor(home.stack) as supervisor:
        prometheus = PrometheusServer(home.stack) if options.observe else None
        kafka = KafkaBroker(home.stack, properties=_listeners(options.advertised))
        embedder, *warm = first_models(home.root)
        served = ServedModels(home.triton_repository, (embedder,), packages=_packages(), warm=tuple(warm))
        triton = TritonServer(options.triton_venv, served, home.stack)
        supervisor.start([Service.single(kafka.spec())])
        bootstrap = options.advertised or kafka.bootstrap
        shared = _shared_environment(home, options, bootstrap, triton.grpc_address)
        supervisor.start(
            [Service.single(triton.spec())]
            + ([Service.single(prometheus.spec())] if prometheus is not None else [])
            + [
                Service(name, partial(_service_spec, home, name, shared), replicas=options.workers.get(name, 1))
                for name in SERVICES
            ]
        )
        if prometheus is not None:
            prometheus.follow()
        started()
        supervisor.run(until=_never if prometheus is None else partial(_following, prometheus))


def _listeners(advertised: str | None) -> dict[str, str]:
    return {"advertised.listeners": f"PLAINTEXT://{advertised}"} if advertised else {}


def _never() -> bool:
    return False


def _following(prometheus: PrometheusServer) -> bool:
    """Let the targets follow the processes; never says that the stack is to end."""
    prometheus.follow()
    return False


def _packages() -> tuple[Path, ...]:
    import limoflow
    import models

    return tuple(Path(str(package.__file__)).parent for package in (models, limoflow))


def _shared_environment(home: Home, options: StackOptions, bootstrap: str, triton: str) -> dict[str, str]:
    return {
        "LIMOFLOW_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "LIMOFLOW_KAFKA_PARTITIONS": str(options.partitions),
        "LIMOFLOW_TRITON_URL": triton,
        "LIMOFLOW_HOME": str(home.root),
        "LIMOFLOW_EXPORTER_FOLDER": str(home.releases),
        "LIMOFLOW_TRAINER_FOLDER": str(home.adapters),
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
    }


def _service_spec(home: Home, name: str, shared: Mapping[str, str], index: int) -> ProcessSpec:
    reservation = PortReservation(1)
    port = reservation.ports[0]
    return ProcessSpec(
        name=f"{name}-{index}",
        command=(sys.executable, "-m", f"services.{name}"),
        env={**shared, "LIMOFLOW_INSTANCE": f"{name}-{index}", "LIMOFLOW_HTTP_PORT": str(port)},
        log_path=home.stack / "logs" / f"{name}-{index}.log",
        ready=partial(answers_http, port, "/readyz"),
        ready_timeout_s=90.0,
        stop_grace_s=20.0,
        ports={"http": port},
        clean=reservation.release,
    )
