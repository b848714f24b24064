"""From a window's merged state to its records: refusals first, in parts; the chosen and the release last, together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import orjson

from limoflow.stream.types import Emit
from schemas.headers import event_headers
from schemas.release import Release
from schemas.run import Run
from schemas.sample import Sample
from schemas.topics import RELEASES
from services.selector.candidate import Candidate, candidate_of
from services.selector.choose import Closing, Elsewhere, close_window
from services.selector.explain import Refused
from services.selector.novelty.earlier import earlier_releases
from services.selector.pool_state import PoolState, content_of
from services.selector.refusals import STAGE, chosen_emit, is_tidy, refused_emit
from services.selector.reservoir import Held
from services.selector.stored import unpacked


class WindowPool:
    """What stands in a window when it closes.

    Attributes
    ----------
    standing : mapping
        By id.
    candidates : list of Candidate
    """

    def __init__(self, state: PoolState[bytes], run: Run) -> None:
        self.standing: Mapping[str, Held[bytes]] = state.standing()
        self.candidates: list[Candidate] = []
        self._tidy: set[str] = set()
        weights = run.spec.score.names()
        for held in self.standing.values():
            sample = orjson.loads(unpacked(held.payload))
            self.candidates.append(candidate_of(sample, content_of(held.version), weights))
            if is_tidy(sample, sample["metadata"]):
                self._tidy.add(held.id)

    def sample(self, sample_id: str) -> Sample:
        """Return a sample."""
        return Sample.model_validate_json(unpacked(self.standing[sample_id].payload))

    def refused(self, sample_id: str, why: Refused) -> Emit:
        """Return the record of a sample that was refused."""
        held = self.standing[sample_id]
        tidy = sample_id in self._tidy
        return refused_emit(unpacked(held.payload), sample_id, content_of(held.version), why, tidy=tidy)


def close_state(state: PoolState[bytes], pool: WindowPool, run: Run, window: int, *, last: bool) -> Closing:
    """Choose from a window's merged state."""
    earlier = earlier_releases(run)
    return close_window(pool.candidates, elsewhere_of(state), run, window, last=last, earlier=earlier)


def elsewhere_of(state: PoolState[bytes]) -> Elsewhere:
    """Return what became of the window's samples that are not in its pool."""
    counts = state.fates.counts()
    return Elsewhere(
        rejected={label: count for (kind, label), count in counts.items() if kind == "r"},
        dead_lettered={label: count for (kind, label), count in counts.items() if kind == "d"},
        exact=state.fates.exact,
    )


def closing_records(
    state: PoolState[bytes], run: Run, window: int, *, last: bool, chunk: int, stopped: str | None = None
) -> Iterator[list[Emit]]:
    """Yield the records of a closing window, one list for each transaction.

    A crash between them is harmless: the same state gives the same records again, and the release comes last.
    """
    pool = WindowPool(state, run)
    closing = close_state(state, pool, run, window, last=last)
    ids = list(closing.refused)
    # What fits into one transaction goes into one; only a large window is split.
    while len(ids) > chunk:
        part, ids = ids[:chunk], ids[chunk:]
        yield [pool.refused(sample_id, closing.refused[sample_id]) for sample_id in part]
    release = closing.release if stopped is None else closing.release.resealed(stopped=stopped)
    yield [
        *(pool.refused(sample_id, closing.refused[sample_id]) for sample_id in ids),
        *(chosen_emit(pool.sample(it), why, release.release_id) for it, why in closing.chosen.items()),
        release_emit(release),
    ]


def release_emit(release: Release) -> Emit:
    """Return the record of a release."""
    key = f"{release.run_id}|{release.window}".encode()
    headers = event_headers(
        "release.v1",
        release.release_id,
        STAGE,
        runid=release.run_id,
        window=release.window,
        releaseid=release.release_id,
    )
    return Emit(RELEASES, key, release.to_bytes(), headers)
