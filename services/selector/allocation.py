"""How a target is divided over (domain, difficulty) strata where the quotas leave it open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from services.selector.combine import rounded
from services.selector.quotas import Axis, apportion, spread_out, stratum_quotas

Stratum = tuple[str, str]
Allocation = Literal["available", "equal", "neyman", "none"]

ANY = "*"
"""The name of all of an axis that is not divided."""


def group_of(stratum: Stratum, quotas: Mapping[Axis, Mapping[str, float]], allocation: Allocation) -> Stratum:
    """Return the group that a stratum shares its quota with: itself, unless an axis is not divided."""
    if allocation != "none":
        return stratum
    domain, difficulty = stratum
    return domain if quotas.get("domain") else ANY, difficulty if quotas.get("difficulty") else ANY


def allocate_strata(
    target: int,
    quotas: Mapping[Axis, Mapping[str, float]],
    allocation: Allocation,
    scores: Mapping[Stratum, Sequence[float]],
) -> dict[Stratum, int]:
    """Divide a target over strata: the domains first, then the difficulties within each domain.

    An axis with quotas follows them. One without follows `allocation`: what is available; equal shares; or Neyman's
    N_h s_h, the number of samples times the standard deviation of their scores, so that more is taken where samples
    differ; what those cannot take goes to strata whose scores do not differ, by what is available. Where all scores of
    all strata are alike, Neyman is what is available.

    Parameters
    ----------
    target : int
    quotas : mapping
        As in `stratum_quotas`.
    allocation : {"available", "equal", "neyman", "none"}
        With `none` the strata are groups (`group_of`).
    scores : mapping
        The scores of each stratum's samples.
    """
    available = {stratum: len(found) for stratum, found in scores.items()}
    if allocation in ("available", "none"):
        return stratum_quotas(target, quotas, available)
    weights = _weights(allocation, scores)
    difficulties = quotas.get("difficulty")
    by_domain: dict[str, dict[str, int]] = {}
    for (domain, difficulty), count in available.items():
        if not difficulties or difficulties.get(difficulty, 0.0) > 0.0:
            by_domain.setdefault(domain, {})[difficulty] = count
    sizes = {domain: sum(counts.values()) for domain, counts in by_domain.items()}
    wanted = quotas.get("domain")
    shares = {
        domain: 1.0 if allocation == "equal" else sum(weights[domain, name] for name in sorted(counts))
        for domain, counts in by_domain.items()
    }
    domains = apportion(target, wanted, sizes) if wanted else spread_out(target, shares, sizes)
    divided = dict.fromkeys(sorted(available), 0)
    for domain, counts in by_domain.items():
        within = {difficulty: weights[domain, difficulty] for difficulty in counts}
        parts = apportion if difficulties else spread_out
        for difficulty, count in parts(domains[domain], difficulties or within, counts).items():
            divided[domain, difficulty] = count
    return divided


def _weights(allocation: Allocation, scores: Mapping[Stratum, Sequence[float]]) -> dict[Stratum, float]:
    if allocation == "equal":
        return dict.fromkeys(scores, 1.0)
    # Sorted, since the sum of floats depends on their order.
    found = {it: rounded(len(own) * float(np.std(np.sort(own)))) for it, own in scores.items()}
    return found if any(found.values()) else {stratum: float(len(own)) for stratum, own in scores.items()}
