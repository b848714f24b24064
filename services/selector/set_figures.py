"""What a release says of its window and of itself as sets: how varied, how fresh, what they cover (FLAG among it).

All are functions of the set of samples (G3): nothing is measured against a clock, and what would cost too much for a
large window is measured on the samples with the smallest hashes of their ids.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from services.selector.candidate import Candidate, VectorSpace, stratum_name
from services.selector.dataset_scores import (
    coverage,
    duplicate_rate,
    entropy,
    evenness,
    flag,
    freshness,
    scale,
    vendi,
)
from services.selector.diversity import whole_number_vectors
from services.selector.keys import keyed_hash
from services.selector.strategies.clusters import cluster, nearest_centroid
from services.selector.strategies.interface import Pool

SAMPLE = 4_096
MOST_TOPICS = 64
_DAY = 86_400.0


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A closing window.

    Attributes
    ----------
    pool : sequence of Candidate
        In order of their ids.
    prints : sequence of bytes
        Equal where two say the same.
    taxonomy : sequence of str
        The domains that are wanted; those of the pool where it is empty.
    target, seed : int
    """

    pool: Sequence[Candidate]
    prints: Sequence[bytes]
    taxonomy: Sequence[str]
    target: int
    seed: int


def set_figures(window: Window, chosen: Sequence[int]) -> dict[str, Mapping[str, float]]:
    """Return the figures of the pool (`window`) and of what was chosen of it (`dataset`).

    Topics are clusters of the pool's embeddings, sqrt(samples / 2) of them and 64 at most. Ages are counted from the
    newest sample of the pool; one without a date counts as new. Granularity is the mean of the scores of detail.
    """
    topics = _Topics(window)
    return {
        "window": _figures(window, topics, range(len(window.pool))),
        "dataset": _figures(window, topics, sorted(chosen)),
    }


def _figures(window: Window, topics: _Topics, members: Sequence[int]) -> dict[str, float]:
    candidates = [window.pool[index] for index in members]
    domains = [it.domain for it in candidates]
    wanted = window.taxonomy or sorted({it.domain for it in window.pool})
    embedded = topics.comparable(_hashed_sample(candidates, window.seed))
    recorded = [it.vector for it in embedded if it.vector is not None]
    found = {
        "domain_entropy": entropy(domains),
        "stratum_entropy": entropy([stratum_name(*it.stratum) for it in candidates]),
        "topic_entropy": entropy(topics.labels(embedded)),
        "duplicate_rate": duplicate_rate([window.prints[index] for index in members]),
        "vendi": vendi(np.array(recorded, dtype=np.float16).reshape(len(recorded), topics.dimensions)),
        "domain_coverage": coverage(domains, wanted),
    }
    details = [it.detail for it in candidates if it.detail is not None and 0.0 <= it.detail <= 1.0]
    if details:
        found |= {
            "freshness": freshness(_ages(candidates, window.pool)),
            "scale": scale(found["vendi"], window.target),
            "alignment": round(evenness(domains) * found["domain_coverage"], 6),
            "granularity": round(math.fsum(details) / len(details), 6),
        }
        found["flag"] = flag(found["freshness"], found["scale"], found["alignment"], found["granularity"])
    return found


class _Topics:
    """Clusters of a pool's embeddings, found on its hashed sample."""

    def __init__(self, window: Window) -> None:
        spaces = Counter(it.space for it in window.pool if it.space is not None)
        self._space: VectorSpace | None = min(
            spaces, key=lambda space: (-spaces[space], space.model, space.dimensions), default=None
        )
        self.dimensions = self._space.dimensions if self._space else 1
        sample = sorted(self.comparable(_hashed_sample(window.pool, window.seed)), key=lambda it: it.id)
        vectors = whole_number_vectors([it.vector for it in sample], self.dimensions)
        zeros = np.zeros(len(sample))
        ids = tuple(it.id for it in sample)
        pool = Pool(ids, vectors, zeros, zeros.astype(np.int64), np.zeros(1, dtype=np.int64), window.seed)
        self._centroids = cluster(pool, min(MOST_TOPICS, math.isqrt(len(sample) // 2)))[1] if sample else vectors

    def comparable(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return those with an embedding of the commonest space."""
        return [it for it in candidates if it.space is not None and it.space == self._space]

    def labels(self, candidates: Sequence[Candidate]) -> list[int]:
        """Return the topic of each; they are comparable."""
        vectors = whole_number_vectors([it.vector for it in candidates], self.dimensions)
        labels: list[int] = nearest_centroid(vectors, self._centroids).tolist()
        return labels


def _hashed_sample(candidates: Sequence[Candidate], seed: int) -> Sequence[Candidate]:
    if len(candidates) <= SAMPLE:
        return candidates
    return sorted(candidates, key=lambda it: (keyed_hash("statistics", seed, it.id), it.id))[:SAMPLE]


def _ages(candidates: Sequence[Candidate], pool: Sequence[Candidate]) -> list[float]:
    """Return the age of each in days, counted from the newest of the pool."""
    newest = max((_seconds(it.created) for it in pool), default=-math.inf)
    made = [_seconds(it.created) for it in candidates]
    return [(newest - seconds) / _DAY if math.isfinite(seconds) else 0.0 for seconds in made]


def _seconds(created: str | None) -> float:
    """Return a date as seconds, one without a zone as in UTC; minus infinity for what is none."""
    try:
        date = datetime.fromisoformat(created or "")
    except ValueError:
        return -math.inf
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
