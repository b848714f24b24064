"""A log with transactions and control records, and a runner that crashes where it is told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from limoflow.stream.partitioner import partition_of
from limoflow.stream.types import Emit, Record, TopicPartition
from schemas.headers import WINDOW, header_text
from schemas.run import Run
from schemas.sample import Sample
from schemas.topics import ADMISSIONS, INGEST_STATE, RAW, RUNS, WINDOWS
from schemas.window import WindowEnd
from services.ingestor.settings import IngestorSettings
from services.ingestor.task import Ingestor

PARTITIONS = 3


class Crash(Exception):
    pass


class Log:
    """Each transaction leaves a control record in every partition that it touched."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._next: dict[TopicPartition, int] = {}

    def transact(self, emits: Sequence[Emit]) -> dict[TopicPartition, int]:
        ends: dict[TopicPartition, int] = {}
        for emit in emits:
            work = emit.topic == RAW or emit.topic.startswith("dlq.")
            place = TopicPartition(emit.topic, partition_of(emit.key or b"", PARTITIONS) if work else 0)
            offset = self._next.get(place, 0)
            self._next[place] = offset + 1
            ends[place] = offset + 1
            self.records.append(Record(*place, offset, emit.key, emit.value, emit.headers, timestamp_ms=1))
        for place in ends:
            self._next[place] += 1
        return ends

    def read(self, topics: Sequence[str], *, since_ms: int | None = None) -> Iterator[Record]:
        return iter([record for record in self.records if record.topic in topics])

    def of(self, topic: str) -> list[Record]:
        return [record for record in self.records if record.topic == topic]

    def rows(self) -> set[tuple[str, int]]:
        return {
            ((record.key or b"").decode(), int(header_text(record.headers, WINDOW) or -1)) for record in self.of(RAW)
        }

    def samples(self) -> list[Sample]:
        return [Sample.model_validate_json(record.value or b"") for record in self.of(RAW)]

    def window_ends(self) -> list[WindowEnd]:
        return [WindowEnd.model_validate_json(record.value or b"") for record in self.of(WINDOWS)]

    def letters(self) -> list[Record]:
        return self.of("dlq.ingestor")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Worker:
    """One life of the ingestor on a log."""

    def __init__(self, log: Log, run: Run, clock: Callable[[], float], **settings: int) -> None:
        self.log = log
        self.task = Ingestor(IngestorSettings(**{"scan_seconds": 0, **settings}), log, clock)
        self.task.assigned([TopicPartition(RUNS, 0)])
        self.announce(run)

    def announce(self, run: Run) -> list[Emit]:
        return list(self.task.process([Record(RUNS, 0, 0, run.run_id.encode(), run.to_bytes())]))

    def step(self, crash: str | None = None) -> bool:
        emits = list(self.task.tick())
        while emits and crash is None and {emit.topic for emit in emits} == {ADMISSIONS}:
            self.task.delivered(self.log.transact(emits))
            emits = list(self.task.tick())
        if crash == "before commit":
            raise Crash
        if not emits:
            return False
        ends = self.log.transact(emits)
        if crash == "after commit":
            raise Crash
        self.task.delivered(ends)
        return True

    def drain(self) -> Worker:
        while self.step():
            pass
        return self


__all__ = ["INGEST_STATE", "Clock", "Crash", "Log", "Worker"]
