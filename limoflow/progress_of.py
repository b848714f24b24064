"""Where a run stands, read from the topics."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from pydantic import ValidationError

from limoflow.errors import PoisonError
from limoflow.stream.dead_letters import read_dead_letter
from limoflow.stream.types import Offsets, Transport
from limoflow.versions import check_version
from schemas.admission import Admission
from schemas.export import Export
from schemas.model import TrainedModel
from schemas.release import Release
from schemas.run import Run
from schemas.topics import (
    ADMISSIONS,
    CANDIDATE,
    EXPORTS,
    MODELS,
    RAW,
    RELEASES,
    RUNS,
    SCORED,
    VERIFIED,
    dead_letters_of,
)

STAGES = (("generator", RAW), ("verifier", CANDIDATE), ("scorer", VERIFIED), ("selector", SCORED))


@dataclass(slots=True)
class Results:
    """What a run has produced so far.

    Attributes
    ----------
    failures : dict of str to str
        Why a release could not be exported or trained on, by stage and key of the release.
    admission : Admission, optional
        What the ingestor says of the newest event of the run; None until it has seen it.
    """

    releases: dict[int, Release] = field(default_factory=dict)
    exports: dict[str, Export] = field(default_factory=dict)
    models: dict[str, TrainedModel] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    admission: Admission | None = None

    @property
    def refused(self) -> str | None:
        """Why the run was refused, where it was."""
        return self._said("refused")

    @property
    def waiting(self) -> str | None:
        """Why the run waits, where it does."""
        return self._said("waiting")

    def _said(self, state: str) -> str | None:
        said = self.admission
        return (said.reason or "") if said is not None and said.state == state else None

    def finished(self, run: Run) -> bool:
        """Whether the last window is released, exported and, where the run trains, trained on, or could not be."""
        releases = self.releases.values()
        return any(release.last for release in releases) and all(
            self._exported(release) and self._trained(release, run) for release in releases
        )

    def _exported(self, release: Release) -> bool:
        return release.release_id in self.exports or f"exporter {_key(release)}" in self.failures

    def _trained(self, release: Release, run: Run) -> bool:
        if run.spec.train is None or not release.rows:
            return True
        return release.release_id in self.models or f"trainer {_key(release)}" in self.failures


def _key(release: Release) -> str:
    return f"{release.run_id}|{release.window}"


def results_of(transport: Transport, run_id: str) -> Results:
    """Read the releases, exports and models of a run, and what could not be exported or trained on."""
    results = Results()
    for record in transport.reader.read([dead_letters_of("exporter"), dead_letters_of("trainer")]):
        letter = read_dead_letter(record)
        if letter.sample_id.rpartition("|")[0] == run_id:
            results.failures[f"{letter.stage} {letter.sample_id}"] = letter.error
    results.admission = _admission_of(transport, run_id)
    for record in transport.reader.read([RELEASES, EXPORTS, MODELS]):
        if record.value is None:
            continue
        check_version(record)
        if record.topic == RELEASES:
            release = Release.model_validate_json(record.value)
            if release.run_id == run_id:
                results.releases[release.window] = release
        elif record.topic == EXPORTS:
            export = Export.model_validate_json(record.value)
            if export.run_id == run_id:
                results.exports[export.release_id] = export
        else:
            model = TrainedModel.model_validate_json(record.value)
            if model.run_id == run_id:
                results.models[model.release_id] = model
    return results


def _admission_of(transport: Transport, run_id: str) -> Admission | None:
    """Return what was said of the newest event of a run; what was said of an earlier one is out of date."""
    said: Admission | None = None
    for record in transport.reader.read([ADMISSIONS]):
        if record.key == run_id.encode():
            said = None if record.value is None else Admission.model_validate_json(record.value)
    if said is None or said.state == "admitted":
        return said
    newest = [record.offset for record in transport.reader.read([RUNS]) if record.key == run_id.encode()]
    return said if said.offset >= max(newest, default=0) else None


def runs_of(transport: Transport) -> dict[str, Run]:
    """Return the runs that were submitted, the newest event of each; what is no run is in dlq.ingestor."""
    found: dict[str, Run] = {}
    for record in transport.reader.read([RUNS]):
        if record.value is not None:
            with suppress(ValidationError, PoisonError):
                check_version(record)
                run = Run.model_validate_json(record.value)
                found[run.run_id] = run
    return found


# A topic that is written in transactions ends with a marker, which no group ever commits past.
_MARKERS = {RAW: 1}


@dataclass(frozen=True, slots=True)
class StageProgress:
    """Records that a stage has handled, and how many wait for it (its lag); all runs together.

    Both count the markers of transactions on samples.raw, but for a last one that stands alone behind the records.
    """

    stage: str
    handled: int
    lag: int


def stage_progress(offsets: Offsets) -> list[StageProgress]:
    """Return how far each stage has come, by committed offsets."""
    progress = []
    for stage, topic in STAGES:
        ends, starts = offsets.ends(topic), offsets.starts(topic)
        committed = offsets.committed(stage, topic)
        handled = sum(max(0, committed.get(part, 0) - starts.get(part, 0)) for part in ends)
        behind = [max(0, end - max(committed.get(part, 0), starts.get(part, 0))) for part, end in ends.items()]
        progress.append(StageProgress(stage, handled, sum(one for one in behind if one > _MARKERS.get(topic, 0))))
    return progress
