"""The rate of the selector on a real one-node Kafka with 1, 2 and 4 workers and 4 to 64 partitions.

The first level runs in as many processes as there are workers, the second in one. They join their groups, are stopped
(SIGSTOP) while samples.scored is filled, and are timed from there until everything is read and committed, what they
write and read themselves included.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from benchmarks.selector import records
from limoflow.errors import StackError
from limoflow.stack.kafka import KafkaBroker
from limoflow.stack.processes import ManagedProcess, ProcessSpec, not_ready, running, wait_until
from limoflow.stream.kafka_transport import KafkaTransport
from limoflow.stream.settings import BrokerSettings
from limoflow.stream.types import Emit
from schemas.headers import RUN
from schemas.run import Run
from schemas.topics import POOL, REJECTED, RUNS, SCORED, topics
from services.selector.pools import PartitionPools

SAMPLES = int(os.environ.get("LIMOFLOW_BENCH_SCALE_SAMPLES", "40000"))
PARTITIONS = (4, 16, 64)
WORKERS = (1, 2, 4)
RESERVOIR = 200
SKETCH = 400
KINDS = 1_000
_ROOT = Path(__file__).parents[2]
_HANG_GUARD_S = 120.0
_PASSING = (KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS)


@dataclass(frozen=True, slots=True)
class Case:
    """What was measured.

    Attributes
    ----------
    partitions, workers : int
    largest : float
        The largest share of the partitions of samples.scored that one worker has.
    samples : int
    pool_records : int
        Records of selector.pool, all written and read once.
    seconds : float
    first_cpu, second_cpu, broker_cpu : float
        Processor seconds of the first level's workers together, the second level's, and the broker.
    idle : float
        Cores that nobody used, on average.
    others : float
        Cores that other processes of the machine used, on average.
    """

    partitions: int
    workers: int
    largest: float
    samples: int
    pool_records: int
    seconds: float
    first_cpu: float
    second_cpu: float
    broker_cpu: float
    idle: float
    others: float

    @property
    def cores(self) -> float:
        """Cores that it could have used."""
        used = (self.first_cpu + self.second_cpu + self.broker_cpu) / self.seconds
        return used + self.idle

    @property
    def rate(self) -> float:
        """Samples per second."""
        return self.samples / self.seconds


class Meter:
    """Processor time of some processes, and of the machine, from now on."""

    def __init__(self, processes: list[psutil.Process]) -> None:
        self._processes = processes
        self._cpu = self._used()
        self._machine = psutil.cpu_times()
        self._start = time.perf_counter()

    def read(self) -> tuple[float, list[float], float, float]:
        """Return the seconds, the processor seconds of each process, and the cores idle and used by others."""
        seconds = time.perf_counter() - self._start
        cpu = [now - before for now, before in zip(self._used(), self._cpu, strict=True)]
        machine = psutil.cpu_times()
        idle = machine.idle + machine.iowait - self._machine.idle - self._machine.iowait
        busy = sum(machine) - machine.guest - machine.guest_nice - machine.idle - machine.iowait
        busy -= sum(self._machine) - self._machine.guest - self._machine.guest_nice
        busy += self._machine.idle + self._machine.iowait
        return seconds, cpu, idle / seconds, max(0.0, busy - sum(cpu)) / seconds

    def _used(self) -> list[float]:
        times = [process.cpu_times() for process in self._processes]
        return [it.user + it.system for it in times]


class World:
    """A broker, and samples to send."""

    def __init__(self, kafka: KafkaBroker, broker: ManagedProcess, folder: Path) -> None:
        self._bootstrap = kafka.bootstrap
        self._broker = psutil.Process(broker.pid)
        self._folder = folder
        self._admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        settings = BrokerSettings(bootstrap_servers=kafka.bootstrap, partitions=PARTITIONS[0])
        self._transport = KafkaTransport(settings)
        self._transport.ensure_topics()
        self._kinds = [(it.value or b"", it.headers, it.key or b"") for it in records(KINDS)]
        self._cases = 0

    def case(self, partitions: int, workers: int, samples: int = SAMPLES) -> Case:
        """Run and measure one case."""
        self._cases += 1
        run_id = f"scale-{self._cases}"
        spec = {"name": run_id, "sources": [{"path": "x"}], "select": {"target": 50, "reservoir": RESERVOIR}}
        run = Run.model_validate({"run_id": run_id, "spec": spec})
        self._transport.sender.send([Emit(RUNS, run_id.encode(), run.to_bytes())])
        self._widen(partitions)
        with ExitStack() as resources:
            started = [self._start(resources, "first", index) for index in range(workers)]
            started.append(self._start(resources, "second", 0))
            largest = self._settle(started, partitions, workers)
            written = -self._written()
            processes = [psutil.Process(it.pid) for it in started]
            for process in processes:
                process.send_signal(signal.SIGSTOP)
            self._transport.sender.send(self._samples(run_id, samples))
            meter = Meter([*processes, self._broker])
            for process in processes:
                process.send_signal(signal.SIGCONT)
            self._wait(self._drained, started)
            seconds, (*first, second, broker), idle, others = meter.read()
            written += self._written()
        return Case(partitions, workers, largest, samples, written, seconds, sum(first), second, broker, idle, others)

    def _widen(self, partitions: int) -> None:
        there = self._admin.list_topics(timeout=30).topics
        wide = [name for name, topic in topics().items() if topic.partitions == "work"]
        wider = [NewPartitions(name, partitions) for name in wide if len(there[name].partitions) < partitions]
        for made in (self._admin.create_partitions(wider) if wider else {}).values():
            made.result()

    def _start(self, resources: ExitStack, level: str, index: int) -> ManagedProcess:
        ready = self._folder / f"{self._cases}-{level}-{index}"
        begin = (sys.executable, "-m", "benchmarks.scale.worker", level, "--broker", self._bootstrap)
        command = (*begin, "--instance", str(index), "--sketch", str(SKETCH), "--ready", str(ready))
        environment = {"PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"}
        name = f"{level}-{index}"
        process = ManagedProcess(
            ProcessSpec(name, command, environment, self._folder / f"{name}.log", ready=ready.exists, cwd=_ROOT)
        )
        resources.callback(process.stop)
        process.start()
        return process

    def _settle(self, started: list[ManagedProcess], partitions: int, workers: int) -> float:
        """Wait until the first level's workers share their partitions, and return the largest share of the samples."""
        self._wait(lambda: all(it.is_ready() for it in started), started)
        wanted = partitions * sum(it.mode == "group" for it in PartitionPools.inputs)
        self._wait(lambda: sorted(map(len, self._shares())) == _even(wanted, workers), started)
        return max(sum(topic == SCORED for topic in share) for share in self._shares()) / partitions

    def _shares(self) -> list[list[str]]:
        """Return the topics of the partitions of each member of the first level's group."""
        (described,) = self._admin.describe_consumer_groups(["selector"], request_timeout=30).values()
        try:
            group = described.result()
        except KafkaException as error:
            # A group that has just been made has no coordinator yet.
            if error.args[0].code() in _PASSING:
                return []
            raise
        return [[it.topic for it in member.assignment.topic_partitions] for member in group.members]

    def _samples(self, run_id: str, samples: int) -> Iterator[Emit]:
        for number in range(samples):
            value, headers, key = self._kinds[number % KINDS]
            mine = f"{self._cases:08x}{number:024x}".encode()
            told = tuple((name, run_id.encode() if name == RUN else text) for name, text in headers)
            yield Emit(SCORED, mine, value.replace(key, mine, 1).replace(b'"bench"', f'"{run_id}"'.encode()), told)

    def _drained(self) -> bool:
        pairs = (("selector", SCORED), ("selector", REJECTED), ("selector-merge", POOL))
        offsets = self._transport.offsets
        # The ends are asked for last: what is written between the questions counts as not read.
        committed = [offsets.committed(group, topic) for group, topic in pairs]
        ends = [offsets.ends(topic) for _, topic in pairs]
        return all(
            done.get(number, 0) >= end
            for done, there in zip(committed, ends, strict=True)
            for number, end in there.items()
        )

    def _written(self) -> int:
        return sum(self._transport.offsets.ends(POOL).values())

    @staticmethod
    def _wait(condition: Callable[[], bool], processes: list[ManagedProcess]) -> None:
        if wait_until(lambda: condition() or any(it.poll() is not None for it in processes), _HANG_GUARD_S):
            ended = [it for it in processes if it.poll() is not None]
            if not ended:
                return
            raise not_ready(ended[0].spec, ended[0].poll())
        raise StackError(
            f"a case did not end within {_HANG_GUARD_S:g} s; the logs lie in {processes[0].spec.log_path.parent}"
        )


def _even(partitions: int, workers: int) -> list[int]:
    """Return the numbers of partitions that the group's members have once they are balanced, fewest first."""
    share, more = divmod(partitions, workers)
    return [share] * (workers - more) + [share + 1] * more


def cases(samples: int = SAMPLES) -> list[Case]:
    """Measure every case on one broker, which has warmed up before."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kafka = KafkaBroker(folder)
        with running(kafka.spec()) as broker:
            world = World(kafka, broker, folder)
            world.case(PARTITIONS[0], 1, samples // 4)
            return [world.case(partitions, workers, samples) for partitions in PARTITIONS for workers in WORKERS]
