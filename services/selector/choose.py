"""The choice: from a window's pool to its release, as a pure function of the set of its samples (G3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from schemas.release import ChosenRow, Release
from schemas.run import Run
from schemas.sample import Filtering
from services.selector.candidate import Candidate, stratum_name
from services.selector.combine import rounded
from services.selector.curriculum import curriculum, difficulty_of
from services.selector.diversity import Selection
from services.selector.explain import Refused
from services.selector.novelty.index import NoveltyIndex
from services.selector.set_figures import Window, set_figures
from services.selector.table import Table

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
    chosen : dict of str to Filtering
    refused : dict of str to Refused
        By sample id; the chosen in order of their rank, the refused in order of their ids.
    """

    release: Release
    chosen: dict[str, Filtering]
    refused: dict[str, Refused]


def close_window(
    pool: Sequence[Candidate],
    elsewhere: Elsewhere,
    run: Run,
    window: int,
    *,
    last: bool = True,
    earlier: NoveltyIndex | None = None,
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
    earlier : NoveltyIndex, optional
        What was released before, where the run asks for what is new.

    Raises
    ------
    ValueError
        When the run names no known strategy, or its parameters do not hold.
    """
    table = Table(sorted(pool, key=lambda candidate: candidate.id), run, earlier)
    selection = table.select()
    chosen = {table.pool[pick.index].id: table.chosen(rank, pick) for rank, pick in enumerate(selection.picks, start=1)}
    refused = {table.pool[index].id: why for index, why in sorted(table.refusals.items())}
    release = _sealed(table, selection, chosen, refused, elsewhere, window, last)
    return Closing(release, chosen, refused)


def _sealed(
    table: Table,
    selection: Selection,
    chosen: Mapping[str, Filtering],
    refused: Mapping[str, Refused],
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
        rows=_rows(table, selection, chosen),
    )


def _rows(table: Table, selection: Selection, chosen: Mapping[str, Filtering]) -> list[ChosenRow]:
    picked = [table.pool[pick.index] for pick in selection.picks]
    rows = [_row(candidate, chosen[candidate.id]) for candidate in picked]
    rule = table.rules.curriculum
    if rule is None:
        return rows
    learnt = curriculum(
        {it.id: difficulty_of(it.difficulty, chosen[it.id], rule.by) for it in picked},
        rule.order,
        steps=rule.steps,
        start=rule.start,
        power=rule.power,
    )
    places = {sample_id: place for place, sample_id in enumerate(learnt, start=1)}
    return [row.model_copy(update={"curriculum": places[row.id]}) for row in rows]


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


def _funnel(finalized: int, refused: Mapping[str, Refused], elsewhere: Elsewhere) -> dict[str, object]:
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


def _statistics(table: Table, selection: Selection) -> dict[str, object]:
    scores = [score for score in table.scores if score is not None]
    picked = [table.scores[pick.index] or 0.0 for pick in selection.picks]
    similarities = [pick.similarity for pick in selection.picks]
    return {
        **({"novelty": table.novelty} if table.novelty else {}),
        "pool": len(table.pool),
        "match": dict(sorted(table.match.statistics.items())),
        "score_pool": _quantiles(scores),
        "score_chosen": _quantiles(picked),
        "max_cosine_chosen": _quantiles(similarities),
        **_of_sets(table, [pick.index for pick in selection.picks]),
        "filled": sum(pick.filled for pick in selection.picks),
    }


def _of_sets(table: Table, chosen: Sequence[int]) -> Mapping[str, Mapping[str, float]]:
    wanted = [name for name, share in sorted(table.rules.quotas.get("domain", {}).items()) if share > 0.0]
    window = Window(table.pool, table.prints, wanted, table.rules.target, table.run.spec.seed)
    return set_figures(window, chosen)


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    """Return minimum, quartiles and maximum, each one of the values themselves."""
    if not values:
        return {}
    ordered = np.sort(np.array(values))
    return {
        name: rounded(float(ordered[round(share * (len(ordered) - 1))]))
        for name, share in (("min", 0.0), ("p25", 0.25), ("p50", 0.5), ("p75", 0.75), ("max", 1.0))
    }
