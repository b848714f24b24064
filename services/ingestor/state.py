"""How far a run was read: the records of `ingest.state`, written in one transaction with the rows they speak of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from limoflow.errors import DependencyUnavailable, InvariantBroken
from limoflow.stream.types import Emit, LogReader, Record
from schemas.headers import RUN, header_text
from schemas.topics import INGEST_STATE, RAW

BATCH = "ce_batch"
_CLOCK_SLACK_MS = 300_000


class FileProgress(BaseModel):
    """How far one file was read.

    Attributes
    ----------
    position, row : int
        Where to go on: byte offset (JSONL) or row, and the number of that row.
    rows : int
        Rows of it that were admitted.
    base : int
        Ordinal in the run of its first admitted row.
    window : int
        Window of the last row that was read.
    """

    model_config = ConfigDict(extra="ignore")

    position: int = 0
    row: int = 0
    rows: int = 0
    base: int = 0
    window: int = 0
    done: bool = False


class RunProgress(BaseModel):
    """How far a run was read.

    Attributes
    ----------
    ordinal : int
        Rows admitted so far.
    window, window_rows : int
        The open window and the rows that it has.
    started : float, optional
        The clock when the first row of a run with time windows was read.
    ends : dict of str to int
        For each partition of samples.raw the offset after the last row, as far as deliveries were reported.
    batch, batch_rows, batch_ms : int
        The last batch, whose delivery had not been reported when this was written: its first ordinal, which its rows
        carry in the header `ce_batch`, how many rows it has, and when it was read.
    finished : bool
        Whether the last window has ended.
    last_window : int, optional
        Which one that was.
    read : int
        Rows read so far, refused ones counted in.
    stopped : str, optional
        Why no more rows are read though there are some.
    """

    model_config = ConfigDict(extra="ignore")

    ordinal: int = 0
    window: int = 0
    window_rows: int = 0
    started: float | None = None
    ends: dict[str, int] = Field(default_factory=dict)
    batch: int = 0
    batch_rows: int = 0
    batch_ms: int = 0
    finished: bool = False
    last_window: int | None = None
    read: int = 0
    stopped: str | None = None

    def reached(self, ends: Mapping[int, int]) -> None:
        """Take note of the ends of the last batch."""
        for partition, end in ends.items():
            self.ends[str(partition)] = max(end, self.ends.get(str(partition), 0))
        self.batch_rows = 0


def progress_emit(run_id: str, file: str, progress: BaseModel) -> Emit:
    """Return the state record of a file (`<source index>:<name>`), or of the run itself (an empty `file`)."""
    return Emit(INGEST_STATE, f"{run_id}|{file}".encode(), progress.model_dump_json().encode())


def read_progress(records: Iterable[Record]) -> tuple[dict[str, RunProgress], dict[str, dict[str, FileProgress]]]:
    """Return the progress of every run, and of every file by run and `<source index>:<name>`; the newest stands.

    Raises
    ------
    InvariantBroken
        When a state record cannot be read: going on would stamp rows anew.
    """
    runs: dict[str, RunProgress] = {}
    files: dict[str, dict[str, FileProgress]] = {}
    for record in records:
        run_id, _, file = (record.key or b"").decode().partition("|")
        try:
            if record.value is None:
                runs.pop(run_id, None) if not file else files.get(run_id, {}).pop(file, None)
            elif file:
                files.setdefault(run_id, {})[file] = FileProgress.model_validate_json(record.value)
            else:
                runs[run_id] = RunProgress.model_validate_json(record.value)
        except ValidationError as error:
            raise InvariantBroken(
                f"{INGEST_STATE}@{record.offset} ({run_id}|{file}) cannot be read: {error}"
            ) from error
    return runs, files


def recover_ends(reader: LogReader, runs: Mapping[str, RunProgress]) -> None:
    """Find in the log where the last batch of each run lies, and note it in its progress.

    The batch is in the log, since its progress is; but a crash came before the delivery report. A high watermark is
    no substitute: it counts transaction markers, which a consumer's committed offset may never pass.

    Raises
    ------
    DependencyUnavailable
        When not all of its rows can be read yet.
    """
    unknown = {run_id: progress for run_id, progress in runs.items() if progress.batch_rows and not progress.finished}
    if not unknown:
        return
    since = max(0, min(progress.batch_ms for progress in unknown.values()) - _CLOCK_SLACK_MS)
    for start in (since, None):
        found = _batches(reader, unknown, start)
        if all(len(found[run_id][1]) >= progress.batch_rows for run_id, progress in unknown.items()):
            break
    else:
        raise DependencyUnavailable(f"the last rows of {', '.join(sorted(unknown))} cannot be read from {RAW} yet")
    for run_id, progress in unknown.items():
        progress.reached(found[run_id][0])


def _batches(
    reader: LogReader, unknown: Mapping[str, RunProgress], since_ms: int | None
) -> dict[str, tuple[dict[int, int], list[int]]]:
    found: dict[str, tuple[dict[int, int], list[int]]] = {run_id: ({}, []) for run_id in unknown}
    for record in reader.read([RAW], since_ms=since_ms):
        run_id = header_text(record.headers, RUN) or ""
        if run_id in unknown and header_text(record.headers, BATCH) == str(unknown[run_id].batch):
            ends, offsets = found[run_id]
            ends[record.partition] = max(record.offset + 1, ends.get(record.partition, 0))
            offsets.append(record.offset)
    return found
