"""The selector's first level: each partition keeps its own bounded pool and passes on only what enters it.

What a local pool refuses is beaten by `k` samples that it has passed on, so the merging level would refuse it too.
After a restart the pools are empty and more is passed on; nothing else changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import orjson

from limoflow.errors import PoisonError
from limoflow.layer import read_sample
from limoflow.runs import RunRegistry
from limoflow.stream.dead_letters import dead_letter, read_dead_letter
from limoflow.stream.types import Emit, Input, Record, TopicPartition
from schemas.headers import CONTENT, REASON, RUN, STAGE, WINDOW, header_text
from schemas.sample import Sample
from schemas.topics import REJECTED, RELEASES, RUNS, SCORED, dead_letters_of
from services.selector.candidate import sample_stratum
from services.selector.distinct import Fate
from services.selector.explain import RESERVOIR_FULL, WINDOW_CLOSED, refused
from services.selector.keys import short_hash
from services.selector.pool_state import PoolState
from services.selector.records import NO_CONTENT, PoolKey, fate_emit, scored_emit
from services.selector.refusals import is_tidy, refused_emit
from services.selector.released import Released
from services.selector.settings import SelectorSettings

NAME = "selector"
VERSION = "1"
_LETTERS = tuple(dead_letters_of(stage) for stage in ("ingestor", "generator", "verifier", "scorer"))


class PartitionPools:
    """The task `selector`.

    Samples of a run that nobody has announced yet are passed on unfiltered: the merging level holds them durably.
    """

    name = NAME
    version = VERSION
    inputs = (
        Input(SCORED),
        Input(REJECTED),
        *(Input(topic) for topic in _LETTERS),
        Input(RUNS, "broadcast"),
        Input(RELEASES, "broadcast"),
    )

    def __init__(self, settings: SelectorSettings) -> None:
        self._sketch = settings.sketch
        self._runs = RunRegistry()
        self._released = Released()
        self._pools: dict[TopicPartition, dict[tuple[str, int], PoolState[None]]] = {}

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Begin with empty pools."""
        self._pools.update({partition: {} for partition in partitions})

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Forget the pools."""
        for partition in partitions:
            self._pools.pop(partition, None)

    def observe(self, records: Sequence[Record]) -> None:
        """Take note of runs and releases; the pools of released windows are not needed any more."""
        self._runs.observe([record for record in records if record.topic == RUNS])
        for place in self._released.observe([record for record in records if record.topic == RELEASES]):
            for pools in self._pools.values():
                pools.pop(place, None)

    def restore(self, records: Sequence[Record]) -> None:
        """Do nothing: this level needs no recovery."""

    def process(self, records: Sequence[Record]) -> Iterable[Emit]:
        """Pass on what enters a local pool, and refuse the rest."""
        for record in records:
            if record.topic == SCORED:
                yield from self._scored(record)
            elif record.topic == REJECTED:
                yield from self._rejected(record)
            else:
                yield from self._dead_lettered(record)

    def tick(self) -> Iterable[Emit]:
        """Return nothing."""
        return ()

    def delivered(self, ends: Mapping[TopicPartition, int]) -> None:
        """Take no note."""

    def _pool(self, record: Record, place: tuple[str, int]) -> PoolState[None] | None:
        """Return the window's pool of this partition, or None while its run is unknown."""
        pools = self._pools.setdefault(TopicPartition(record.topic, record.partition), {})
        run = self._runs.get(place[0])
        if place not in pools and run is not None:
            pools[place] = PoolState(run.spec.select.reservoir, run.spec.seed, self._sketch)
        return pools.get(place)

    def _scored(self, record: Record) -> Iterator[Emit]:
        try:
            sample = read_sample(record)
        except PoisonError as error:
            yield from self._unreadable(record, error)
            return
        place = (sample.lineage.run_id, sample.lineage.window)
        if place in self._released:
            if not self._released.chose(place, sample.id):
                why = refused(WINDOW_CLOSED, value=self._released.release_id(place))
                yield refused_emit(_finite(record.value or b"", sample), sample.id, sample.content_hash, why)
            return
        yield from self._offered(record, sample, place)

    def _offered(self, record: Record, sample: Sample, place: tuple[str, int]) -> Iterator[Emit]:
        data = _finite(record.value or b"", sample)
        stratum = sample_stratum(sample)
        content = sample.content_hash
        version = f"{content}:{short_hash(data)}"
        key = PoolKey(*place, "s", sample.id, version)
        pool = self._pool(record, place)
        if pool is None:
            yield scored_emit(key, stratum, data)
            return
        outcome = pool.offer(stratum, sample.id, version, None)
        if outcome.entered:
            yield scored_emit(key, stratum, data)
        refusal = outcome.refusal
        if refusal is not None and refusal.held.id == sample.id:
            why = refused(RESERVOIR_FULL, value=refusal.key, bound=refusal.bound)
            tidy = is_tidy(sample.model_fields_set, sample.metadata.model_fields_set)
            yield refused_emit(data, sample.id, content, why, tidy=tidy)
            for sample_id, fate, change in outcome.changes:
                if change.stands and sample_id == sample.id:
                    yield fate_emit(place, sample_id, fate)

    def _rejected(self, record: Record) -> Iterator[Emit]:
        stage = header_text(record.headers, STAGE)
        if stage == NAME:
            return
        place = _place(record)
        if place is None or record.key is None or stage is None:
            problem = "lacks key, run, window or stage in its headers"
            error = PoisonError(f"{record.topic}[{record.partition}]@{record.offset} {problem}")
            yield self._letter(record, error)
            return
        label = f"{stage}/{header_text(record.headers, REASON) or 'unknown'}"
        content = header_text(record.headers, CONTENT) or NO_CONTENT
        yield from self._stated(record, place, record.key.decode("utf-8", "replace"), Fate(content, "r", label))

    def _dead_lettered(self, record: Record) -> Iterator[Emit]:
        try:
            letter = read_dead_letter(record)
        except PoisonError as error:
            yield self._letter(record, error)
            return
        if letter.run_id is not None and letter.window is not None:
            fate = Fate(NO_CONTENT, "d", letter.stage)
            yield from self._stated(record, (letter.run_id, letter.window), letter.sample_id, fate)

    def _stated(self, record: Record, place: tuple[str, int], sample_id: str, fate: Fate) -> Iterator[Emit]:
        if place in self._released:
            return
        pool = self._pool(record, place)
        known = pool is not None and pool.fates.fate(sample_id) == fate
        if not known and (pool is None or pool.state(sample_id, fate).stands):
            yield fate_emit(place, sample_id, fate)

    def _unreadable(self, record: Record, error: PoisonError) -> Iterator[Emit]:
        yield self._letter(record, error)
        place = _place(record)
        if place is not None and record.key is not None:
            sample_id = record.key.decode("utf-8", "replace")
            yield from self._stated(record, place, sample_id, Fate(NO_CONTENT, "d", NAME))

    @staticmethod
    def _letter(record: Record, error: PoisonError) -> Emit:
        return dead_letter(record, stage=NAME, version=VERSION, error=error, attempts=1)


def _place(record: Record) -> tuple[str, int] | None:
    run_id, window = header_text(record.headers, RUN), header_text(record.headers, WINDOW)
    return (run_id, int(window)) if run_id and "|" not in run_id and window and window.isdecimal() else None


def _finite(data: bytes, sample: Sample) -> bytes:
    """Return the bytes of a sample as strict JSON: what Python writes as NaN becomes null."""
    if b"NaN" not in data and b"Infinity" not in data:
        return data
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return sample.to_bytes()
    return data
