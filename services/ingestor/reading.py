"""Reading one run: rows into batches that end at window borders, and the ends of windows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from limoflow.stream.types import Emit
from schemas.identity import source_id
from schemas.run import CountWindow, Run, RunState, TimeWindow
from schemas.topics import WINDOWS
from schemas.window import WindowEnd
from services.ingestor.formats import format_of
from services.ingestor.queue import FileQueue, Pending
from services.ingestor.rows import RowError, RowMapper
from services.ingestor.settings import IngestorSettings
from services.ingestor.sources import Row, SourceError, SourceKind, anchored, shown
from services.ingestor.stamps import Stamps, refused
from services.ingestor.state import FileProgress, RunProgress, progress_emit
from services.ingestor.tenants import named

# Beyond it a float knows not every whole number; seconds near zero make infinitely many windows.
_LAST_WINDOW = 2.0**53


@dataclass
class Batch:
    """What is written in one transaction, and the progress that holds once it is.

    Attributes
    ----------
    size : int
        Bytes of the records, and those that were passed over.
    read : int
        Rows read, refused ones counted in.
    rows, bytes, ended : Counter
        Rows admitted, the bytes of their samples, and files read to their end, by format; for metrics.
    """

    run_id: str
    progress: RunProgress
    emits: list[Emit] = field(default_factory=list)
    files: dict[str, FileProgress] = field(default_factory=dict)
    size: int = 0
    read: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)

    def add(self, emit: Emit) -> None:
        """Add a record."""
        self.emits.append(emit)
        self.size += len(emit.value or b"")
        self.read += 1

    def written(self, ends: Mapping[int, int]) -> None:
        """Take note of where the rows lie."""
        self.progress.reached(ends)


class RunReading:
    """The sources of one run, on their way into windows.

    Parameters
    ----------
    run : Run
    kinds : mapping of str to SourceKind
    progress, files
        What the log says of an earlier worker.
    clock : callable
        Seconds since the epoch; stamps time windows.
    max_rows : int, optional
        Rows that may be read, refused ones counted in; with more left the run is stopped there, and says so.
    on_fault : callable
        Called with the reason why a followed source could not be listed.
    """

    def __init__(
        self,
        run: Run,
        kinds: Mapping[str, SourceKind],
        progress: RunProgress | None,
        files: dict[str, FileProgress],
        settings: IngestorSettings,
        clock: Callable[[], float],
        version: str,
        *,
        on_fault: Callable[[SourceError], None],
        max_rows: int | None = None,
    ) -> None:
        self._max_rows = max_rows
        self._tenant = run.spec.tenant
        self._run_id = run.run_id
        spec = anchored(run.spec, run.folder)
        self._folder = run.folder
        self._sources = spec.sources
        self._policy = run.spec.select.window
        self._kinds = kinds
        self._progress = progress or RunProgress()
        self._files = {key: one for key, one in files.items() if not one.done}
        self._settings = settings
        self._clock = clock
        self._version = version
        self._mappers = [RowMapper(source, version) for source in self._sources]
        self._queue = FileQueue(spec, kinds, files, clock, settings.scan_seconds, on_fault)
        self._rows: Iterator[Row] | None = None

    def batch(self, state: RunState) -> Batch | None:
        """Return the next batch of a run in this state, or None while there is nothing to be written.

        Raises
        ------
        DependencyUnavailable
            When a remote store does not answer; this object is of no use then: begin anew from the log.
        """
        batch = Batch(self._run_id, self._progress.model_copy(deep=True))
        progress = batch.progress
        if state == "stopping" and progress.stopped is None:
            progress.stopped = f"after {progress.read} rows, by `limoflow stop`: what was not read is where it was"
        ended = self._full_window(progress)
        full_rows, full_window = progress.window_rows, progress.window
        if ended:
            progress.window, progress.window_rows = self._next_window(progress), 0
        elif not progress.window_rows:
            progress.window = self._current_window(progress)
        progress.batch, progress.batch_ms = progress.ordinal, int(self._clock() * 1000)
        self._fill(batch)
        exhausted = not batch.read and (progress.stopped is not None or self._exhausted(state))
        if ended and (progress.batch_rows or exhausted or self._queue.follows):
            batch.emits.append(self._end(progress, full_window, full_rows, last=exhausted))
        elif ended:
            # No rows so far, at most dead letters: whether this was the last window is not known yet.
            progress.window, progress.window_rows = full_window, full_rows
        elif exhausted:
            batch.emits.append(self._end(progress, progress.window, progress.window_rows, last=True))
        if not batch.emits and not batch.files:
            return None
        batch.emits += [progress_emit(self._run_id, key, one) for key, one in batch.files.items()]
        batch.emits.append(progress_emit(self._run_id, "", progress))
        self._progress = progress
        return batch

    def close(self) -> None:
        """Let go of the open file."""
        self._rows = None

    def _end(self, progress: RunProgress, window: int, rows: int, *, last: bool) -> Emit:
        end = WindowEnd(run_id=self._run_id, window=window, rows=rows, end_offsets=self._progress.ends, last=last)
        if last:
            progress.finished, progress.last_window = True, window
            end = end.model_copy(update={"stopped": progress.stopped})
        return Emit(WINDOWS, f"{self._run_id}|{window}".encode(), end.to_bytes())

    def _full_window(self, progress: RunProgress) -> bool:
        if not progress.window_rows:
            return False
        if isinstance(self._policy, CountWindow):
            return progress.window_rows >= self._policy.count
        return isinstance(self._policy, TimeWindow) and self._current_window(progress) > progress.window

    def _next_window(self, progress: RunProgress) -> int:
        return max(progress.window + 1, self._current_window(progress))

    def _current_window(self, progress: RunProgress) -> int:
        if isinstance(self._policy, CountWindow):
            return progress.ordinal // self._policy.count
        if not isinstance(self._policy, TimeWindow):
            return 0
        if progress.started is None:
            progress.started = self._clock()
        elapsed = (self._clock() - progress.started) // self._policy.seconds
        return max(progress.window, int(min(elapsed, _LAST_WINDOW)))

    def _is_full(self, batch: Batch) -> bool:
        if isinstance(self._policy, CountWindow) and batch.progress.window_rows >= self._policy.count:
            return True
        # Files without rows fill a batch too.
        taken = max(batch.read, len(batch.files))
        return taken >= self._settings.batch_rows or batch.size >= self._settings.batch_bytes

    def _exhausted(self, state: RunState) -> bool:
        if self._queue.follows and state == "open":
            return False
        return self._queue.settled()

    def _fill(self, batch: Batch) -> None:
        """Read until the batch or its window is full, or nothing is left."""
        progress = batch.progress
        stamps = Stamps(self._run_id, progress.window, progress.batch)
        progress.batch_rows = 0
        while not self._is_full(batch) and not progress.stopped and (pending := self._queue.head()) is not None:
            self._read(pending, batch, stamps)

    def _read(self, pending: Pending, batch: Batch, stamps: Stamps) -> None:
        """Read from one file until it ends or the batch is full."""
        key, progress = pending.key, batch.progress
        state = self._files.setdefault(key, FileProgress(base=progress.ordinal)).model_copy()
        try:
            if pending.fault is not None:
                raise pending.fault
            if self._rows is None:
                source = self._sources[pending.origin]
                self._rows = iter(self._kinds[source.kind].rows(pending.unit, source, state.position, state.row))
            for row in self._rows:
                if row.passed:
                    state.position, state.row = row.after, row.number
                    batch.size += row.passed
                    if self._is_full(batch):
                        break
                    continue
                if self._max_rows is not None and progress.read >= self._max_rows:
                    progress.stopped = self._cut()
                    break
                self._admit(pending, row, state, batch, stamps)
                if self._is_full(batch):
                    break
            else:
                state.done = True
                batch.ended[format_of(pending.unit.name)] += 1
        except SourceError as error:
            batch.add(self._refused(pending, state.row, b"", error, progress.window, of_file=True))
            state.done = True
        state.window = progress.window
        batch.files[key] = state
        if state.done:
            self._rows = None
            self._files.pop(key)
            self._queue.done()
        else:
            self._files[key] = state

    def _admit(self, pending: Pending, row: Row, state: FileProgress, batch: Batch, stamps: Stamps) -> None:
        progress = batch.progress
        try:
            emit = self._sample(pending, row, progress, stamps)
            batch.add(emit)
            file_format = format_of(pending.unit.name)
            batch.rows[file_format] += 1
            batch.bytes[file_format] += len(emit.value or b"")
            progress.ordinal += 1
            progress.window_rows += 1
            progress.batch_rows += 1
            state.rows += 1
        except RowError as error:
            original = row.original or _bytes_of(row.value)
            batch.add(self._refused(pending, row.number, original, error, progress.window))
        progress.read += 1
        state.position, state.row = row.after, row.number + 1

    def _cut(self) -> str:
        whose = named(self._tenant)
        return f"after {self._max_rows} rows, the max_rows of {whose}: more rows are in the sources, and were not read"

    def _sample(self, pending: Pending, row: Row, progress: RunProgress, stamps: Stamps) -> Emit:
        mapper, name = self._mappers[pending.origin], shown(pending.unit, self._folder)
        reference = f"{name}#{row.number}"
        row_id = source_id(f"{pending.origin}:{pending.unit.name}#{row.number}")
        if row.error is not None:
            raise RowError(row.error)
        texts = mapper.texts(row.value)
        sample_id, data = mapper.sample(row.value, texts, row_id, reference, name, self._run_id, progress.window)
        if len(data) > self._settings.max_sample_bytes:
            raise RowError(f"the sample has {len(data)} bytes; the bound is {self._settings.max_sample_bytes}")
        return stamps.sample(sample_id, data, *texts)

    def _refused(
        self, pending: Pending, row: int, original: bytes, why: Exception, window: int, *, of_file: bool = False
    ) -> Emit:
        name = pending.unit.name
        place = f"{pending.origin}:{name}#" if of_file else f"{pending.origin}:{name}#{row}"
        return refused(
            original,
            name or self._sources[pending.origin].path,
            row,
            why,
            sample_id=source_id(place),
            run_id=self._run_id,
            window=window,
            version=self._version,
            longest=self._settings.max_dead_letter_bytes,
        )


def _bytes_of(value: object) -> bytes:
    import orjson

    try:
        return orjson.dumps(value, default=repr, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        return repr(value).encode("utf-8", "backslashreplace")
