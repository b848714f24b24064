"""The course of a soak: a stack, a feed, faults, and what is there in the end."""

from __future__ import annotations

import random
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from benchmarks.soak.feed import FIELDS, Feeder
from benchmarks.soak.judge import Sample
from benchmarks.soak.plan import Fault
from benchmarks.soak.watch import LagLook, Ledger, MemoryLook, Watch
from limoflow.audit import AuditReport, audit
from limoflow.errors import DependencyUnavailable
from limoflow.progress_of import results_of, runs_of
from limoflow.stream.kafka_transport import KafkaTransport
from limoflow.stream.settings import BrokerSettings
from schemas.headers import RUN, header_text
from schemas.release import Release
from schemas.run import RunSpec
from schemas.topics import RAW
from tests.support.faults import end, kill, pause
from tests.support.slow_network import SlowNetwork
from tests.support.stack import Stack, running_stack, until

FLOW, CALM = "flow", "calm"
GUARD_S = 1800.0
LAST_LAG_S = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a soak is to be.

    Attributes
    ----------
    rate : float
        Rows a second.
    window, target : int
        Rows of a window, and of its release.
    compared : int
        How many windows are made a second time, from the same rows sent at once, with nothing disturbed.
    """

    lines: Sequence[bytes]
    faults: Sequence[Fault]
    model: Path
    rate: float = 8.0
    seed: int = 1
    window: int = 400
    target: int = 60
    compared: int = 10
    look_every_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was seen.

    Attributes
    ----------
    admitted : int
        Rows of the lake that the ingestor sent on or dead-lettered.
    releases, calm : dict of int to Release
        By window: of the disturbed run, and of the calm one.
    drained_s : float
        From the last row to the last release, exported.
    lag_left : float
        Records that still waited for a stage a minute later; looked at until there are none.
    """

    seconds: float
    fed: int
    admitted: int
    report: AuditReport
    memory: Sequence[Sample]
    progress: dict[str, list[tuple[float, float, float]]]
    unanswered: int
    suffered: Counter[str]
    restarts: dict[str, int]
    releases: dict[int, Release]
    calm: dict[int, Release]
    drained_s: float
    lag_left: float
    passed_bytes: int


def soak(plan: Plan, folder: Path, csv: Path) -> Outcome:
    """Run a stack in `folder` through the plan; the stack is stopped whatever happens."""
    with ExitStack() as held:
        upstream = partial(_port_of, Stack(folder / "home", folder))
        network = held.enter_context(SlowNetwork(upstream))
        feeder = Feeder(plan.lines, folder / FLOW, plan.rate)
        held.callback(feeder.stop)
        address = f"127.0.0.1:{network.port}"
        stack = held.enter_context(running_stack(folder / "home", folder, "--advertise", address))
        transport = KafkaTransport(BrokerSettings(bootstrap_servers=address))
        held.callback(transport.close)
        return _Course(plan, folder, stack, network, feeder, transport, csv).run()


def _port_of(stack: Stack) -> int:
    return stack.process("kafka").ports["kafka"]


def _left(lag: LagLook) -> float:
    by = time.monotonic() + LAST_LAG_S
    while True:
        lag()
        left = lag.last()
        if not left or time.monotonic() > by:
            return left
        time.sleep(1.0)


@dataclass
class _Course:
    plan: Plan
    folder: Path
    stack: Stack
    network: SlowNetwork
    feeder: Feeder
    transport: KafkaTransport
    csv: Path

    def run(self) -> Outcome:
        run_id = self._submit(FLOW)
        ledger = Ledger(self.csv)
        memory = MemoryLook(self.stack, ledger)
        lag = LagLook(self.transport.offsets, lambda: self.feeder.fed, ledger)
        self.feeder.start()
        with Watch(memory, self.plan.look_every_s), Watch(lag, self.plan.look_every_s):
            suffered = self._suffer(ledger)
            self.feeder.wait(GUARD_S)
        seconds = ledger.now()
        self.stack.command("close", run_id)
        releases = self._finished(run_id)
        drained_s = ledger.now() - seconds
        lag_left = _left(lag)
        ledger.close()
        report = audit(self.transport.reader, run_id)
        return Outcome(
            seconds=seconds,
            fed=self.feeder.fed,
            admitted=self._sent_on(run_id) + report.dead_lettered["ingestor"],
            report=report,
            memory=memory.samples,
            progress=dict(lag.progress),
            unanswered=lag.unanswered,
            suffered=suffered,
            restarts={process.service: process.restarts for process in self.stack.state.processes},
            releases=releases,
            calm=self._calm(),
            drained_s=drained_s,
            lag_left=lag_left,
            passed_bytes=self.network.passed,
        )

    def _submit(self, source: str) -> str:
        spec = {
            "name": source,
            "seed": 7,
            "sources": [
                {"path": f"{source}/*.jsonl", "fields": FIELDS, "follow": source == FLOW, "settle_seconds": 0.0}
            ],
            "generate": {"strategies": [{"kind": "numeric_variation", "per_sample": 1, "share": 0.1}]},
            "score": {"ifd": {"model": str(self.plan.model)}},
            "select": {"target": self.plan.target, "window": {"count": self.plan.window}},
        }
        RunSpec.model_validate(spec)
        path = self.folder / f"{source}.yaml"
        path.write_text(yaml.safe_dump(spec), encoding="utf-8")
        self.stack.command("run", str(path), "--detach")
        (run_id,) = (run_id for run_id, run in runs_of(self.transport).items() if run.spec.name == source)
        return run_id

    def _suffer(self, ledger: Ledger) -> Counter[str]:
        """Let everything go wrong that is planned, one after another; a slow network goes on beside the others."""
        chance, suffered = random.Random(self.plan.seed), Counter[str]()
        recovery: threading.Timer | None = None
        for fault in self.plan.faults:
            time.sleep(max(0.0, fault.at_s - ledger.now()))
            begin = ledger.now()
            sys.stderr.write(f"{begin:6.0f} s: {fault}\n")
            if fault.kind == "slow":
                if recovery is not None:
                    recovery.cancel()
                self.network.become(fault.latency_s, fault.bytes_per_s)
                recovery = threading.Timer(fault.seconds, self.network.become)
                recovery.daemon = True
                recovery.start()
            else:
                self._disturb(fault, chance)
            ledger.note(begin, fault.victim, fault.kind, round(max(fault.seconds, ledger.now() - begin), 1))
            suffered[fault.kind] += 1
        if recovery is not None:
            recovery.join()
        return suffered

    def _disturb(self, fault: Fault, chance: random.Random) -> None:
        if fault.kind == "pause":
            pause(self.stack, fault.victim, fault.seconds)
        elif fault.kind == "restart":
            end(self.stack, fault.victim, signal.SIGTERM)
        else:
            kill(self.stack, fault.victim, chance)

    def _finished(self, run_id: str) -> dict[int, Release]:
        """Wait for the last release to be exported, and return all of them."""

        def finished() -> bool:
            time.sleep(1.0)
            try:
                return results_of(self.transport, run_id).finished(runs_of(self.transport)[run_id])
            except DependencyUnavailable:
                return False

        until(finished, GUARD_S, f"the last release of {run_id}")
        failures = results_of(self.transport, run_id).failures
        assert not failures, failures
        exported = [one for one in self.stack.releases() if one.run_id == run_id]
        return {release.window: release for release in exported}

    def _sent_on(self, run_id: str) -> int:
        found = {one.key for one in self.transport.reader.read([RAW]) if header_text(one.headers, RUN) == run_id}
        return len(found)

    def _calm(self) -> dict[int, Release]:
        """Send the rows of the first windows again, at once."""
        if not self.plan.compared:
            return {}
        (self.folder / CALM).mkdir()
        wanted = self.plan.compared * self.plan.window
        rows = 0
        for path in sorted((self.folder / FLOW).glob("*.jsonl")):
            # Rows that cannot be read fill no window, so a few more than the windows hold.
            if rows > wanted * 1.1:
                break
            shutil.copy(path, self.folder / CALM)
            rows += path.read_bytes().count(b"\n")
        found = self._finished(self._submit(CALM))
        return {window: release for window, release in found.items() if window < self.plan.compared}
