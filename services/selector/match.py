"""Match-fluency: whether an answer belongs to its instruction, and reads like the others.

[own] Two figures per sample: m, the cosine of the embeddings of instruction and response, and f, minus the response's
mean negative log-likelihood under a cross-fitted trigram model. Each becomes a percentile rank among samples of the
same domain and language; the smaller of the two is the score. f alone prefers mismatched pairs of fluent texts, m alone
fluent-looking nonsense: it is the minimum that finds noise.

The ranks' tables and the trigram counts come from the window's uniform sample: of the distinct texts those with the
smallest hashes of their ids. Families (a sample and its children) share a fold, so none vouches for another.

For a language that the embedder was not trained on, m is a lexical match instead: the share of the instruction's terms,
weighted by how rare they are, that the response takes up (character pairs for Chinese).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from services.selector.candidate import Candidate
from services.selector.combine import rounded
from services.selector.fluency import cross_fitted_losses, fluency_texts
from services.selector.keys import keyed_hash
from services.selector.texts import Corpus, language_of

SAMPLE_TEXTS = 20_000
MINIMUM_RANKED = 30
MINIMUM_GROUP = 100
_ROUNDING = 1e-6
EMBEDDING_LANGUAGES = "embedding_languages"

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MatchFluency:
    """The match-fluency of a pool.

    Attributes
    ----------
    ranks : array of float, shape (candidates,)
        The smaller percentile rank, in [0, 1]; NaN where neither figure exists.
    ranked : bool
        Whether the pool was large enough for ranks. If not, `ranks` holds the cosine itself, and nothing is noise.
    statistics : dict
        How each group was ranked, for the manifest.
    """

    ranks: Floats
    ranked: bool
    statistics: dict[str, str]


def match_fluency(
    candidates: Sequence[Candidate],
    corpus: Corpus,
    fingerprints: Sequence[bytes],
    models: Mapping[str, str],
    seed: int,
) -> MatchFluency:
    """Rank a pool.

    Parameters
    ----------
    candidates : sequence
        In order of their ids.
    corpus : Corpus
        Their texts.
    fingerprints : sequence of bytes
        Equal where two say the same.
    models : mapping
        The run's models; `embedding_languages` names the languages that the embedder knows (comma-separated, `*` for
        all), `en` when it is missing.
    seed : int
        The run's seed; it chooses sample and folds.
    """
    cosine = np.array([_cosine(candidate.answer_match) for candidate in candidates])
    if len(candidates) < MINIMUM_RANKED:
        return MatchFluency(np.clip(cosine, 0.0, 1.0), False, {"all": f"cosine, fewer than {MINIMUM_RANKED} samples"})
    languages = [language_of(candidate.instruction, candidate.language) for candidate in candidates]
    known = models.get(EMBEDDING_LANGUAGES, "en").replace(" ", "").split(",")
    sample = _uniform_sample(candidates, fingerprints, seed)
    fluency = _fluency(candidates, corpus, sample, seed)
    in_sample = np.zeros(len(candidates), dtype=bool)
    in_sample[sample] = True
    ranks = np.full(len(candidates), np.nan)
    statistics = {}
    for group in _groups(candidates, languages):
        embedded = "*" in known or group.language in known
        match = cosine if embedded else _lexical(corpus, group.members, len(candidates))
        tables = group.table[in_sample[group.table]]
        pair = (_percentiles(figure, tables, group.members) for figure in (match, fluency))
        ranks[group.members] = np.fmin(*pair)
        has_match = bool(np.isfinite(match[group.members]).any())
        statistics[group.name] = _described(embedded, has_match, group)
    return MatchFluency(ranks, True, statistics)


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    name: str
    language: str
    members: Integers
    table: Integers


def _groups(candidates: Sequence[Candidate], languages: Sequence[str]) -> list[_Group]:
    """Return the groups that are ranked apart; a small one is ranked against all of its language."""
    cells: dict[tuple[str, str], list[int]] = defaultdict(list)
    by_language: dict[str, list[int]] = defaultdict(list)
    for index, (candidate, language) in enumerate(zip(candidates, languages, strict=True)):
        cells[candidate.domain, language].append(index)
        by_language[language].append(index)
    return [
        _Group(
            f"{domain}/{language}",
            language,
            np.array(members),
            np.array(members if len(members) >= MINIMUM_GROUP else by_language[language]),
        )
        for (domain, language), members in sorted(cells.items())
    ]


def _described(embedded: bool, has_match: bool, group: _Group) -> str:
    figure = "cosine" if embedded else "lexical match (the embedder does not know the language)"
    among = "its own kind" if len(group.table) == len(group.members) else "its language"
    return f"{figure if has_match else 'no match figure'} and fluency, ranked among {among}"


def _cosine(number: float | None) -> float:
    """Return a cosine; NaN for what is none, so that it moves no one's rank."""
    return math.nan if number is None or invalid_cosine(number) else number


def invalid_cosine(number: float) -> bool:
    """Return whether a number cannot be a cosine."""
    return abs(number) > 1.0 + _ROUNDING


def _uniform_sample(candidates: Sequence[Candidate], fingerprints: Sequence[bytes], seed: int) -> Integers:
    """Return up to 20,000 indexes of distinct texts, those whose ids have the smallest hashes."""
    first: dict[bytes, int] = {}
    for index, fingerprint in enumerate(fingerprints):
        first.setdefault(fingerprint, index)
    ranked = sorted((keyed_hash("statistics", seed, candidates[index].id), index) for index in first.values())
    return np.array(sorted(index for _, index in ranked[:SAMPLE_TEXTS]), dtype=np.int64)


def _fluency(candidates: Sequence[Candidate], corpus: Corpus, sample: Integers, seed: int) -> Floats:
    texts, vocabulary = fluency_texts(corpus)
    families = (candidate.parent or candidate.id for candidate in candidates)
    folds = np.array([keyed_hash("fold", seed, family) % 2 for family in families], dtype=np.int64)
    return -cross_fitted_losses(texts, vocabulary, folds, sample)


def _lexical(corpus: Corpus, members: Integers, size: int) -> Floats:
    """Return the idf-weighted share of each instruction's terms that its response takes up; NaN without terms."""
    asked = {int(i): _terms(corpus.instructions.row(int(i)), corpus) for i in members}
    frequency = Counter(term for terms in asked.values() for term in terms)
    figure = np.full(size, np.nan)
    for index, terms in asked.items():
        taken_up = terms & _terms(corpus.responses.row(index), corpus)
        whole = math.fsum(_rarity(frequency[term], len(asked)) for term in terms)
        if whole > 0.0:
            figure[index] = rounded(math.fsum(_rarity(frequency[term], len(asked)) for term in taken_up) / whole)
    return figure


def _rarity(documents: int, of: int) -> float:
    return math.log((of + 1) / (documents + 0.5))


def _terms(tokens: Integers, corpus: Corpus) -> set[str]:
    """Return the words of a text, and for characters their pairs, since one character says little."""
    vocabulary = corpus.vocabulary
    listed = [vocabulary[token] for token in tokens.tolist()]
    pairs = {left + right for left, right in pairwise(listed) if _is_term(left) and _is_term(right)}
    return pairs | {word for word in listed if len(word) > 1 and _is_term(word)}


def _is_term(word: str) -> bool:
    return word[0].isalnum()


def _percentiles(figure: Floats, table: Integers, members: Integers) -> Floats:
    """Return the mid-rank of each member within the table, in [0, 1]; NaN where the figure is missing."""
    known = figure[table]
    known = np.sort(np.round(known[np.isfinite(known)], 9))
    values = np.round(figure[members], 9)
    if not len(known):
        return np.full(len(members), np.nan)
    below = np.searchsorted(known, values, side="left")
    up_to = np.searchsorted(known, values, side="right")
    return np.where(np.isfinite(values), (below + up_to) / (2 * len(known)), np.nan)
