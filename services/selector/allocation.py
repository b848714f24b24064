"""How a target is divided over (domain, difficulty) strata where the quotas leave it open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from services.selector.combine import rounded
from services.selector.quotas import Axis, apportion, stratum_quotas

Stratum = tuple[str, str]
Allocation = Literal["available", "equal", "neyman"]


def allocate_strata(
    target: int,
    quotas: Mapping[Axis, Mapping[str, float]],
    allocation: Allocation,
    scores: Mapping[Stratum, Sequence[float]],
) -> dict[Stratum, int]:
    """Divide a target over strata: the domains first, then the difficulties within each domain.

    An axis with quotas follows them. One without follows `allocation`: what is available; equal shares; or Neyman's
    N_h s_h, the number of samples times the standard deviation of their scores, so that more is taken where samples
    differ. Where all scores of all strata are alike, Neyman is what is available.

    Parameters
    ----------
    target : int
    quotas : mapping
        As in `stratum_quotas`.
    allocation : {"available", "equal", "neyman"}
    scores : mapping
        The scores of each stratum's samples.
    """
    available = {stratum: len(found) for stratum, found in scores.items()}
    if allocation == "available":
        return stratum_quotas(target, quotas, available)
    weights = _weights(allocation, scores)
    difficulties = quotas.get("difficulty")
    by_domain: dict[str, dict[str, int]] = {}
    for (domain, difficulty), count in available.items():
        if not difficulties or difficulties.get(difficulty, 0.0) > 0.0:
            by_domain.setdefault(domain, {})[difficulty] = count
    sizes = {domain: sum(counts.values()) for domain, counts in by_domain.items()}
    shares = quotas.get("domain") or {
        domain: 1.0 if allocation == "equal" else sum(weights[domain, name] for name in sorted(counts))
        for domain, counts in by_domain.items()
    }
    domains = apportion(target, shares, sizes)
    divided = dict.fromkeys(sorted(available), 0)
    for domain, counts in by_domain.items():
        within = difficulties or {difficulty: weights[domain, difficulty] for difficulty in counts}
        for difficulty, count in apportion(domains[domain], within, counts).items():
            divided[domain, difficulty] = count
    return divided


def _weights(allocation: Allocation, scores: Mapping[Stratum, Sequence[float]]) -> dict[Stratum, float]:
    if allocation == "equal":
        return dict.fromkeys(scores, 1.0)
    # Sorted, since the sum of floats depends on their order.
    found = {it: rounded(len(own) * float(np.std(np.sort(own)))) for it, own in scores.items()}
    return found if any(found.values()) else {stratum: float(len(own)) for stratum, own in scores.items()}
