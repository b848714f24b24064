"""The choice: from a window's pool to its release, as a pure function of the set of its samples (G3).

Rules in order, each sample being refused by the first that refuses it: no score, an embedding of another space, exact
duplicate, near duplicate, match-fluency, quota, diversity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from schemas.release import ChosenRow, Release
from schemas.run import Run, Select
from schemas.sample import Filtering
from services.selector import explain
from services.selector.candidate import MATCH_PART, Candidate, VectorSpace, stratum_name
from services.selector.combine import combine, finite_parts, rounded
from services.selector.diversity import Pick, Selection, choose_diverse, whole_number_vectors
from services.selector.duplicates import exact_duplicates, near_duplicates, shingles_of
from services.selector.match import MatchFluency, match_fluency
from services.selector.quotas import stratum_quotas
from services.selector.texts import Corpus, fingerprint

STAGE = "selector"


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Samples of the window that never reached its pool.

    Attributes
    ----------
    rejected : mapping
        Distinct samples by `stage/reason`.
    dead_lettered : mapping
        Distinct samples by stage.
    exact : bool
        Whether these are counts; else they are estimates.
    """

    rejected: Mapping[str, int] = field(default_factory=dict)
    dead_lettered: Mapping[str, int] = field(default_factory=dict)
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Closing:
    """A closed window: its release, and for every sample of the pool why it was chosen or refused.

    Attributes
    ----------
    chosen, refused : dict of str to Filtering
        By sample id; the chosen in order of their rank, the refused in order of their ids.
    """

    release: Release
    chosen: dict[str, Filtering]
    refused: dict[str, Filtering]


def close_window(
    pool: Sequence[Candidate], elsewhere: Elsewhere, run: Run, window: int, *, last: bool = True
) -> Closing:
    """Choose the samples of one window.

    Parameters
    ----------
    pool : sequence of Candidate
        Every id once, in any order.
    elsewhere : Elsewhere
        What became of the window's other samples.
    run : Run
    window : int
    last : bool
        Whether no further window will come.
    """
    table = _Table(sorted(pool, key=lambda candidate: candidate.id), run)
    selection = table.select()
    chosen = {table.pool[pick.index].id: table.chosen(rank, pick) for rank, pick in enumerate(selection.picks, start=1)}
    refused = {table.pool[index].id: why for index, why in sorted(table.refusals.items())}
    release = _sealed(table, selection, chosen, refused, elsewhere, window, last)
    return Closing(release, chosen, refused)


class _Table:
    """The pool in order of ids, and what each rule leaves of it."""

    def __init__(self, pool: Sequence[Candidate], run: Run) -> None:
        self.pool = pool
        self.run = run
        self.corpus = Corpus.of((candidate.instruction, candidate.response) for candidate in pool)
        self.prints = [fingerprint(candidate.instruction, candidate.response) for candidate in pool]
        self.match: MatchFluency = match_fluency(pool, self.corpus, self.prints, run.models, run.spec.seed)
        self.parts = [self._parts_of(index) for index in range(len(pool))]
        self.scores = [combine(parts, run.spec.score.weights) for parts in self.parts]
        self.refusals: dict[int, Filtering] = {}
        self.quotas: dict[tuple[str, str], int] = {}

    @property
    def rules(self) -> Select:
        """What the user asked of the selection."""
        return self.run.spec.select

    def select(self) -> Selection:
        """Apply every rule; what is refused is in `refusals`, what is picked in the result."""
        self._refuse_unscored()
        space = self._refuse_other_spaces()
        self._refuse_exact_duplicates()
        self._refuse_near_duplicates()
        self._refuse_low_match()
        self.quotas = stratum_quotas(
            self.rules.target, self.rules.quotas, Counter(self.pool[index].stratum for index in self.order())
        )
        return self._pick(space)

    def order(self) -> list[int]:
        """Return what is not refused, from the best down: by score, equal scores by id."""
        left = (index for index in range(len(self.pool)) if index not in self.refusals)
        return sorted(left, key=lambda index: (-(self.scores[index] or 0.0), index))

    def chosen(self, rank: int, pick: Pick) -> Filtering:
        """Return why a sample was chosen."""
        neighbour = None if pick.nearest is None else self.pool[pick.nearest].id
        return Filtering(
            selected=True,
            reason=explain.FILLED if pick.filled else explain.CHOSEN,
            stratum=stratum_name(*self.pool[pick.index].stratum),
            rank=rank,
            score=self.scores[pick.index],
            score_parts=self.parts[pick.index],
            diversity_contribution=rounded(1.0 - min(1.0, pick.similarity)),
            nearest=neighbour,
            value=rounded(pick.similarity),
            bound=self.rules.diversity.max_cosine,
        )

    def _parts_of(self, index: int) -> dict[str, float]:
        parts = dict(self.pool[index].parts)
        if MATCH_PART in self.run.spec.score.weights:
            parts[MATCH_PART] = float(self.match.ranks[index])
        return finite_parts(parts)

    def _refuse(
        self,
        index: int,
        reason: str,
        value: float | str | None = None,
        bound: float | str | None = None,
        nearest: int | None = None,
        rank: int | None = None,
    ) -> None:
        self.refusals[index] = explain.refused(
            reason,
            stratum=stratum_name(*self.pool[index].stratum),
            value=value,
            bound=bound,
            nearest=None if nearest is None else self.pool[nearest].id,
            score=self.scores[index],
            score_parts=self.parts[index],
            rank=rank,
        )

    def _refuse_unscored(self) -> None:
        for index, score in enumerate(self.scores):
            if score is None:
                self._refuse(index, explain.UNSCORED, bound=", ".join(sorted(self.run.spec.score.weights)))

    def _refuse_other_spaces(self) -> VectorSpace | None:
        """Keep the embedding space that most samples share (of equals the first by name), and those without any."""
        spaces = Counter(candidate.space for candidate in self.pool if candidate.space is not None)
        if not spaces:
            return None
        common = min(spaces, key=lambda space: (-spaces[space], space.model, space.dimensions))
        for index in self.order():
            space = self.pool[index].space
            if space is not None and space != common:
                self._refuse(index, explain.OTHER_EMBEDDING, _space_name(space), _space_name(common))
        return common

    def _refuse_exact_duplicates(self) -> None:
        for dropped, kept, _ in list(exact_duplicates(self.order(), self.prints)):
            self._refuse(dropped, explain.EXACT_DUPLICATE, nearest=kept)

    def _refuse_near_duplicates(self) -> None:
        rule = self.rules.near_duplicates
        if rule is None or not self.pool:
            return
        shingles = shingles_of(self.corpus, rule.shingle)
        for dropped, kept, similarity in list(near_duplicates(self.order(), shingles, rule.threshold)):
            self._refuse(dropped, explain.NEAR_DUPLICATE, similarity, rule.threshold, kept)

    def _refuse_low_match(self) -> None:
        if not self.match.ranked:
            return
        for index in self.order():
            rank = float(self.match.ranks[index])
            if rank < self.rules.minimum_match:
                self._refuse(index, explain.LOW_MATCH, rank, self.rules.minimum_match)

    def _pick(self, space: VectorSpace | None) -> Selection:
        order = self.order()
        strata = [self.pool[index].stratum for index in order]
        vectors = whole_number_vectors([self.pool[index].vector for index in order], space.dimensions if space else 1)
        placed = choose_diverse(range(len(order)), strata, self.quotas, vectors, self.rules.diversity.max_cosine)
        # The walk knows places in the order; everything else knows places in the pool.
        selection = Selection(
            [
                Pick(order[it.index], it.similarity, None if it.nearest is None else order[it.nearest], it.filled)
                for it in placed.picks
            ],
            {order[place]: (cosine, order[nearest]) for place, (cosine, nearest) in placed.too_similar.items()},
        )
        self._refuse_unpicked(order, selection)
        return selection

    def _refuse_unpicked(self, order: Sequence[int], selection: Selection) -> None:
        picked = {pick.index for pick in selection.picks}
        lowest: dict[tuple[str, str], float] = {}
        for pick in selection.picks:
            stratum = self.pool[pick.index].stratum
            lowest[stratum] = min(lowest.get(stratum, 1.0), self.scores[pick.index] or 0.0)
        seen: Counter[tuple[str, str]] = Counter()
        for index in order:
            stratum = self.pool[index].stratum
            seen[stratum] += 1
            if index in picked:
                continue
            if stratum not in lowest:
                self._refuse(index, explain.NO_QUOTA, self.scores[index], 0.0, rank=seen[stratum])
            elif index in selection.too_similar:
                cosine, nearest = selection.too_similar[index]
                bound = self.rules.diversity.max_cosine
                self._refuse(index, explain.TOO_SIMILAR, cosine, bound, nearest, rank=seen[stratum])
            else:
                self._refuse(index, explain.OUTRANKED, self.scores[index], lowest[stratum], rank=seen[stratum])


def _space_name(space: VectorSpace) -> str:
    return f"{space.model}, {space.dimensions} dimensions"


def _sealed(
    table: _Table,
    selection: Selection,
    chosen: Mapping[str, Filtering],
    refused: Mapping[str, Filtering],
    elsewhere: Elsewhere,
    window: int,
    last: bool,
) -> Release:
    run = table.run
    return Release.sealed(
        run_id=run.run_id,
        name=run.spec.name,
        window=window,
        last=last,
        seed=run.spec.seed,
        spec_sha256=run.spec.sha256(),
        spec=run.spec.canonical(),
        models=dict(sorted(run.models.items())),
        versions=_versions(table.pool),
        target=run.spec.select.target,
        shortfall=run.spec.select.target - len(chosen),
        quotas={stratum_name(*stratum): count for stratum, count in sorted(table.quotas.items())},
        funnel=_funnel(len(chosen), refused, elsewhere),
        statistics=_statistics(table, selection),
        rows=[_row(table.pool[pick.index], chosen[table.pool[pick.index].id]) for pick in selection.picks],
    )


def _row(candidate: Candidate, why: Filtering) -> ChosenRow:
    return ChosenRow(
        id=candidate.id,
        content_hash=candidate.content,
        source_ref=candidate.source_ref,
        stratum=why.stratum or "",
        rank=why.rank or 0,
        score=why.score or 0.0,
        score_parts=why.score_parts or {},
        diversity_contribution=why.diversity_contribution or 0.0,
        nearest=why.nearest,
    )


def _versions(pool: Sequence[Candidate]) -> dict[str, str]:
    """Return the version, or versions, of every stage that the pool's samples went through."""
    seen: dict[str, set[str]] = {}
    for candidate in pool:
        for stage, version in candidate.versions.items():
            seen.setdefault(stage, set()).add(version)
    return {stage: ", ".join(sorted(versions)) for stage, versions in sorted(seen.items())}


def _funnel(finalized: int, refused: Mapping[str, Filtering], elsewhere: Elsewhere) -> dict[str, object]:
    rejected = Counter(elsewhere.rejected)
    rejected.update(f"{STAGE}/{why.reason}" for why in refused.values())
    dead = {stage: count for stage, count in sorted(elsewhere.dead_lettered.items()) if count}
    by_selector = sum(count for label, count in rejected.items() if label.startswith(f"{STAGE}/"))
    return {
        "admitted": finalized + rejected.total() + sum(dead.values()),
        "scored": finalized + by_selector,
        "rejected": {label: count for label, count in sorted(rejected.items()) if count},
        "dead_lettered": dead,
        "finalized": finalized,
        "exact": elsewhere.exact,
    }


def _statistics(table: _Table, selection: Selection) -> dict[str, object]:
    scores = [score for score in table.scores if score is not None]
    picked = [table.scores[pick.index] or 0.0 for pick in selection.picks]
    similarities = [pick.similarity for pick in selection.picks]
    return {
        "pool": len(table.pool),
        "match": dict(sorted(table.match.statistics.items())),
        "score_pool": _quantiles(scores),
        "score_chosen": _quantiles(picked),
        "max_cosine_chosen": _quantiles(similarities),
        "filled": sum(pick.filled for pick in selection.picks),
    }


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    """Return minimum, quartiles and maximum, each one of the values themselves."""
    if not values:
        return {}
    ordered = np.sort(np.array(values))
    return {
        name: rounded(float(ordered[round(share * (len(ordered) - 1))]))
        for name, share in (("min", 0.0), ("p25", 0.25), ("p50", 0.5), ("p75", 0.75), ("max", 1.0))
    }
