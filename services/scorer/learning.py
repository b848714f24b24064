"""Learning potential: how closely a sample's rewards in training follow the mean curve (LIMR, Li et al. 2025).

A pure function over a trainer's records. For supervised training the reward is exp(-mean answer loss) at a checkpoint
[own]; the published bound of 0.6 does not carry over to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

BOUND = 0.6

Record = Sequence[float | None]


def learning_potential(records: Mapping[str, Record]) -> dict[str, float]:
    """Return 1 - sum_k (r_ik - mean_k)^2 / sum_k (1 - mean_k)^2 of every sample whose record can be completed.

    Parameters
    ----------
    records : mapping of str to sequence
        Sample id to its reward at each checkpoint, in [0, 1]; None where it was not seen. All are of one length. As in
        the published code (98ebf1b) a gap takes the value of the checkpoint after it, in one pass from the first on,
        and a sample that still has a gap has no score.

    Returns
    -------
    dict of str to float
        At most 1; may be negative. Empty where every mean is 1, since nothing was left to learn.

    Raises
    ------
    ValueError
        When lengths differ, or a reward is not in [0, 1].
    """
    lengths = {len(record) for record in records.values()}
    if len(lengths) > 1:
        raise ValueError(f"records of {sorted(lengths)} checkpoints cannot be compared; give every sample the same")
    filled = {name: _filled(name, records[name]) for name in sorted(records)}
    known = {name: record for name, record in filled.items() if record is not None}
    if not known:
        return {}
    means = [math.fsum(column) / len(known) for column in zip(*known.values(), strict=True)]
    scale = math.fsum((1.0 - mean) ** 2 for mean in means)
    if scale <= 0.0:
        return {}
    return {
        name: 1.0 - math.fsum((r - mean) ** 2 for r, mean in zip(record, means, strict=True)) / scale
        for name, record in known.items()
    }


def _filled(name: str, record: Record) -> list[float] | None:
    for reward in record:
        if reward is not None and not 0.0 <= reward <= 1.0:
            raise ValueError(f"sample {name!r}: reward {reward!r} is not in [0, 1]")
    following = [*record[1:], None]
    filled = [after if reward is None else reward for reward, after in zip(record, following, strict=True)]
    return None if not filled or None in filled else [reward for reward in filled if reward is not None]
