"""How much of each domain: fixed shares, weights learned after DoReMi, or the evaluator's feedback.

All give shares that add up to 1, for `select.quotas.domain`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

Shares = dict[str, float]

STEP_SIZE = 1.0
SMOOTHING = 1e-4


def fixed_shares(weights: Mapping[str, float]) -> Shares:
    """Return weights as shares, in order of their names.

    Raises
    ------
    ValueError
        When a weight is negative or no number, or all are 0.
    """
    for name, weight in weights.items():
        if not math.isfinite(weight) or weight < 0.0:
            raise ValueError(f"the weight of domain {name!r} must be a finite number of at least 0, not {weight}")
    whole = math.fsum(weights.values())
    if whole <= 0.0:
        raise ValueError("the weights of the domains must not add up to 0; give at least one domain a share")
    return {name: weights[name] / whole for name in sorted(weights)}


def excess_loss(proxy: Sequence[float], reference: Sequence[float]) -> float:
    """Return the mean over a domain's tokens of max(proxy loss - reference loss, 0), nats per token.

    Raises
    ------
    ValueError
        When there are no tokens, or not as many of the one as of the other.
    """
    if not proxy or len(proxy) != len(reference):
        raise ValueError(f"excess loss needs as many losses of both models, not {len(proxy)} and {len(reference)}")
    return math.fsum(max(ours - theirs, 0.0) for ours, theirs in zip(proxy, reference, strict=True)) / len(proxy)


def doremi_shares(
    excess: Iterable[Mapping[str, float]],
    domains: Iterable[str],
    *,
    step_size: float = STEP_SIZE,
    smoothing: float = SMOOTHING,
) -> Shares:
    """Return the mean of the domain weights over the steps of a proxy model's training (Xie et al. 2023, DoReMi).

    Parameters
    ----------
    excess : iterable of mapping
        For each step the excess loss of each domain, nats per token; a domain that a step does not name keeps its last.
    domains : iterable of str
    step_size : float
        The authors' eta.
    smoothing : float
        Share that is spread evenly at each step, the authors' c, 0 to 1.

    Raises
    ------
    ValueError
        When there are no domains, or a step names another or is no finite number of at least 0.
    """
    names = sorted(set(domains))
    weights = fixed_shares(dict.fromkeys(names, 1.0))
    last = dict.fromkeys(names, 0.0)
    visited: list[Shares] = []
    for step in excess:
        last |= _checked(step, last)
        weights = _multiplied(weights, {name: step_size * last[name] for name in names}, smoothing)
        visited.append(weights)
    if not visited:
        return weights
    return fixed_shares({name: math.fsum(step[name] for step in visited) / len(visited) for name in names})


def shares_after_feedback(
    shares: Mapping[str, float], scores: Mapping[str, float], *, strength: float = 1.0, floor: float = 0.01
) -> Shares:
    """Return the shares of the next round: more of the domains in which the trained model is weak.

    [own] One step of exponentiated gradient: share x exp(strength x (mean score - score)), then `floor` spread evenly,
    so that no domain dies out.

    Parameters
    ----------
    shares : mapping
        Of this round.
    scores : mapping
        What the evaluator measured in each domain, 0 to 1; a domain without a score keeps its proportion.
    strength, floor : float

    Raises
    ------
    ValueError
        When a score is no number in [0, 1].
    """
    before = fixed_shares(shares)
    for name, score in scores.items():
        if not 0.0 <= score <= 1.0:
            raise ValueError(f"the score of domain {name!r} must be in [0, 1], not {score}")
    known = {name: scores[name] for name in before if name in scores}
    if not known:
        return before
    mean = math.fsum(known.values()) / len(known)
    return _multiplied(before, {name: strength * (mean - known.get(name, mean)) for name in before}, floor)


def _multiplied(weights: Mapping[str, float], exponents: Mapping[str, float], smoothing: float) -> Shares:
    """Return softmax(ln weights + exponents), mixed with the even distribution."""
    largest = max(exponents.values())
    grown = fixed_shares({name: weights[name] * math.exp(exponents[name] - largest) for name in weights})
    return {name: (1.0 - smoothing) * share + smoothing / len(grown) for name, share in grown.items()}


def _checked(step: Mapping[str, float], known: Mapping[str, float]) -> Mapping[str, float]:
    for name, loss in step.items():
        if name not in known or not math.isfinite(loss) or loss < 0.0:
            raise ValueError(
                f"excess loss of domain {name!r} is {loss}; it must be a finite number of at least 0, of one of "
                f"{', '.join(sorted(known))}"
            )
    return step
