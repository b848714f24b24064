"""The main program of every service process: settings, logs, health, metrics, and the runner of its stage or tasks."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

import structlog

from limoflow.errors import LimoflowError
from limoflow.layer import LayerResult
from limoflow.memory import memory_given_back, prepare_memory
from limoflow.observe.health import HealthServer
from limoflow.observe.logs import configure_logs
from limoflow.observe.metrics import Metrics
from limoflow.observe.tracing import tracing
from limoflow.settings import ServiceSettings, from_environment
from limoflow.stream.settings import BrokerSettings
from limoflow.stream.tracer import StreamTracer
from limoflow.stream.types import Stage, Task, Transport
from schemas.run import Run
from schemas.sample import Sample


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """What a service is built from."""

    name: str
    settings: ServiceSettings
    broker: BrokerSettings
    transport: Transport
    metrics: Metrics
    resources: ExitStack
    tracer: StreamTracer | None = None
    remarks: list[str] = field(default_factory=list)
    """What /readyz adds: what this process cannot do although it takes work."""

    def count(self, _sample: Sample, _run: Run, result: LayerResult) -> None:
        """Count what a layer made of a sample."""
        if self.name == "scorer":
            for passed in result.passed:
                self.metrics.scored(passed)
                self.metrics.drifted(passed)
        if self.name == "verifier":
            for sample in (*result.passed, *(rejection.sample for rejection in result.rejected)):
                self.metrics.verified(sample)
        self.metrics.passed(self.name, len(result.passed))
        for rejection in result.rejected:
            self.metrics.rejected(self.name, rejection.reason)

    def model_request(self, model: str, seconds: float, error_class: str | None = None) -> None:
        """Take the time of one request to a chat endpoint, and its error where it failed."""
        self.metrics.model_request(model, seconds, error_class)

    def chat_used(self, model: str, prompt_tokens: int, completion_tokens: int) -> None:
        """Count the tokens of one answered chat request, and its cost by `LIMOFLOW_CHAT_PRICES`."""
        cost = self.settings.chat_cost(model, prompt_tokens, completion_tokens)
        self.metrics.chat(model, prompt_tokens, completion_tokens, cost)


class Runner(Protocol):
    """Runs a stage or a task on the broker."""

    def ready(self) -> bool:
        """Whether records are handled now."""
        ...

    def run(self) -> int:
        """Work until stopped; return the exit code."""
        ...

    def stop(self) -> None:
        """End after what is in hand; callable from any thread."""
        ...


def serve_stage(name: str, build: Callable[[ServiceContext], Stage]) -> int:
    """Run a stage until SIGTERM; return the exit code."""

    def runners(context: ServiceContext) -> list[Runner]:
        from limoflow.stream.faust_runner import StageRunner

        stage = build(context)
        return [
            StageRunner(
                stage,
                context.broker,
                in_flight=context.settings.in_flight,
                observer=context.metrics,
                tracer=context.tracer,
            )
        ]

    return _serve(name, runners)


def serve_tasks(name: str, build: Callable[[ServiceContext], Sequence[Task]]) -> int:
    """Run one or several tasks until SIGTERM; return the exit code."""

    def runners(context: ServiceContext) -> list[Runner]:
        from limoflow.stream.confluent_runner import TaskRunner

        return [
            TaskRunner(
                task,
                context.broker,
                instance=context.settings.instance,
                observer=context.metrics,
                tracer=context.tracer,
            )
            for task in build(context)
        ]

    return _serve(name, runners)


def _serve(name: str, build: Callable[[ServiceContext], list[Runner]]) -> int:
    from limoflow.stream.kafka_transport import KafkaTransport
    from limoflow.stream.topics_admin import short_topics

    prepare_memory()
    configure_logs(name, "")
    log = structlog.stdlib.get_logger(name)
    try:
        settings, broker = from_environment(ServiceSettings), from_environment(BrokerSettings)
        configure_logs(name, settings.instance, level=settings.log_level)
    except LimoflowError as error:
        log.error("ended", error_class=type(error).__name__, error=str(error))  # noqa: TRY400 - the message says all
        return error.exit_code
    _log_crashes(log)
    metrics, runners, remarks = Metrics(), list[Runner](), list[str]()
    metrics.chat_budget(settings.chat_budget)
    with ExitStack() as resources:
        resources.enter_context(
            HealthServer(settings.http_host, settings.http_port, lambda: _readiness(runners, remarks), metrics.registry)
        )
        resources.enter_context(memory_given_back())
        try:
            transport = KafkaTransport(broker)
            resources.callback(transport.close)
            transport.ensure_topics()
            for topic, (there, wanted) in short_topics(broker).items():
                lacks = (
                    f"topic {topic} has {there} partitions, {wanted} were asked for: workers beyond {there} stand by"
                )
                remarks.append(lacks)
                log.warning("few partitions", topic=topic, partitions=there, wanted=wanted, what=lacks)
            tracer = resources.enter_context(tracing(name, settings.instance))
            runners += build(ServiceContext(name, settings, broker, transport, metrics, resources, tracer, remarks))
            log.info("started", brokers=broker.bootstrap_servers)
            code = _run_together(runners)
        except LimoflowError as error:
            log.error("ended", error_class=type(error).__name__, error=str(error))  # noqa: TRY400 - the message says all
            return error.exit_code
        log.info("stopped", exit_code=code)
        return code


def _log_crashes(log: structlog.stdlib.BoundLogger) -> None:
    """Write what ends the process or a thread through the logs, where secrets are masked, and not past them."""

    def crashed(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        log.critical("crashed", error_class=kind.__name__, exc_info=(kind, error, trace))

    sys.excepthook = crashed
    threading.excepthook = lambda told: crashed(told.exc_type, told.exc_value, told.exc_traceback)


def _readiness(runners: Sequence[Runner], remarks: Sequence[str] = ()) -> tuple[bool, str]:
    ready = bool(runners) and all(runner.ready() for runner in runners)
    return ready, "; ".join(["ready" if ready else "starting, or without its broker", *remarks])


def _run_together(runners: Sequence[Runner]) -> int:
    """Run the last runner here and the others in threads; when one ends, all end.

    Raises
    ------
    Exception
        What ended the first runner that failed.
    """
    failures: list[Exception] = []

    def run(runner: Runner) -> int:
        try:
            return runner.run()
        except Exception as error:  # noqa: BLE001 - raised again below, once every runner has stopped
            failures.append(error)
            return 1
        finally:
            for other in runners:
                other.stop()

    threads = [threading.Thread(target=run, args=(runner,), name=type(runner).__name__) for runner in runners[:-1]]
    for thread in threads:
        thread.start()
    code = run(runners[-1])
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return code
