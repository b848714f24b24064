"""Throughput of the runners on a real one-node Kafka: `python -m benchmarks.stream`.

Each case runs one worker process on values of 1.5 kB that wait in the topic, and is timed from its first hundred
records to its last one, so that starting and joining the group do not count.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.figures import Figure, table
from limoflow.layer import sample_emit
from limoflow.memory import prepare_memory
from limoflow.stack.kafka import KafkaBroker
from limoflow.stack.processes import running
from limoflow.stream.confluent_runner import TaskRunner
from limoflow.stream.faust_runner import StageRunner
from limoflow.stream.kafka_transport import KafkaTransport
from limoflow.stream.settings import BrokerSettings
from limoflow.stream.topics_admin import ensure_topics
from limoflow.stream.types import Emit, Input, Record, TopicPartition
from schemas.sample import Lineage, Metadata, Sample
from schemas.topics import Topic

RECORDS = 60_000
PARTITIONS = 4
GOALS = {
    "stage_passed_through": 7_000,
    "stage_parsed": 4_000,
    "task_passed_through": 30_000,
    "task_parsed": 15_000,
}
NAMES = {
    "stage_passed_through": "Faust stage with ledger: passed through unparsed",
    "stage_parsed": "Faust stage with ledger: parsed and written again",
    "task_passed_through": "transactional task: passed through unparsed",
    "task_parsed": "transactional task: parsed and written again",
}


class Progress:
    """When the hundredth and the last record went by."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._count = 0
        self._began = (0, 0.0)
        self.finished = threading.Event()
        self.rate = 0.0

    def add(self, count: int) -> None:
        """Note that so many records went by."""
        self._count += count
        if not self._began[0] and self._count >= 100:
            self._began = (self._count, time.perf_counter())
        if self._count >= self._total:
            self.rate = (self._total - self._began[0]) / (time.perf_counter() - self._began[1])
            self.finished.set()


def passed(record: Record, output: str) -> Emit:
    return Emit(output, record.key, record.value, record.headers)


def parsed(record: Record, output: str) -> Emit:
    sample = Sample.model_validate_json(record.value or b"")
    return sample_emit(output, sample, "benchmark")


class BenchmarkStage:
    """A stage of one step."""

    version = "1"
    broadcast = ()

    def __init__(self, name: str, topic: str, step: Callable[[Record], Emit], progress: Progress) -> None:
        self.name = name
        self.topic = topic
        self._step = step
        self._progress = progress

    def observe(self, records: Sequence[Record]) -> None:
        """Need nothing of this."""

    async def handle(self, record: Record) -> Sequence[Emit]:
        """Take the step."""
        emit = self._step(record)
        self._progress.add(1)
        return (emit,)

    async def close(self) -> None:
        """Have nothing to let go of."""


class BenchmarkTask:
    """A task of one step."""

    version = "1"

    def __init__(self, name: str, topic: str, step: Callable[[Record], Emit], progress: Progress) -> None:
        self.name = name
        self.inputs = (Input(topic),)
        self._step = step
        self._progress = progress
        self._handled = 0

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Need nothing of this."""

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Need nothing of this."""

    def observe(self, records: Sequence[Record]) -> None:
        """Need nothing of this."""

    def restore(self, records: Sequence[Record]) -> None:
        """Need nothing of this."""

    def process(self, records: Sequence[Record]) -> Iterable[Emit]:
        """Take the step for each record."""
        self._handled = len(records)
        return [self._step(record) for record in records]

    def tick(self) -> Iterable[Emit]:
        """Say nothing."""
        return ()

    def delivered(self, ends: Mapping[TopicPartition, int]) -> None:  # noqa: ARG002
        """Count a batch once its transaction is committed."""
        self._progress.add(self._handled)


def sample_of(number: int) -> Sample:
    text = f"{number} " * 60
    lineage = Lineage.model_validate({"run_id": "benchmark", "window": 0, "source_ref": f"row {number}", "stage": "in"})
    return Sample(
        id=f"{number:032x}", instruction=text, response=text * 2, metadata=Metadata.model_validate({"lineage": lineage})
    )


def run_case(case: str, broker: BrokerSettings, records: int) -> float:
    """Run one case in this process and return its records per second."""
    prepare_memory()
    source, output = "benchmark.in", f"benchmark.{case}"
    progress = Progress(records)
    step = parsed if case.endswith("_parsed") else passed

    def one(record: Record) -> Emit:
        return step(record, output)

    runner: StageRunner | TaskRunner
    if case.startswith("stage"):
        runner = StageRunner(BenchmarkStage(case, source, one, progress), broker)
    else:
        runner = TaskRunner(BenchmarkTask(case, source, one, progress), broker)

    def stop_when_finished() -> None:
        progress.finished.wait()
        runner.stop()

    threading.Thread(target=stop_when_finished, daemon=True).start()
    runner.run()
    return progress.rate


def prepare(broker: BrokerSettings, records: int) -> int:
    """Create the topics, fill the first, and return the size of a value in bytes."""
    described = Topic.model_validate(
        {"purpose": "", "key": "", "schema": None, "versions": (1,), "producers": (), "consumers": ()}
        | {"retention": 1, "partitions": PARTITIONS}
    )
    ensure_topics(broker, dict.fromkeys(["benchmark.in", *(f"benchmark.{case}" for case in GOALS)], described))
    transport = KafkaTransport(broker)
    transport.sender.send(sample_emit("benchmark.in", sample_of(number), "benchmark") for number in range(records))
    transport.close()
    return len(sample_of(records).to_bytes())


def measure(records: int = RECORDS) -> list[Figure]:
    """Start a broker and run every case in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        kafka = KafkaBroker(Path(folder))
        with running(kafka.spec()):
            prepare(BrokerSettings(bootstrap_servers=kafka.bootstrap), records)
            return [
                Figure(NAMES[case], _rate_of(case, kafka.bootstrap, records), "records/s", goal)
                for case, goal in GOALS.items()
            ]


def _rate_of(case: str, broker: str, records: int) -> float:
    command = [sys.executable, "-m", "benchmarks.stream", "--case", case, "--broker", broker]
    answer = subprocess.run([*command, "--records", str(records)], capture_output=True, text=True, check=True)
    return float(answer.stdout)


def main() -> None:
    """Run one case on a broker, which is how `measure` calls it, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--case", choices=GOALS, help="run this case here, on the broker given by --broker")
    parser.add_argument("--broker")
    arguments = parser.parse_args()
    if arguments.broker:
        rate = run_case(arguments.case, BrokerSettings(bootstrap_servers=arguments.broker), arguments.records)
        sys.stdout.write(f"{rate}\n")
    else:
        sys.stdout.write(table(measure(arguments.records)) + "\n")


if __name__ == "__main__":
    main()
