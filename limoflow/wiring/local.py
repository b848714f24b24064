"""All services in one process: no Kafka, no Triton, the same handlers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from limoflow.following import Course, run_view
from limoflow.inference.types import ScoringModels
from limoflow.layer import LayerStage
from limoflow.observe.logs import configure_logs
from limoflow.progress_of import Results, results_of
from limoflow.runs import RunRegistry
from limoflow.settings import Home, ServiceSettings, from_environment
from limoflow.stream.local import LocalTransport
from limoflow.stream.local_runner import LocalRunner
from limoflow.stream.types import Task, Transport
from limoflow.wiring.layers import open_layer
from limoflow.wiring.plan import run_emit
from schemas.run import Run
from schemas.topics import CANDIDATE, RAW, SCORED, VERIFIED

LAYERS = (("generate", RAW, CANDIDATE), ("verify", CANDIDATE, VERIFIED), ("score", VERIFIED, SCORED))


def run_local(run: Run, home: Home, models: ScoringModels | None = None) -> tuple[Transport, Results]:
    """Run to the end in this process; return the transport, for the audit, and what the run produced.

    Parameters
    ----------
    models : ScoringModels, optional
        The models that score; those of the home folder by default.
    """
    configure_logs("limoflow", "local", level="WARNING", stream=sys.stderr)
    transport = LocalTransport()
    transport.ensure_topics()
    results = asyncio.run(_run(run, home, transport, models))
    return transport, results


@asynccontextmanager
async def hosted(
    transport: LocalTransport, home: Home, models: ScoringModels | None = None
) -> AsyncIterator[LocalRunner]:
    """Host every service on a transport in this process, and stop them gracefully in the end."""
    async with AsyncExitStack() as resources:
        runner = LocalRunner(transport)
        for name, topic, output in LAYERS:
            layer = await resources.enter_async_context(open_layer(name, home, models))
            runner.add_stage(LayerStage(layer, topic, output, RunRegistry()))
        for task in _tasks(home, transport):
            runner.add_task(task)
        try:
            yield runner
        finally:
            await runner.stop()


async def _run(run: Run, home: Home, transport: LocalTransport, models: ScoringModels | None) -> Results:
    async with hosted(transport, home, models) as runner:
        transport.send([run_emit(run)])
        course = Course()
        with run_view(run) as progress:

            def finished() -> bool:
                results = results_of(transport, run.run_id)
                done, total, fields = course.progress(transport.offsets, results)
                progress.update(done, total, **fields)
                return results.refused is not None or results.finished(run)

            await runner.run_until(finished)
    return results_of(transport, run.run_id)


def _tasks(home: Home, transport: LocalTransport) -> list[Task]:
    from models.catalog import ModelCatalog
    from services.exporter.app import ExporterSettings
    from services.exporter.app import task as exporter
    from services.ingestor.app import task as ingestor
    from services.selector.app import tasks as selector
    from services.trainer.app import TrainerSettings
    from services.trainer.app import task as trainer

    return [
        ingestor(None, transport.reader, tenants=from_environment(ServiceSettings).tenants),
        *selector(offsets=transport.offsets),
        exporter(ExporterSettings(folder=home.releases), transport.reader),
        trainer(TrainerSettings(folder=home.adapters), transport.reader, base_path=ModelCatalog(home.root).path),
    ]
