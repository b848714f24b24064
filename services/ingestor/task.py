"""The ingestor as a task: each tick reads one batch of one run, and writes rows and progress in one transaction."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from pydantic import ValidationError

from limoflow.errors import DependencyUnavailable, PoisonError, UsageError
from limoflow.stream.types import Emit, Input, LogReader, Record, TopicPartition
from limoflow.versions import check_version
from schemas.run import Run
from schemas.topics import ADMISSIONS, INGEST_STATE, RAW, RELEASES, RUNS
from services.ingestor.gate import Gate, Verdicts
from services.ingestor.outages import Outages
from services.ingestor.reading import Batch, RunReading
from services.ingestor.settings import IngestorSettings
from services.ingestor.sources import SourceKind, source_kind
from services.ingestor.state import read_progress, recover_ends
from services.ingestor.tenants import Tenants

VERSION = "1"


class Ingestor:
    """Lets runs in, as the tenants' quotas say, and reads their sources, one batch a tick, run by run in turn.

    `runs` has one partition, so one worker ingests and the others stand by. Progress is read from the log when work
    begins, never from memory of an earlier assignment; a batch counts as written only once `delivered` says so, and is
    offered again, unchanged, until then. A run whose source is out rests, while the others go on, and then goes on from
    what the log says.

    Parameters
    ----------
    settings : IngestorSettings
    reader : LogReader
        Reads `ingest.state`, and after a crash the last batch in samples.raw.
    clock : callable
        Seconds since the epoch.
    on_batch : callable, optional
        Called with each batch once it is written, for metrics.
    on_retry : callable, optional
        Called with the class of the error when a source is out and will be tried again, for metrics.
    tenants : Tenants, optional
        Without it everybody may do everything.
    """

    name = "ingestor"
    version = VERSION

    def __init__(
        self,
        settings: IngestorSettings,
        reader: LogReader,
        clock: Callable[[], float] = time.time,
        on_batch: Callable[[Batch], None] | None = None,
        tenants: Tenants | None = None,
        on_retry: Callable[[str], None] | None = None,
    ) -> None:
        self._outages = Outages(clock, on_retry)
        self._tenants = tenants or Tenants()
        # Manifests are large: who waits for none reads none.
        waits = (Input(RELEASES, "broadcast"),) if self._tenants.let_wait else ()
        self.inputs: tuple[Input, ...] = (Input(RUNS, "rebuild"), *waits)
        self._on_batch = on_batch
        self._settings = settings
        self._reader = reader
        self._clock = clock
        self._owns = False
        self._releases: list[Record] = []
        self._forget()

    def _forget(self) -> None:
        self._gate = Gate(self._tenants, self.version)
        self._gate.released(self._releases)
        self._open: dict[str, RunReading] | None = None
        self._finished: set[str] = set()
        self._turns: deque[str] = deque()
        self._lost: set[str] = set()
        self._next: Batch | Verdicts | None = None
        self._offered = False

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Begin anew with the partition of `runs`."""
        if any(partition.topic == RUNS for partition in partitions):
            self._forget()
            self._owns = True

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Leave the runs to another worker."""
        if any(partition.topic == RUNS for partition in partitions):
            self._forget()
            self._owns = False

    def observe(self, records: Sequence[Record]) -> None:
        """Take note of releases: the place of a run is free once its last one is there."""
        keys = [replace(record, value=record.value and b"") for record in records if record.topic == RELEASES]
        self._releases += keys
        self._gate.released(keys)

    def restore(self, records: Sequence[Record]) -> None:
        """Take note of runs that were announced before; what could not be read then is a dead letter already."""
        self._note_runs(records)

    def process(self, records: Sequence[Record]) -> Iterable[Emit]:
        """Take note of runs, and dead-letter what is none."""
        self._offered = False
        return self._note_runs(records)

    def tick(self) -> Iterable[Emit]:
        """Return the next batch of the next run; the same one until its delivery is reported."""
        if not self._owns:
            return ()
        if self._next is None:
            self._next = self._verdicts() or self._next_batch()
        self._offered = self._next is not None
        return self._next.emits if self._next is not None else ()

    def delivered(self, ends: Mapping[TopicPartition, int]) -> None:
        """Take the offered batch as written."""
        if not self._offered or self._next is None:
            return
        written, self._next, self._offered = self._next, None, False
        if isinstance(written, Verdicts):
            self._gate.settled(written)
        else:
            self._written(written, ends)

    def _written(self, batch: Batch, ends: Mapping[TopicPartition, int]) -> None:
        if self._on_batch is not None:
            self._on_batch(batch)
        batch.written({partition.partition: end for partition, end in ends.items() if partition.topic == RAW})
        if batch.progress.finished:
            self._finished.add(batch.run_id)
            self._gate.over(batch.run_id, batch.progress.last_window)
            if self._open is not None:
                self._open.pop(batch.run_id).close()

    def _note_runs(self, records: Sequence[Record]) -> list[Emit]:
        refused = []
        for record in records:
            run_id = (record.key or b"").decode("utf-8", "replace")
            if record.value is None:
                self._gate.withdraw(run_id)
                self._outages.over(run_id)
                if self._open is not None and (reading := self._open.pop(run_id, None)) is not None:
                    reading.close()
                continue
            try:
                check_version(record)
                run = Run.model_validate_json(record.value)
                self._kinds(run)
            except (ValidationError, PoisonError, UsageError, RecursionError) as error:
                refused.append(self._gate.unreadable(record, error))
                continue
            self._gate.submit(run, record)
            if run.state == "stopping":
                # Its end needs no source, so it does not wait for one.
                self._outages.over(run_id)
        return refused

    def _kinds(self, run: Run) -> dict[str, SourceKind]:
        return {kind: source_kind(kind) for kind in sorted({source.kind for source in run.spec.sources})}

    def _verdicts(self) -> Verdicts | None:
        self._recalled()
        return self._gate.verdicts()

    def _next_batch(self) -> Batch | None:
        reading = self._readings()
        self._turns = deque(run_id for run_id in self._turns if run_id in reading)
        self._turns.extend(sorted(set(reading) - set(self._turns)))
        for _ in range(len(self._turns)):
            run_id = self._turns[0]
            self._turns.rotate(-1)
            try:
                batch = reading[run_id].batch(self._gate.run(run_id).state)
            except DependencyUnavailable as error:
                # Rows that were read are lost to the iterator: what counts is what the log says.
                reading.pop(run_id).close()
                self._lost.add(run_id)
                self._outages.begin(run_id, error)
                continue
            self._outages.over(run_id)
            if batch is not None:
                return batch
        return None

    def _recalled(self) -> dict[str, RunReading]:
        """Return the runs that are read; what earlier workers wrote is read from the log first."""
        if self._open is None:
            self._progress, self._files = read_progress(self._reader.read([INGEST_STATE]))
            recover_ends(self._reader, self._progress)
            self._finished = {run_id for run_id, one in self._progress.items() if one.finished}
            self._gate.recall(self._reader.read([ADMISSIONS]), self._progress)
            self._open = {}
        return self._open

    def _readings(self) -> dict[str, RunReading]:
        """Return the runs that were let in and are not read to their end."""
        reading = self._recalled()
        due = set(self._gate.admitted()) - set(reading) - self._finished
        due = {run_id for run_id in due if not self._outages.rests(run_id)}
        self._recall_lost(due & self._lost)
        for run_id in due:
            run = self._gate.run(run_id)
            reading[run_id] = RunReading(
                run,
                self._kinds(run),
                self._progress.pop(run_id, None),
                self._files.pop(run_id, {}),
                self._settings,
                self._clock,
                self.version,
                on_fault=partial(self._outages.tell, run_id),
                max_rows=self._gate.max_rows(run_id),
            )
        return reading

    def _recall_lost(self, run_ids: set[str]) -> None:
        """Read from the log how far runs were read whose sources were out."""
        if not run_ids:
            return
        progress, files = read_progress(self._reader.read([INGEST_STATE]))
        found = {run_id: progress[run_id] for run_id in run_ids if run_id in progress}
        recover_ends(self._reader, found)
        self._progress |= found
        self._files |= {run_id: files.get(run_id, {}) for run_id in run_ids}
        self._lost -= run_ids
