"""A window's pool, and what each rule leaves of it.

Rules in order, each sample being refused by the first that refuses it: an invalid score, no score, a hard threshold,
an embedding of another space (or none, where others have one or the strategy cannot do without), exact duplicate, near
duplicate, repeat of an earlier release, match-fluency, quota, diversity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from schemas.run import Run, Select
from schemas.sample import Filtering
from services.selector import explain
from services.selector.allocation import allocate_strata, group_of
from services.selector.candidate import MATCH_PART, Candidate, VectorSpace, stratum_name
from services.selector.combine import finite_parts, invalid_part, rounded
from services.selector.diversity import Pick, Selection, choose_diverse, whole_number_vectors
from services.selector.duplicates import exact_duplicates, near_duplicates, shingles_of
from services.selector.match import MatchFluency, invalid_cosine, match_fluency
from services.selector.novelty.index import NoveltyIndex
from services.selector.novelty.rule import repeats
from services.selector.novelty.signatures import signatures_of
from services.selector.picking import Members, named_strategy, pick_by
from services.selector.ranking import broken_bound, final_scores
from services.selector.strategies.interface import Strategy
from services.selector.texts import Corpus, fingerprint


class Table:
    """The pool in order of ids, and what each rule leaves of it."""

    def __init__(self, pool: Sequence[Candidate], run: Run, earlier: NoveltyIndex | None) -> None:
        self.pool = pool
        self.run = run
        self.earlier = earlier
        self.strategy = named_strategy(run.spec.select.diversity)
        self.corpus = Corpus.of((candidate.instruction, candidate.response) for candidate in pool)
        self.prints = [fingerprint(candidate.instruction, candidate.response) for candidate in pool]
        self.match: MatchFluency = match_fluency(pool, self.corpus, self.prints, run.models, run.spec.seed)
        self.parts = self._parts()
        self.scores = final_scores(self.parts, run.spec.score.weights, run.spec.score.combine)
        self.strata = [stratum_name(*candidate.stratum) for candidate in pool]
        rules = run.spec.select
        self.groups = [group_of(candidate.stratum, rules.quotas, rules.allocation) for candidate in pool]
        self.refusals: dict[int, explain.Refused] = {}
        self._order = sorted(range(len(pool)), key=lambda index: (-(self.scores[index] or 0.0), index))
        self.quotas: dict[tuple[str, str], int] = {}
        self.novelty: dict[str, object] = (
            {} if earlier is None else {"version": earlier.version, "released": len(earlier)}
        )

    @property
    def rules(self) -> Select:
        """What the user asked of the selection."""
        return self.run.spec.select

    def select(self) -> Selection:
        """Apply every rule; what is refused is in `refusals`, what is picked in the result."""
        self._refuse_unscored()
        self._refuse_outside_thresholds()
        space = self._refuse_other_spaces()
        self._refuse_exact_duplicates()
        self._refuse_near_duplicates()
        self._refuse_repeats(space)
        self._refuse_low_match()
        scores: dict[tuple[str, str], list[float]] = {}
        for index in self.order():
            scores.setdefault(self.groups[index], []).append(self.scores[index] or 0.0)
        self.quotas = allocate_strata(self.rules.target, self.rules.quotas, self.rules.allocation, scores)
        return self._pick(space) if self.strategy is None else self._pick_by(self.strategy, space)

    def order(self) -> list[int]:
        """Return what is not refused, from the best down: by score, equal scores by id."""
        return [index for index in self._order if index not in self.refusals]

    def chosen(self, rank: int, pick: Pick) -> Filtering:
        """Return why a sample was chosen."""
        neighbour = None if pick.nearest is None else self.pool[pick.nearest].id
        return Filtering(
            selected=True,
            reason=explain.FILLED if pick.filled else explain.CHOSEN,
            stratum=self.strata[pick.index],
            rank=rank,
            score=self.scores[pick.index],
            score_parts=self.parts[pick.index],
            diversity_contribution=rounded(1.0 - min(1.0, pick.similarity) if pick.gain is None else pick.gain),
            nearest=neighbour,
            value=rounded(pick.similarity),
            bound=self.rules.diversity.max_cosine if self.strategy is None else None,
        )

    def _parts(self) -> list[dict[str, float]]:
        matched = MATCH_PART in self.run.spec.score.names()
        ranks = self.match.ranks.tolist()
        return [
            {}
            if invalid_part(candidate.parts) is not None
            else finite_parts({**candidate.parts, MATCH_PART: rank} if matched else candidate.parts)
            for candidate, rank in zip(self.pool, ranks, strict=True)
        ]

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
            stratum=self.strata[index],
            value=value,
            bound=bound,
            nearest=None if nearest is None else self.pool[nearest].id,
            score=self.scores[index],
            score_parts=self.parts[index],
            rank=rank,
        )

    def _refuse_unscored(self) -> None:
        for index, score in enumerate(self.scores):
            match, invalid = self.pool[index].answer_match, invalid_part(self.pool[index].parts)
            if invalid is not None:
                self._refuse(index, explain.INVALID_SCORE, invalid, "0 to 1")
            elif match is not None and invalid_cosine(match):
                self._refuse(index, explain.INVALID_SCORE, f"{MATCH_PART}: {match:g}", "-1 to 1")
            elif score is None:
                weighted = sorted(self.run.spec.score.weights)
                missing = ", ".join(name for name in weighted if name not in self.parts[index])
                self._refuse(index, explain.UNSCORED, f"no number: {missing or 'none'}", ", ".join(weighted))

    def _refuse_outside_thresholds(self) -> None:
        for name, bounds in sorted(self.run.spec.score.thresholds.items()):
            for index in self.order():
                outside = broken_bound(self.parts[index].get(name), bounds)
                if outside is not None:
                    self._refuse(index, explain.OUTSIDE_THRESHOLD, f"{name}: {outside[0]}", outside[1])

    def _refuse_other_spaces(self) -> VectorSpace | None:
        """Keep the embedding space that most samples share (of equals the first by name)."""
        spaces = Counter(candidate.space for candidate in self.pool if candidate.space is not None)
        common = min(spaces, key=lambda space: (-spaces[space], space.model, space.dimensions), default=None)
        needed = self._needed_embedding(common)
        for index in self.order():
            space = self.pool[index].space
            if space is not None and common is not None and space != common:
                self._refuse(index, explain.OTHER_EMBEDDING, _space_name(space), _space_name(common))
            elif space is None and needed is not None:
                self._refuse(index, explain.NO_EMBEDDING, "none", needed)
        return common

    def _needed_embedding(self, common: VectorSpace | None) -> str | None:
        """Return in words which embedding a sample needs; None where it needs none.

        The default strategy does without where nobody has one. Where others have, one without would pass for unlike
        everything.
        """
        if self.strategy is not None:
            return self.strategy.name if self.strategy.compares else None
        return None if common is None else _space_name(common)

    def _refuse_exact_duplicates(self) -> None:
        for dropped, kept, _ in list(exact_duplicates(self.order(), self.prints)):
            self._refuse(dropped, explain.EXACT_DUPLICATE, 1.0, 1.0, nearest=kept)

    def _refuse_near_duplicates(self) -> None:
        rule = self.rules.near_duplicates
        if rule is None or not self.pool:
            return
        shingles = shingles_of(self.corpus, rule.shingle)
        for dropped, kept, similarity in list(near_duplicates(self.order(), shingles, rule.threshold)):
            self._refuse(dropped, explain.NEAR_DUPLICATE, similarity, rule.threshold, kept)

    def _refuse_repeats(self, space: VectorSpace | None) -> None:
        rule = self.rules.novelty
        if rule is None or self.earlier is None:
            return
        order = self.order()
        # Embeddings of another model say nothing about those of the index; the texts still do.
        shared = space if self.earlier.compares_with(space) else None
        size = shared.dimensions if shared else 0
        vectors = whole_number_vectors([self.pool[index].vector if shared else None for index in order], size)
        self.novelty |= {"embeddings_compared": shared is not None}
        texts = [(self.pool[index].instruction, self.pool[index].response) for index in order]
        found = repeats(
            self.earlier,
            vectors,
            shared,
            signatures_of(texts, self.earlier.shingle),
            max_cosine=rule.max_cosine,
            max_jaccard=rule.max_jaccard,
        )
        for place, repeat in found.items():
            index = order[place]
            self._refuse(index, explain.ALREADY_RELEASED[repeat.measure], repeat.known.value, repeat.bound)
            self.refusals[index] = self.refusals[index]._replace(nearest=repeat.known.id)

    def _refuse_low_match(self) -> None:
        if not self.match.ranked:
            return
        ranks = self.match.ranks.tolist()
        for index in self.order():
            rank = ranks[index]
            if rank < self.rules.minimum_match:
                self._refuse(index, explain.LOW_MATCH, rank, self.rules.minimum_match)

    def _pick(self, space: VectorSpace | None) -> Selection:
        order = self.order()
        strata = [self.groups[index] for index in order]
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

    def _pick_by(self, strategy: Strategy, space: VectorSpace | None) -> Selection:
        order = self.order()
        members = sorted(order)
        kept = [self.pool[index] for index in members]
        candidates = Members(
            [it.id for it in kept],
            [it.vector for it in kept],
            space.dimensions if space else 1,
            [self.scores[index] or 0.0 for index in members],
            [self.groups[index] for index in members],
        )
        picked = pick_by(strategy, candidates, self.quotas, self.run.spec.seed)
        ranks = self._ranks(order)
        for place, why in sorted(picked.left.items()):
            nearest = None if why.nearest is None else members[why.nearest]
            index = members[place]
            self._refuse(index, why.reason, why.value, why.bound, nearest, rank=ranks[index])
        return Selection(
            [
                replace(it, index=members[it.index], nearest=None if it.nearest is None else members[it.nearest])
                for it in picked.picks
            ]
        )

    def _ranks(self, order: Sequence[int]) -> dict[int, int]:
        """Return the rank of each sample by score among those that share its quota, from 1."""
        seen: Counter[tuple[str, str]] = Counter()
        ranks = {}
        for index in order:
            seen[self.groups[index]] += 1
            ranks[index] = seen[self.groups[index]]
        return ranks

    def _refuse_unpicked(self, order: Sequence[int], selection: Selection) -> None:
        picked = {pick.index for pick in selection.picks}
        lowest: dict[tuple[str, str], float] = {}
        for pick in selection.picks:
            stratum = self.groups[pick.index]
            lowest[stratum] = min(lowest.get(stratum, 1.0), self.scores[pick.index] or 0.0)
        for index, rank in self._ranks(order).items():
            stratum = self.groups[index]
            if index in picked:
                continue
            if stratum not in lowest:
                self._refuse(index, explain.NO_QUOTA, self.scores[index], 0.0, rank=rank)
            elif index in selection.too_similar:
                cosine, nearest = selection.too_similar[index]
                bound = self.rules.diversity.max_cosine
                self._refuse(index, explain.TOO_SIMILAR, cosine, bound, nearest, rank=rank)
            else:
                self._refuse(index, explain.OUTRANKED, self.scores[index], lowest[stratum], rank=rank)


def _space_name(space: VectorSpace) -> str:
    return f"{space.model}, {space.dimensions} dimensions"
