"""File to file: the same choice over the samples of one file."""

from __future__ import annotations

from collections.abc import Iterable

from limoflow.layer import LayerResult, Rejection
from schemas.run import Run
from schemas.sample import Sample
from services.selector.candidate import sample_stratum
from services.selector.closing import WindowPool, close_state
from services.selector.explain import RESERVOIR_FULL, Refused, refused
from services.selector.keys import short_hash
from services.selector.pool_state import PoolState
from services.selector.refusals import marked
from services.selector.settings import SelectorSettings
from services.selector.stored import packed, unpacked


def select_file(samples: Iterable[Sample], run: Run) -> LayerResult:
    """Choose from samples as if they were one window.

    Returns
    -------
    LayerResult
        The chosen in order of their rank, and the refused; all carry `metadata.filtering`.
    """
    state: PoolState[bytes] = PoolState(run.spec.select.reservoir, run.spec.seed, SelectorSettings().sketch)
    rejected: list[Rejection] = []
    for sample in samples:
        data = sample.to_bytes()
        version = f"{sample.content_hash}:{short_hash(data)}"
        outcome = state.offer(sample_stratum(sample), sample.id, version, packed(data))
        if outcome.refusal is not None:
            out = Sample.model_validate_json(unpacked(outcome.refusal.held.payload))
            why = refused(RESERVOIR_FULL, value=outcome.refusal.key, bound=outcome.refusal.bound)
            rejected.append(_rejection(out, why))
    pool = WindowPool(state, run)
    closing = close_state(state, pool, run, 0, last=True)
    rejected += [_rejection(pool.sample(sample_id), why) for sample_id, why in closing.refused.items()]
    return LayerResult(tuple(marked(pool.sample(it), why) for it, why in closing.chosen.items()), tuple(rejected))


def _rejection(sample: Sample, why: Refused) -> Rejection:
    return Rejection(marked(sample, why.filtering()), why.reason, why.value, why.bound)
