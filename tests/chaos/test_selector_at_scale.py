"""Pre-scored samples through the two-level selector on real Kafka: one manifest, whatever happens on the way.

`make test-scale` runs it with 200,000 samples, a release of 2,000, and 1, 2 and 4 workers. Each time the samples come
in another order with other repeats.
"""

from __future__ import annotations

import base64
import json
import os
import random
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import orjson
import pytest

from limoflow.stack.kafka import KafkaBroker
from limoflow.stack.processes import ManagedProcess, ProcessSpec, log_tail
from limoflow.stream.kafka_transport import KafkaTransport
from limoflow.stream.settings import BrokerSettings
from limoflow.stream.types import Emit
from schemas.headers import event_headers
from schemas.release import Release
from schemas.run import Run
from schemas.topics import FINALIZED, POOL, REJECTED, RELEASES, RUNS, SCORED, WINDOWS
from schemas.window import WindowEnd
from tests.support.stack import REPOSITORY, need_broker, until

ROWS = int(os.environ.get("LIMOFLOW_SCALE_ROWS", "4000"))
WORKERS = [int(count) for count in os.environ.get("LIMOFLOW_SCALE_WORKERS", "2").split(",")]
KILLS = int(os.environ.get("LIMOFLOW_SCALE_KILLS", "1"))
TARGET = ROWS // 100
RESERVOIR = ROWS // 10
REPEATED = 0.02
DIMENSIONS = 32
PARTS = 20
HANG_GUARD_S = 1800.0

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(HANG_GUARD_S * 2)]

SPEC = {
    "name": "scale",
    "sources": [{"path": "x"}],
    "select": {"target": TARGET, "reservoir": RESERVOIR, "quotas": {"difficulty": {"easy": 0.2, "hard": 0.5}}},
}
RUN = Run.model_validate({"run_id": "scale", "spec": SPEC})


def samples() -> list[Emit]:
    """Return the scored samples; three strata, all larger than the reservoir, duplicates among them."""
    chance, numbers = random.Random(7), np.random.default_rng(7)
    made = []
    for row in range(ROWS):
        vector = numbers.standard_normal(DIMENSIONS)
        vector /= np.linalg.norm(vector)
        subject = row - 1 if row % 50 == 1 else row
        metadata = {
            "domain": "mathematics",
            "difficulty": chance.choice(["easy", "medium", "hard"]),
            "evaluations": {"instruction_complexity": chance.random(), "response_quality": chance.random()},
            "advanced_assessment": {
                "answer_match": chance.random(),
                "embedding": {
                    "model": "e",
                    "dimensions": DIMENSIONS,
                    "data": base64.b64encode(vector.astype("<f2").tobytes()).decode(),
                },
            },
            "lineage": {"run_id": RUN.run_id, "window": 0, "source_ref": f"f:{row}", "versions": {"scorer": "1"}},
        }
        told = random.Random(subject)
        instruction = " ".join(f"w{told.randrange(5000)}" for _ in range(20))
        whole = {"id": f"{row:08x}", "instruction": instruction, "response": f"so {subject * 37}", "metadata": metadata}
        headers = event_headers("sample.v1", f"{row:08x}", "scorer", runid=RUN.run_id, window=0)
        made.append(Emit(SCORED, f"{row:08x}".encode(), orjson.dumps(whole), headers))
    return made


class World:
    """A broker of its own, a feed, and some workers."""

    def __init__(self, folder: Path, workers: int, resources: ExitStack) -> None:
        broker = KafkaBroker(folder, session_timeout_ms=9_000)
        self._kafka = ManagedProcess(broker.spec())
        resources.callback(self._kafka.stop)
        self._kafka.start()
        until(self._kafka.is_ready, 90.0, "the broker")
        self._transport = KafkaTransport(BrokerSettings(bootstrap_servers=broker.bootstrap))
        resources.callback(self._transport.close)
        self._transport.ensure_topics()
        self._transport.sender.send([Emit(RUNS, RUN.run_id.encode(), RUN.to_bytes())])
        self._workers = [ManagedProcess(self._spec(folder, broker.bootstrap, index)) for index in range(workers)]
        for worker in self._workers:
            resources.callback(worker.stop)
            worker.start()

    @staticmethod
    def _spec(folder: Path, bootstrap: str, index: int) -> ProcessSpec:
        environment = {
            "LIMOFLOW_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "LIMOFLOW_KAFKA_SESSION_TIMEOUT_MS": "6000",
            "LIMOFLOW_INSTANCE": str(index),
            "LIMOFLOW_HOME": str(folder / "home"),
            "LIMOFLOW_SELECTOR_CHUNK": "1000",
            "PYTHONPATH": str(REPOSITORY),
            "OMP_NUM_THREADS": "1",
        }
        command = (sys.executable, "-m", "services.selector")
        return ProcessSpec(f"selector-{index}", command, environment, folder / f"selector-{index}.log", cwd=REPOSITORY)

    def feed(self, emits: list[Emit], chance: random.Random, kills: int) -> None:
        """Send all in another order and some twice; kill workers between the parts, the last time after them."""
        repeated = chance.sample(emits, int(REPEATED * len(emits)))
        order = [*emits, *repeated]
        chance.shuffle(order)
        size = len(order) // PARTS + 1
        for part in range(PARTS):
            self._transport.sender.send(order[part * size : (part + 1) * size])
            if 1 <= part <= max(1, kills - 1) and kills:
                until(lambda: self.count(POOL) > 0, 120.0, "the first forwarded samples")
                self.kill(chance)
        end = WindowEnd(run_id=RUN.run_id, window=0, rows=len(emits), end_offsets={"0": 0}, last=True)
        self._transport.sender.send([Emit(WINDOWS, f"{RUN.run_id}|0".encode(), end.to_bytes())])
        if kills > 1:
            # All was read, so that a closing is near or under way.
            self._wait(lambda: self._read_all() or self.count(RELEASES) > 0)
            self.kill(chance)

    def kill(self, chance: random.Random) -> None:
        """Kill a worker, and start it again under its name."""
        worker = chance.choice(self._workers)
        worker.kill()
        until(lambda: worker.poll() is not None, 30.0, "an end")
        worker.start()

    def count(self, topic: str) -> int:
        """Return how many records a topic was given."""
        return sum(self._transport.offsets.ends(topic).values())

    def _read_all(self) -> bool:
        committed = self._transport.offsets.committed("selector", SCORED)
        return all(committed.get(it, 0) >= end for it, end in self._transport.offsets.ends(SCORED).items())

    def release(self) -> bytes:
        """Wait for the release and return its bytes."""
        self._wait(lambda: self.count(RELEASES) > 0)
        (record,) = {record.value for record in self._transport.reader.read([RELEASES])}
        assert record is not None
        return record

    def ended(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the reasons of the finalized and of the rejected, by id."""
        found: tuple[dict[str, str], dict[str, str]] = ({}, {})
        for record in self._transport.reader.read([FINALIZED, REJECTED]):
            value = json.loads(record.value or b"{}")
            found[record.topic == REJECTED][value["id"]] = value["metadata"]["filtering"]["reason"]
        return found

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + HANG_GUARD_S
        while not condition():
            for worker in self._workers:
                assert worker.poll() is None, log_tail(worker.spec.log_path)
            assert time.monotonic() < deadline, [log_tail(worker.spec.log_path) for worker in self._workers]
            time.sleep(0.1)


@pytest.fixture(scope="module")
def emits() -> list[Emit]:
    need_broker()
    return samples()


def released(folder: Path, emits: list[Emit], workers: int, kills: int) -> bytes:
    """Return the manifest of one world, in which every sample ended once."""
    with ExitStack() as resources:
        start = time.monotonic()
        world = World(folder, workers, resources)
        world.feed(emits, random.Random(f"{workers}/{kills}"), kills)
        manifest = world.release()
        seconds = time.monotonic() - start
        finalized, rejected = world.ended()
        passed_on = world.count(POOL)
    sys.stderr.write(
        f"\n{len(emits):,} samples, {workers} workers, {kills} kills: {seconds:.1f} s from the broker's start to the "
        f"release, {passed_on:,} records of the pool topic\n"
    )
    assert finalized.keys() == {row.id for row in Release.model_validate_json(manifest).rows}
    assert not finalized.keys() & rejected.keys()
    assert len(finalized) + len(rejected) == len(emits)
    assert set(rejected.values()) >= {"reservoir_full", "outranked", "exact_duplicate"}
    return manifest


@pytest.fixture(scope="module")
def calm(emits: list[Emit], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return released(tmp_path_factory.mktemp("one"), emits, 1, 0)


@pytest.mark.parametrize("workers", WORKERS)
def test_a_release_is_the_same_for_any_number_of_workers_and_kills(
    emits: list[Emit], calm: bytes, tmp_path: Path, workers: int
) -> None:
    assert len(Release.model_validate_json(calm).rows) == TARGET
    assert released(tmp_path, emits, workers, KILLS) == calm
