"""All services in one process, with fake models: whole runs in a second or two."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from limoflow.audit import AuditReport, audit
from limoflow.cli import letters, place, releases, runs
from limoflow.inference.fakes import FakeModels
from limoflow.progress_of import Results, results_of
from limoflow.settings import Home
from limoflow.spec_file import check_spec
from limoflow.stream.local import LocalTransport
from limoflow.stream.local_runner import LocalRunner
from limoflow.wiring.local import hosted
from limoflow.wiring.plan import run_emit
from schemas.release import Release
from schemas.run import Run

HANG_GUARD_S = 120.0


def planned(folder: Path, name: str = "flow", **parts: Any) -> Run:
    """Return a run over `lake/*` below `folder`; `parts` are laid over the spec."""
    source = {"path": "lake/*", "domain": "mathematics", **parts.pop("source", {})}
    spec = {
        "name": name,
        "sources": [source],
        "select": {"target": 20, **parts.pop("select", {})},
        "export": {"formats": ["jsonl"]},
        **parts,
    }
    return Run(
        run_id=f"{name}-1", spec=check_spec(spec, "the test"), folder=str(folder), models={"ifd": "ifd-0123456789ab"}
    )


class LocalFlow:
    """One local stack; use it inside `async with flow(...)`."""

    def __init__(self, folder: Path, partitions: int = 4, models: FakeModels | None = None) -> None:
        self.home = Home(folder / "home")
        self.models = models or FakeModels()
        self.transport = LocalTransport(partitions)
        self.transport.ensure_topics()

    def submit(self, *runs: Run) -> None:
        """Announce runs."""
        self.transport.send([run_emit(run) for run in runs])

    async def until(self, runner: LocalRunner, condition: Callable[[], bool]) -> None:
        """Run until a condition holds."""
        await runner.run_until(condition, timeout_s=HANG_GUARD_S)

    async def complete(self, *runs: Run, storm: Iterable[tuple[int, str]] = ()) -> list[Results]:
        """Run to the end; `storm` says, after how many commits on the log, which stage is killed."""
        async with hosted(self.transport, self.home, self.models) as runner:
            self.submit(*runs)
            for records, victim in storm:
                await self.until(runner, lambda records=records: self._written() >= records or self._finished(runs))
                await runner.crash(victim)
            await self.until(runner, lambda: self._finished(runs))
        return [self.results(run) for run in runs]

    def run(self, *runs: Run, storm: Iterable[tuple[int, str]] = ()) -> list[Results]:
        """Like `complete`, from plain code."""
        return asyncio.run(self.complete(*runs, storm=storm))

    def results(self, run: Run) -> Results:
        """Return what a run has produced."""
        return results_of(self.transport, run.run_id)

    def audit(self, run: Run) -> AuditReport:
        """Account for every sample of a run."""
        return audit(self.transport.reader, run.run_id)

    def _finished(self, runs: Iterable[Run]) -> bool:
        return all(self.results(run).finished(run) for run in runs)

    def _written(self) -> int:
        topics = ("samples.raw", "samples.candidate", "samples.verified", "samples.scored", "samples.rejected")
        return sum(sum(self.transport.ends(topic).values()) for topic in topics)


def only(results: Results) -> Release:
    """Return the one release."""
    (release,) = results.releases.values()
    return release


def rows(count: int, start: int = 0) -> list[dict[str, str]]:
    """Return worked problems, all right and all different."""
    things = ("apples", "pencils", "stamps", "marbles", "ribbons", "shells", "coins")
    places = ("a market", "the garden", "an old shop", "the harbour", "a school", "the library")
    made = []
    for number in range(start, start + count):
        first, second = 3 + number % 97, 5 + (number * 7) % 89
        thing, place = things[number % len(things)], places[(number // 7) % len(places)]
        made.append(
            {
                "instruction": f"Person {number} brings {first} {thing} to {place} and finds {second} more {thing} "
                f"near door {number * 13 % 1009}. How many {thing} does person {number} hold at {place}?",
                "response": f"At {place} person {number} holds {first}+{second} = <<{first}+{second}={first + second}>>"
                f"{first + second} {thing}.\n#### {first + second}",
            }
        )
    return made


def write_lake(folder: Path, name: str, lines: Iterable[Mapping[str, Any] | bytes]) -> Path:
    """Write a JSONL file of the lake; bytes are written as they are."""
    path = folder / "lake" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    unfinished = path.with_name(f".{name}")
    unfinished.write_bytes(data)
    unfinished.rename(path)
    return path


def commanded_flow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> LocalFlow:
    """Return a flow that has run once, one of its rows broken, and whose topics the command line looks at."""
    write_lake(folder, "a.jsonl", [*rows(40), b"{broken"])
    flow = LocalFlow(folder)
    flow.run(planned(folder))

    @contextmanager
    def connected() -> Iterator[LocalTransport]:
        yield flow.transport

    for module in (place, runs, releases, letters):
        monkeypatch.setattr(module, "connected", connected)
    monkeypatch.setenv("LIMOFLOW_HOME", str(flow.home.root))
    return flow
