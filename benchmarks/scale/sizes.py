"""Bytes of the selector's records on a broker's disk and of its state in memory, measured on its own objects."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.selector import records
from limoflow.errors import PoisonError
from limoflow.stream.dead_letters import dead_letter
from limoflow.stream.types import Emit
from services.selector.distinct import Fate
from services.selector.pool_state import REFUSED_LABEL, PoolState
from services.selector.records import PoolKey, fate_emit, scored_emit, tombstone
from services.selector.stored import packed

# Lengths of attributes, key, value and headers as variable-length integers, and offset and time since the batch began.
_FRAME = 12
_RUN = "nightly-2026-11-21"
_MEASURED = 5_000


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes.

    Attributes
    ----------
    sample, fate, sample_tombstone, fate_tombstone : int
        A record of selector.pool.
    dead_letter : int
        A record of a dead-letter topic.
    held_sample, known_sample : float
        Memory of one sample at the second level, with its bytes, and at the first, without them.
    held_fate : float
        Memory of one id in a sketch.
    """

    sample: int
    fate: int
    sample_tombstone: int
    fate_tombstone: int
    dead_letter: int
    held_sample: float
    known_sample: float
    held_fate: float


def sizes() -> Sizes:
    """Measure, with a worked problem of about 100 tokens and an embedding of 384 dimensions."""
    (record,) = records(1)
    data, sample_id, content = record.value or b"", "0" * 32, "a" * 32
    key = PoolKey(_RUN, 0, "s", sample_id, f"{content}:{'b' * 16}")
    fate = fate_emit((_RUN, 0), sample_id, Fate(content, "r", REFUSED_LABEL))
    letter = dead_letter(record, stage="scorer", version="1", error=PoisonError("x" * 200), attempts=3)

    def held(pool: PoolState[bytes | None], number: int) -> None:
        pool.offer("mathematics/medium", f"{number:032x}", f"{number:032x}:{number:016x}", packed(data))

    def known(pool: PoolState[bytes | None], number: int) -> None:
        pool.offer("mathematics/medium", f"{number:032x}", f"{number:032x}:{number:016x}", None)

    def stated(pool: PoolState[bytes | None], number: int) -> None:
        pool.state(f"{number:032x}", Fate(f"{number:032x}", "r", REFUSED_LABEL))

    return Sizes(
        sample=on_disk(scored_emit(key, "mathematics/medium", data)),
        fate=on_disk(fate),
        sample_tombstone=on_disk(tombstone(key)),
        fate_tombstone=on_disk(tombstone(PoolKey.decode(fate.key or b""))),
        dead_letter=on_disk(letter),
        # With a sketch of two ids, the reservoir alone grows.
        held_sample=_memory_of(held, 2),
        known_sample=_memory_of(known, 2),
        held_fate=_memory_of(stated, _MEASURED),
    )


def on_disk(emit: Emit) -> int:
    """Return the bytes of a record, without its part in the header of its batch."""
    headers = sum(len(name) + len(value) + 2 for name, value in emit.headers)
    return len(emit.key or b"") + len(emit.value or b"") + headers + _FRAME


def _memory_of(add: Callable[[PoolState[bytes | None], int], None], sketch: int) -> float:
    tracemalloc.start()
    try:
        pool: PoolState[bytes | None] = PoolState(_MEASURED, 0, sketch)
        before, _ = tracemalloc.get_traced_memory()
        for number in range(_MEASURED):
            add(pool, number)
        after, _ = tracemalloc.get_traced_memory()
        return (after - before) / _MEASURED
    finally:
        tracemalloc.stop()
