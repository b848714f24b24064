"""From a window's merged state to its records: refusals first, in parts; the chosen and the release last, together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from limoflow.stream.types import Emit
from schemas.headers import event_headers
from schemas.release import Release
from schemas.run import Run
from schemas.sample import Filtering, Sample
from schemas.topics import RELEASES
from services.selector.candidate import read_candidate
from services.selector.choose import Closing, Elsewhere, close_window
from services.selector.novelty.earlier import earlier_releases
from services.selector.pool_state import PoolState, content_of
from services.selector.refusals import STAGE, chosen_emit, refused_emit
from services.selector.reservoir import Held
from services.selector.stored import unpacked


def close_state(state: PoolState[bytes], run: Run, window: int, *, last: bool) -> Closing:
    """Choose from a window's merged state."""
    weights = run.spec.score.names()
    pool = [read_candidate(unpacked(held.payload), weights) for held in state.standing().values()]
    return close_window(pool, elsewhere_of(state), run, window, last=last, earlier=earlier_releases(run))


def elsewhere_of(state: PoolState[bytes]) -> Elsewhere:
    """Return what became of the window's samples that are not in its pool."""
    counts = state.fates.counts()
    return Elsewhere(
        rejected={label: count for (kind, label), count in counts.items() if kind == "r"},
        dead_lettered={label: count for (kind, label), count in counts.items() if kind == "d"},
        exact=state.fates.exact,
    )


def closing_records(state: PoolState[bytes], run: Run, window: int, *, last: bool, chunk: int) -> Iterator[list[Emit]]:
    """Yield the records of a closing window, one list for each transaction.

    A crash between them is harmless: the same state gives the same records again, and the release comes last.
    """
    closing = close_state(state, run, window, last=last)
    standing = state.standing()
    ids = list(closing.refused)
    # What fits into one transaction goes into one; only a large window is split.
    while len(ids) > chunk:
        part, ids = ids[:chunk], ids[chunk:]
        yield [_refused(standing[sample_id], closing.refused[sample_id]) for sample_id in part]
    release = closing.release
    yield [
        *(_refused(standing[sample_id], closing.refused[sample_id]) for sample_id in ids),
        *(chosen_emit(_sample(standing, it), why, release.release_id) for it, why in closing.chosen.items()),
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


def _refused(held: Held[bytes], why: Filtering) -> Emit:
    return refused_emit(unpacked(held.payload), content_of(held.version), why)


def _sample(standing: Mapping[str, Held[bytes]], sample_id: str) -> Sample:
    return Sample.model_validate_json(unpacked(standing[sample_id].payload))
