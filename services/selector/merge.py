"""The selector's second level: merges the pools of all partitions and closes windows.

All records of a run lie on one partition of selector.pool, so one worker sees the whole run. The state is a plain
object that is rebuilt from that compacted topic; what leaves it gets a tombstone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import structlog
from pydantic import ValidationError

from limoflow.errors import InvariantBroken, PoisonError
from limoflow.redaction import redacted
from limoflow.runs import RunRegistry
from limoflow.stream.dead_letters import dead_letter
from limoflow.stream.types import Emit, Input, Offsets, Record, TopicPartition
from limoflow.versions import check_version
from schemas.headers import header_text
from schemas.run import Run
from schemas.topics import POOL, RELEASES, RUNS, SCORED, WINDOWS
from schemas.window import WindowEnd
from services.selector.closing import closing_records
from services.selector.distinct import Change, Fate
from services.selector.drained import DrainWatch, Place
from services.selector.explain import RESERVOIR_FULL, WINDOW_CLOSED, refused
from services.selector.pool_state import Outcome, PoolState, Refusal, content_of
from services.selector.records import STRATUM, PoolKey, fate_emit, fate_key, pool_partition, read_fate, tombstone
from services.selector.refusals import refused_emit
from services.selector.released import Released
from services.selector.settings import SelectorSettings
from services.selector.stored import packed, unpacked

NAME = "selector-merge"
VERSION = "1"
_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class _Partition:
    """The state of one partition of selector.pool.

    Attributes
    ----------
    stale : dict
        Keys of records of released windows, which are to get a tombstone; in order.
    owed : dict
        Records that had to be written when the key was tombstoned, as far as the log shows no such tombstone.
    unannounced : dict
        Records of runs that are not known yet.
    """

    windows: dict[Place, PoolState[bytes]] = field(default_factory=dict)
    closing: dict[Place, Iterator[list[Emit]]] = field(default_factory=dict)
    stale: dict[bytes, None] = field(default_factory=dict)
    owed: dict[bytes, list[Emit]] = field(default_factory=dict)
    unannounced: dict[str, list[Record]] = field(default_factory=dict)


class Merge:
    """The task `selector-merge`.

    Parameters
    ----------
    settings : SelectorSettings
    offsets : Offsets
        Positions in the log, for the drain barrier.
    clock : callable
        Seconds, monotonic.
    on_closing : callable, optional
        Called with each part of a closing window, for metrics; again where its transaction is tried again.
    """

    name = NAME
    version = VERSION
    inputs = (
        Input(POOL, "rebuild"),
        Input(RUNS, "broadcast"),
        Input(WINDOWS, "broadcast"),
        Input(RELEASES, "broadcast"),
    )

    def __init__(
        self,
        settings: SelectorSettings,
        offsets: Offsets,
        clock: Callable[[], float] = time.monotonic,
        on_closing: Callable[[Sequence[Emit]], None] | None = None,
    ) -> None:
        self._on_closing = on_closing
        self._settings = settings
        self._runs = RunRegistry()
        self._released = Released()
        self._ended: dict[Place, WindowEnd] = {}
        self._ended_ms: dict[Place, int] = {}
        self._drained = DrainWatch(offsets, settings.polls_per_second, clock)
        self._partitions: dict[int, _Partition] = {}

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Begin with empty state."""
        self._partitions.update({it.partition: _Partition() for it in partitions if it.topic == POOL})

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Forget the state."""
        for it in partitions:
            if it.topic == POOL:
                self._partitions.pop(it.partition, None)

    def observe(self, records: Sequence[Record]) -> None:
        """Take note of runs, ends of windows and releases; what is left of released windows becomes stale."""
        self._runs.observe([record for record in records if record.topic == RUNS])
        for place in self._released.observe([record for record in records if record.topic == RELEASES]):
            self._ended.pop(place, None)
            self._ended_ms.pop(place, None)
            for partition in self._partitions.values():
                _retire(partition, place)
        for record in records:
            if record.topic == WINDOWS and record.value is not None:
                end = read_end(record)
                if (end.run_id, end.window) not in self._released:
                    self._ended[end.run_id, end.window] = end
                    self._ended_ms[end.run_id, end.window] = record.timestamp_ms

    def restore(self, records: Sequence[Record]) -> None:
        """Fold records again. What they made was written then; anything that was not is owed."""
        for record in records:
            made = list(self._fold(record))
            partition = self._partitions[record.partition]
            gone = [emit.key for emit in made if emit.topic == POOL and emit.value is None and emit.key is not None]
            if gone:
                partition.owed[gone[0]] = made

    def process(self, records: Sequence[Record]) -> Iterable[Emit]:
        """Fold records, and refuse what does not fit."""
        for record in records:
            yield from self._fold(record)

    def tick(self) -> Iterable[Emit]:
        """Write the next part of what is due (owed records, tombstones, a closing window), or close what drained."""
        for partition in self._partitions.values():
            due = self._due(partition)
            if due:
                return due
        return self._close_drained()

    def oldest_end(self) -> float | None:
        """Return when the oldest window ended that has no release yet, in seconds since the epoch; from any thread."""
        ends = list(self._ended_ms.values())
        return min(ends) / 1000 if ends else None

    def delivered(self, ends: Mapping[TopicPartition, int]) -> None:
        """Take no note."""

    def _due(self, partition: _Partition) -> list[Emit]:
        if partition.owed:
            owed, partition.owed = partition.owed, {}
            return [emit for made in owed.values() for emit in made]
        if partition.stale:
            keys = list(islice(partition.stale, self._settings.chunk))
            for key in keys:
                del partition.stale[key]
            return [tombstone(PoolKey.decode(key)) for key in keys]
        part = _next_part(partition)
        return self._announced(partition) if part is None else self._told(part)

    def _announced(self, partition: _Partition) -> list[Emit]:
        known = [run_id for run_id in partition.unannounced if self._runs.get(run_id) is not None]
        held = [record for run_id in known for record in partition.unannounced.pop(run_id)]
        return [emit for record in held for emit in self._fold(record)]

    def _close_drained(self) -> list[Emit]:
        for place in self._drained.poll(self._ended, self._closable()):
            partition = self._partitions[pool_partition(place[0])]
            run = self._runs.get(place[0])
            if run is None:
                continue
            state = self._state(partition, place, run)
            end, chunk = self._ended[place], self._settings.chunk
            partition.closing[place] = closing_records(
                state, run, place[1], last=end.last, chunk=chunk, stopped=end.stopped
            )
        parts = map(_next_part, self._partitions.values())
        return self._told(next((part for part in parts if part is not None), []))

    def _told(self, part: list[Emit]) -> list[Emit]:
        if part and self._on_closing is not None:
            self._on_closing(part)
        return part

    def _closable(self) -> list[Place]:
        """Return the ended windows that are this worker's to close."""
        return [
            place
            for place in self._ended
            if place not in self._released
            and self._runs.get(place[0]) is not None
            and (partition := self._partitions.get(pool_partition(place[0]))) is not None
            and place not in partition.closing
        ]

    def _state(self, partition: _Partition, place: Place, run: Run) -> PoolState[bytes]:
        if place not in partition.windows:
            rules = run.spec.select
            partition.windows[place] = PoolState(rules.reservoir, run.spec.seed, self._settings.sketch)
        return partition.windows[place]

    def _fold(self, record: Record) -> Iterator[Emit]:
        if record.key is None:
            return
        key = PoolKey.decode(record.key)
        partition = self._partitions[record.partition]
        if record.value is None:
            _forget(partition, key, record.key)
        elif key.place in self._released or key.place in partition.closing:
            yield from self._late(partition, key, record)
        elif (run := self._runs.get(key.run_id)) is None:
            yield from self._hold(partition, key, record)
        elif key.kind == "s":
            yield from _offered(self._state(partition, key.place, run), key, record)
        else:
            fate = read_fate(key, record)
            change = self._state(partition, key.place, run).state(key.sample_id, fate)
            yield from _displaced(key.place, key.sample_id, fate, change)

    def _late(self, partition: _Partition, key: PoolKey, record: Record) -> Iterator[Emit]:
        """Change nothing: what a closed window holds stays, anything new is refused."""
        released = key.place in self._released
        if key.kind == "s" and not self._known(partition, key):
            bound = self._released.release_id(key.place) if released else None
            why = refused(WINDOW_CLOSED, value=bound)
            yield refused_emit(record.value or b"", key.sample_id, content_of(key.version), why)
        if released:
            partition.stale[key.encode()] = None
        elif key.kind != "s" or not self._holds(partition, key):
            yield tombstone(key)

    def _known(self, partition: _Partition, key: PoolKey) -> bool:
        if key.place in self._released:
            return self._released.chose(key.place, key.sample_id)
        return bool(partition.windows[key.place].held(key.sample_id))

    @staticmethod
    def _holds(partition: _Partition, key: PoolKey) -> bool:
        return any(held.version == key.version for held in partition.windows[key.place].held(key.sample_id))

    def _hold(self, partition: _Partition, key: PoolKey, record: Record) -> Iterator[Emit]:
        waiting = sum(len(records) for records in partition.unannounced.values())
        if waiting < self._settings.unknown_run_records:
            partition.unannounced.setdefault(key.run_id, []).append(record)
            return
        yield tombstone(key)
        if key.kind == "s":
            error = PoisonError(
                f"run {key.run_id!r} is not announced and {waiting} records of unknown runs are held already "
                "(LIMOFLOW_SELECTOR_UNKNOWN_RUN_RECORDS); submit the run, then replay this dead letter"
            )
            # As a record of samples.scored, so that a replay begins where the sample came from.
            scored = replace(record, topic=SCORED, key=key.sample_id.encode("utf-8", "surrogatepass"))
            yield dead_letter(scored, stage="selector", version=VERSION, error=error, attempts=1)


def _next_part(partition: _Partition) -> list[Emit] | None:
    """Return the next part of a closing window; None where nothing is left of any."""
    for place, closing in partition.closing.items():
        try:
            part = next(closing, None)
        except (ValueError, ArithmeticError) as error:
            # A closing is a function of what is stored: it would fail again at every start, and take the windows
            # of all other runs with it. This one has no release, which the age of the oldest window tells.
            _log.error("a window cannot be closed", run_id=place[0], window=place[1], error=redacted(str(error)))
            continue
        if part is not None:
            return part
    return None


def _offered(state: PoolState[bytes], key: PoolKey, record: Record) -> Iterator[Emit]:
    stratum = header_text(record.headers, STRATUM) or ""
    outcome = state.offer(stratum, key.sample_id, key.version, packed(record.value or b""))
    if outcome.refusal is not None:
        yield from _given_up(key.place, outcome.refusal, outcome)
    if outcome.superseded is not None:
        yield tombstone(PoolKey(*key.place, "s", key.sample_id, outcome.superseded.version))
    for sample_id, fate, change in outcome.changes:
        yield from _displaced(key.place, sample_id, fate, change)


def _given_up(place: Place, refusal: Refusal[bytes], outcome: Outcome[bytes]) -> Iterator[Emit]:
    held = refusal.held
    yield tombstone(PoolKey(*place, "s", held.id, held.version))
    why = refused(RESERVOIR_FULL, value=refusal.key, bound=refusal.bound)
    yield refused_emit(unpacked(held.payload), held.id, content_of(held.version), why)
    for sample_id, fate, change in outcome.changes:
        if sample_id == held.id and fate.kind == "r" and change.stands:
            yield fate_emit(place, sample_id, fate)


def _displaced(place: Place, sample_id: str, fate: Fate, change: Change) -> Iterator[Emit]:
    """Yield tombstones for the fates' records that mean nothing any more; a scored sample's fate has none."""
    if not change.stands and fate.kind != "s":
        yield tombstone(fate_key(place, sample_id, fate))
    if change.gone is not None and change.gone[1].kind != "s":
        yield tombstone(fate_key(place, *change.gone))


def _forget(partition: _Partition, key: PoolKey, encoded: bytes) -> None:
    partition.stale.pop(encoded, None)
    partition.owed.pop(encoded, None)
    state = partition.windows.get(key.place)
    if state is not None and key.kind == "s" and key.place not in partition.closing:
        state.discard(key.sample_id, key.version)


def _retire(partition: _Partition, place: Place) -> None:
    partition.closing.pop(place, None)
    state = partition.windows.pop(place, None)
    if state is None:
        return
    scored = (PoolKey(*place, "s", held.id, held.version) for held in state)
    ended = (fate_key(place, sample_id, fate) for sample_id, fate in state.fates if fate.kind != "s")
    partition.stale.update(dict.fromkeys(key.encode() for key in (*scored, *ended)))


def read_end(record: Record) -> WindowEnd:
    """Parse the end of a window.

    Raises
    ------
    InvariantBroken
        When it cannot be read, or is of a version that this code does not read: without it a window would never close.
    """
    try:
        check_version(record)
        return WindowEnd.model_validate_json(record.value or b"")
    except (PoisonError, ValidationError) as error:
        raise InvariantBroken(f"{record.topic}@{record.offset} is no end of a window: {error}") from error
