"""The conservation proof (G1): every admitted sample left by exactly one door."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from limoflow.stream.dead_letters import read_dead_letter
from limoflow.stream.types import LogReader, Record
from schemas.headers import CONTENT, REASON, RUN, STAGE, header_text
from schemas.topics import CANDIDATE, FINALIZED, RAW, REJECTED, RUNS, dead_letters_of, topics

SAMPLE_STAGES = ("ingestor", "generator", "verifier", "scorer", "selector")


@dataclass(slots=True)
class AuditReport:
    """What the topics say of one run.

    Attributes
    ----------
    admitted : int
        Distinct ids that entered: rows, children, and rows that could not be read.
    rejected : Counter of `stage/reason`; dead_lettered : Counter of stage
    missing : list of str
        Ids that entered and left by no door.
    doubled : list of str
        Ids that left by two doors although their content was the same.
    foreign : list of str
        Ids that left without having entered.
    superseded : int
        Dead letters that were replayed and then left by another door, and second contents of one id.
    repeats : int
        Records that said again what another had said (redelivery).
    """

    run_id: str
    admitted: int = 0
    finalized: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    dead_lettered: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    superseded: int = 0
    repeats: int = 0

    @property
    def passed(self) -> bool:
        """Whether every admitted sample ended exactly once."""
        return not (self.missing or self.doubled or self.foreign)


@dataclass(slots=True)
class _Doors:
    finalized: str | None = None
    rejected: tuple[str, str] | None = None
    dead_lettered: str | None = None


def audit(reader: LogReader, run_id: str) -> AuditReport:
    """Read the topics from offset 0 and account for every sample of a run.

    Only keys and headers are read, so the memory is a few hundred bytes for each sample of the run.
    """
    report = AuditReport(run_id)
    entered = {_id(record) for record in _of_run(reader.read([RAW, CANDIDATE]), run_id)}
    doors: dict[str, _Doors] = {}
    for record in _of_run(reader.read([FINALIZED, REJECTED]), run_id):
        _note(record, doors.setdefault(_id(record), _Doors()), report)
    for record in reader.read([dead_letters_of(stage) for stage in SAMPLE_STAGES]):
        letter = read_dead_letter(record)
        # The event of a run that was refused is no sample of it.
        if letter.run_id == run_id and letter.topic != RUNS:
            _note_letter(letter.stage, doors.setdefault(letter.sample_id, _Doors()), report)
    entered.update(sample_id for sample_id, door in doors.items() if door.dead_lettered == "ingestor")
    report.admitted = len(entered)
    report.missing = sorted(entered - doors.keys())
    report.foreign = sorted(doors.keys() - entered)
    for sample_id, door in sorted(doors.items()):
        _count(sample_id, door, report)
    return report


def _of_run(records: Iterable[Record], run_id: str) -> Iterable[Record]:
    return (record for record in records if header_text(record.headers, RUN) == run_id)


def _id(record: Record) -> str:
    return (record.key or b"").decode("utf-8", "replace")


def _note(record: Record, door: _Doors, report: AuditReport) -> None:
    stage = header_text(record.headers, STAGE) or "unknown"
    content = header_text(record.headers, CONTENT) or ""
    if record.topic == FINALIZED:
        report.repeats += door.finalized is not None
        door.finalized = content
    else:
        report.repeats += door.rejected is not None
        said = (f"{stage}/{header_text(record.headers, REASON)}", content)
        # The smallest statement stands, so that the counts do not depend on the order of the records.
        door.rejected = said if door.rejected is None else min(door.rejected, said)


def _note_letter(stage: str, door: _Doors, report: AuditReport) -> None:
    report.repeats += door.dead_lettered is not None
    door.dead_lettered = stage if door.dead_lettered is None else min(door.dead_lettered, stage)


def _count(sample_id: str, door: _Doors, report: AuditReport) -> None:
    if door.dead_lettered is not None and (door.finalized is not None or door.rejected is not None):
        report.superseded += 1
    if door.finalized is not None and door.rejected is not None:
        if door.finalized == door.rejected[1]:
            report.doubled.append(sample_id)
        else:
            report.superseded += 1
    if door.finalized is not None:
        report.finalized += 1
    elif door.rejected is not None:
        report.rejected[door.rejected[0]] += 1
    elif door.dead_lettered is not None:
        report.dead_lettered[door.dead_lettered] += 1


def known_topics() -> list[str]:
    """Return the topics that hold samples, in the order of the flow."""
    return [name for name, topic in topics().items() if topic.schema_name in ("sample", "dead_letter")]
