"""The trainer as a task: each release of a run that trains becomes an adapter, then an event on `models`."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import orjson
import structlog
from pydantic import ValidationError

from limoflow.errors import DependencyUnavailable, LimoflowError, PoisonError, TrainingError
from limoflow.release_rows import RowPatience, rows_of
from limoflow.runs import RunRegistry
from limoflow.stream.types import Emit, Input, LogReader, Record, TopicPartition
from limoflow.versions import check_version
from schemas.headers import event_headers
from schemas.model import LossPoint, TrainedModel
from schemas.release import Release
from schemas.run import Train
from schemas.topics import MODELS, RELEASES, RUNS
from services.trainer.child import RefusedTraining, TrainingProcess
from services.trainer.job import Job, Step, file_sha256, plan
from services.trainer.settings import TrainerSettings

LOSS_RECORD = "loss.json"
POINTS = 1000
BACKOFF_S = 1.0
SAFE_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=:@ -]{0,199}")
DeadLetterOf = Callable[[Record, Exception], Emit]
OnStep = Callable[[Release, Step], None]
log = structlog.get_logger(__name__)


class TrainerTask:
    """Trains. `process` returns when the batch is trained; `stop` ends it early and leaves the checkpoint.

    Parameters
    ----------
    settings : TrainerSettings
    reader : LogReader
        Reads samples.finalized.
    dead_letter : callable
        Makes the dead letter of a release that can never be trained on.
    patience : RowPatience, optional
        How long to look for rows.
    on_step : callable, optional
        Called with the release and each step, for metrics.
    base_path : callable, optional
        Returns the folder of the base model that a run names.
    clock : callable, optional
        Seconds that only grow.
    """

    name = "trainer"
    version = "1"
    inputs = (Input(RELEASES), Input(RUNS, "broadcast"), Input(MODELS, "broadcast"))

    def __init__(
        self,
        settings: TrainerSettings,
        reader: LogReader,
        dead_letter: DeadLetterOf,
        patience: RowPatience | None = None,
        on_step: OnStep | None = None,
        base_path: Callable[[str], Path] = Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._base_path = base_path
        self._settings = settings
        self._reader = reader
        self._dead_letter = dead_letter
        self._patience = patience
        self._on_step = on_step
        self._clock = clock
        self._process = TrainingProcess()
        self._runs = RunRegistry()
        self._announced: set[str] = set()
        self._waiting_since: dict[str, float] = {}

    def stop(self) -> None:
        """End the training that runs; `process` then raises `DependencyUnavailable`. May be called from any thread."""
        self._process.stop()

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Nothing to begin: checkpoints and adapters are the state."""

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Nothing to forget."""

    def observe(self, records: Sequence[Record]) -> None:
        """Take note of runs, and of what is trained already."""
        self._runs.observe([record for record in records if record.topic == RUNS])
        self._announced |= {
            record.key.decode("utf-8", "replace")
            for record in records
            if record.topic == MODELS and record.key is not None and record.value is not None
        }

    def restore(self, records: Sequence[Record]) -> None:
        """Nothing to rebuild."""

    def process(self, records: Sequence[Record]) -> Iterable[Emit]:
        """Train on each release; what can never be trained becomes a dead letter.

        Raises
        ------
        DependencyUnavailable
            When stopped, when the run is not announced yet, the disk is full or the broker is out: tried again, from
            the last checkpoint.
        """
        return [emit for record in records if record.value is not None for emit in self._handle(record)]

    def tick(self) -> Iterable[Emit]:
        """Nothing is due without input."""
        return ()

    def delivered(self, ends: Mapping[TopicPartition, int]) -> None:
        """Nothing waits for delivery."""

    def _handle(self, record: Record) -> list[Emit]:
        try:
            release = read_release(record)
            train = _settings_of(release)
            if train is None or not release.rows:
                log.info("a release is not trained on", run=release.run_id, window=release.window, reason=_why(train))
                return []
            return self._model(release, train, record.timestamp_ms)
        except DependencyUnavailable:
            raise
        except LimoflowError as error:
            log.warning("a release cannot be trained on", record=f"{record.topic}@{record.offset}", error=str(error))
            return [self._dead_letter(record, error)]
        except OSError as error:
            raise DependencyUnavailable(
                f"{record.topic}@{record.offset} cannot be trained on below {self._settings.folder}: {error}; "
                "make room or grant the rights, it is tried again and nothing is lost"
            ) from error

    def _model(self, release: Release, train: Train, written_ms: int) -> list[Emit]:
        base = self._base_of(release)
        job = plan(release, train, base, self._settings.folder, self._settings.threads, self._settings.device)
        if job.model_id in self._announced:
            return []
        if not (Path(job.folder) / LOSS_RECORD).is_file():
            job.save(rows_of(release, self._reader, written_ms=written_ms or None, patience=self._patience))
            self._run(job, release)
        shutil.rmtree(job.work, ignore_errors=True)
        model = trained_model(job, release)
        log.info("model trained", run=release.run_id, window=release.window, model=model.model_id, steps=model.steps)
        return [model_emit(model)]

    def _base_of(self, release: Release) -> Path:
        run = self._runs.get(release.run_id)
        if run is None:
            self._wait_for_run(release)
        elif "base" in run.models:
            self._waiting_since.pop(release.release_id, None)
            return self._base_path(run.models["base"])
        raise PoisonError(
            f"run {release.run_id!r} of release {release.release_id} names no base model (models.base); "
            "submit the run again, then replay this dead letter"
        )

    def _wait_for_run(self, release: Release) -> None:
        since = self._waiting_since.setdefault(release.release_id, self._clock())
        if self._clock() - since < self._settings.run_patience_s:
            raise DependencyUnavailable(f"run {release.run_id!r} of release {release.release_id} is not announced yet")
        raise PoisonError(
            f"run {release.run_id!r} was not announced on topic {RUNS!r} within {self._settings.run_patience_s:g} s; "
            "submit the run, then replay this dead letter"
        )

    def _run(self, job: Job, release: Release) -> None:
        for attempt in range(1, self._settings.attempts + 1):
            try:
                self._process.run(job, lambda step: self._stepped(release, step))
            except RefusedTraining:
                raise
            except TrainingError as error:
                if attempt == self._settings.attempts:
                    raise
                log.warning("a training failed and goes on from its checkpoint", attempt=attempt, error=str(error))
                self._process.pause(BACKOFF_S * attempt)
            else:
                return

    def _stepped(self, release: Release, step: Step) -> None:
        if self._on_step is not None:
            self._on_step(release, step)


def read_release(record: Record) -> Release:
    """Parse the release in a record.

    Raises
    ------
    PoisonError
        When the bytes are no release, or of a version that this code does not read, or its run id cannot name a
        folder.
    """
    check_version(record)
    where = f"{record.topic}[{record.partition}]@{record.offset}"
    try:
        release = Release.model_validate_json(record.value or b"")
    except (ValidationError, RecursionError) as error:
        raise PoisonError(f"{where} holds no release: {error}") from error
    if not SAFE_PART.fullmatch(release.run_id):
        raise PoisonError(
            f"{where}: run_id {release.run_id!r} cannot name a folder; use up to 200 letters, digits and ._+=:@-"
        )
    return release


def trained_model(job: Job, release: Release) -> TrainedModel:
    """Return the event of an adapter that lies complete; of a long loss record at most `POINTS` points."""
    folder = Path(job.folder)
    record = orjson.loads((folder / LOSS_RECORD).read_bytes())
    stride = -(-len(record["losses"]) // POINTS)
    return TrainedModel(
        model_id=job.model_id,
        release_id=release.release_id,
        run_id=release.run_id,
        window=release.window,
        base_model=job.base,
        adapter=job.folder,
        rows=record["rows"],
        steps=record["steps"],
        tokens=record["tokens"],
        losses=[LossPoint(**point) for point in record["losses"][:: max(1, stride)]],
        files={path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.is_file()},
    )


def model_emit(model: TrainedModel) -> Emit:
    """Return the record of a trained model, with CloudEvents headers."""
    headers = event_headers(
        "model.v1",
        model.model_id,
        TrainerTask.name,
        runid=model.run_id,
        window=model.window,
        releaseid=model.release_id,
        stage=TrainerTask.name,
    )
    return Emit(MODELS, model.model_id.encode(), model.to_bytes(), headers)


def _settings_of(release: Release) -> Train | None:
    asked = release.spec.get("train")
    try:
        return None if asked is None else Train.model_validate(asked)
    except ValidationError as error:
        raise PoisonError(f"release {release.release_id}: its spec's `train` does not hold: {error}") from error


def _why(train: Train | None) -> str:
    return "the run trains nothing" if train is None else "the release has no rows"
