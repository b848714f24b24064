"""The rules that a run may add: another strategy, what is new, allocation, curriculum; and bad input to them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from schemas.run import Run, RunSpec, Score
from services.selector import explain
from services.selector.allocation import allocate_strata
from services.selector.candidate import Candidate, VectorSpace
from services.selector.choose import Closing, Elsewhere, close_window
from services.selector.novelty.earlier import ROLE, earlier_releases, pinned_version
from services.selector.novelty.entries import entries_of
from services.selector.novelty.index import NoveltyIndex
from services.selector.novelty.store import save_index
from services.selector.preflight import check_selection
from services.selector.strategies.registry import known_strategies

SPACE = VectorSpace("e", 8)
WORDS = ["alpha", "bravo", "charlie", "delta", "echo", "golf", "hotel", "india", "juliet", "kilo", "lima", "mike"]


def spec_of(**select: object) -> RunSpec:
    return RunSpec.model_validate(
        {
            "name": "x",
            "sources": [{"path": "x"}],
            "select": {"target": 6, "minimum_match": 0.0, **select},
            "score": {"weights": {"quality": 1.0}},
        }
    )


def candidate(number: int, **changes: object) -> Candidate:
    random = np.random.default_rng(number)
    plain = Candidate(
        id=f"{number:04d}", content="c", domain="d", difficulty="easy",
        instruction=" ".join(random.choice(WORDS, 12)), response=" ".join(random.choice(WORDS, 12)),
        language="en", parent=None, source_ref=f"f:{number}", versions={"scorer": "1"}, answer_match=0.5,
        parts={"quality": float(random.integers(0, 30)) / 30}, space=SPACE,
        vector=random.standard_normal(8).astype(np.float16),
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)


POOL = [candidate(number) for number in range(24)]


def close(pool: list[Candidate], earlier: NoveltyIndex | None = None, **select: object) -> Closing:
    run = Run(run_id="r", spec=spec_of(**select))
    return close_window(pool, Elsewhere(), run, 0, earlier=earlier)


@pytest.mark.parametrize("name", known_strategies())
def test_every_strategy_chooses_the_target_and_explains_everyone(name: str) -> None:
    closing = close(POOL, diversity={"strategy": name})
    assert len(closing.chosen) == 6 or name in ("semdedup", "representation_filter")
    assert closing.chosen.keys() | closing.refused.keys() == {it.id for it in POOL}
    assert not closing.chosen.keys() & closing.refused.keys()
    for rank, (sample_id, why) in enumerate(closing.chosen.items(), start=1):
        assert (why.rank, why.selected, why.stratum) == (rank, True, "d/easy")
        assert why.score_parts
        assert why.diversity_contribution is not None
        assert why.nearest != sample_id
        assert why.nearest is None or why.nearest in closing.chosen
    for why in closing.refused.values():
        assert why.reason in explain.MEANING
        assert why.rank
        assert why.bound is not None
    assert close(POOL[::-1], diversity={"strategy": name}).release.manifest() == closing.release.manifest()


def test_a_strategy_respects_quotas() -> None:
    pool = [*POOL, *(candidate(number, domain="rare") for number in range(100, 104))]
    quotas = {"domain": {"d": 0.5, "rare": 0.5}}
    for name in known_strategies():
        chosen = close(pool, diversity={"strategy": name}, quotas=quotas).release.rows
        assert sum(row.stratum == "rare/easy" for row in chosen) == 3, name


@pytest.mark.parametrize("name", known_strategies())
def test_embeddings_that_cannot_be_compared_are_refused_never_mixed(name: str) -> None:
    odd = [
        candidate(50, space=VectorSpace("other", 8)),
        candidate(51, space=VectorSpace("e", 4), vector=np.ones(4, dtype=np.float16)),
        candidate(52, space=None, vector=None),
    ]
    refused = close([*POOL, *odd], diversity={"strategy": name}, target=30).refused
    assert [refused[it.id].reason for it in odd[:2]] == [explain.OTHER_EMBEDDING] * 2
    compares = name not in ("top_score", "random")
    assert (refused.get("0052") is not None and refused["0052"].reason == explain.NO_EMBEDDING) == compares


def test_without_any_embedding_a_comparing_strategy_refuses_all_and_the_default_none() -> None:
    blind = [dataclasses.replace(it, space=None, vector=None) for it in POOL]
    assert close(blind, diversity={"strategy": "k_center"}).release.rows == []
    assert len(close(blind).release.rows) == 6


def test_every_rule_says_value_and_bound() -> None:
    alike = POOL[0].vector
    odd = [
        candidate(50, parts={"quality": None}),
        candidate(51, parts={"quality": 3.0}),
        candidate(52, space=VectorSpace("other", 8)),
        candidate(53, space=None, vector=None),
        dataclasses.replace(POOL[0], id="0054"),
        candidate(55, domain="nobody"),
        *(candidate(number, domain="same", vector=alike) for number in range(60, 64)),
    ]
    rules = {"quotas": {"domain": {"d": 0.5, "same": 0.5}}, "near_duplicates": None}
    for name in STRATEGIES:
        diversity = {**diversity_of(name), **({"max_cosine": 0.5} if name == "greedy" else {})}
        refused = close([*POOL, *odd], diversity=diversity, **rules).refused
        reasons = [refused[it.id].reason for it in odd[:6]]
        assert reasons[:3] == [explain.UNSCORED, explain.INVALID_SCORE, explain.OTHER_EMBEDDING]
        assert reasons[4:] == [explain.EXACT_DUPLICATE, explain.NO_QUOTA]
        said = {it: (why.reason, why.value, why.bound) for it, why in refused.items()}
        assert all(value is not None and bound is not None for _, value, bound in said.values()), (name, said)


def test_without_an_embedding_where_others_have_one_nothing_passes_for_unlike_them() -> None:
    without = candidate(99, space=None, vector=None, parts={"quality": 1.0})
    closing = close([*POOL, without])
    why = closing.refused["0099"]
    assert (why.reason, why.value, why.bound) == (explain.NO_EMBEDDING, "none", "e, 8 dimensions")
    assert close([*POOL, without], diversity={"strategy": "top_score"}).chosen["0099"].rank == 1


def test_what_was_released_before_is_refused_with_its_name() -> None:
    entries, space = entries_of(POOL[:5], 5)
    earlier = NoveltyIndex().with_release("before", entries, space)
    near = candidate(70, vector=POOL[7].vector)
    entries, _ = entries_of([near], 5)
    earlier = earlier.with_release("later", entries, space)
    closing = close(POOL, earlier, novelty={"index": "x"}, target=24)
    reasons = {name: (why.reason, why.nearest) for name, why in closing.refused.items()}
    assert reasons == {
        **{it.id: (explain.REPEATS_TEXT, it.id) for it in POOL[:5]},
        POOL[7].id: (explain.REPEATS_MEANING, "0070"),
    }
    assert closing.refused["0007"].value == pytest.approx(1.0, abs=1e-3)
    assert closing.refused["0007"].bound == 0.95
    said = {"version": earlier.version, "released": 6, "embeddings_compared": True}
    assert closing.release.statistics["novelty"] == said
    # An index of another embedding model: the texts are compared, the embeddings are not.
    foreign = dataclasses.replace(earlier, space=VectorSpace("other", 8))
    closing = close(POOL, foreign, novelty={"index": "x"}, target=24)
    assert closing.refused.keys() == {it.id for it in POOL[:5]}
    assert closing.release.statistics["novelty"]["embeddings_compared"] is False
    assert "novelty" not in close(POOL).release.statistics


def test_a_run_is_pinned_to_the_version_it_was_submitted_with(tmp_path: Path) -> None:
    spec = spec_of(novelty={"index": "seen"})
    empty = pinned_version(spec, tmp_path)
    run = Run(run_id="r", spec=spec, folder=str(tmp_path), models={ROLE: empty or ""})
    entries, space = entries_of(POOL[:3], 5)
    save_index(NoveltyIndex().with_release("a", entries, space), tmp_path / "seen")
    first = pinned_version(spec, tmp_path)
    entries, _ = entries_of(POOL[3:5], 5)
    assert first is not None
    save_index(NoveltyIndex().with_release("b", entries, space), tmp_path / "seen")
    pinned = run.model_copy(update={"models": {ROLE: first}})
    assert [len(earlier_releases(it) or ()) for it in (run, pinned)] == [0, 3]
    assert earlier_releases(Run(run_id="r", spec=spec_of())) is None


def test_a_curriculum_gives_every_row_its_place() -> None:
    labels = ("hard", "easy", "medium")
    pool = [dataclasses.replace(it, difficulty=labels[place % 3]) for place, it in enumerate(POOL)]
    rows = close(pool, target=12, curriculum={"by": "quality"}).release.rows
    learnt = sorted(rows, key=lambda row: row.curriculum or 0)
    assert [row.curriculum for row in learnt] == list(range(1, 13))
    order = [(("easy", "medium", "hard").index(row.stratum.split("/")[1]), row.score) for row in learnt]
    assert order == sorted(order)
    assert all(row.curriculum is None for row in close(pool).release.rows)


def test_allocation_divides_what_the_quotas_leave_open() -> None:
    scores = {("a", "easy"): [0.5] * 60, ("a", "hard"): [0.1, 0.9] * 10, ("b", "easy"): [0.2, 0.4] * 10}
    assert allocate_strata(20, {}, "available", scores) == {("a", "easy"): 12, ("a", "hard"): 4, ("b", "easy"): 4}
    assert allocate_strata(20, {}, "equal", scores) == {("a", "easy"): 5, ("a", "hard"): 5, ("b", "easy"): 10}
    # N s: 0, 20 x 0.4 and 20 x 0.1.
    assert allocate_strata(20, {}, "neyman", scores) == {("a", "easy"): 0, ("a", "hard"): 16, ("b", "easy"): 4}
    assert allocate_strata(20, {"domain": {"a": 1, "b": 1}}, "neyman", scores)["b", "easy"] == 10
    assert sum(allocate_strata(99, {}, "equal", scores).values()) == 99
    # Where the strata with a spread have too few, the others take the rest.
    assert allocate_strata(90, {}, "neyman", scores) == {("a", "easy"): 52, ("a", "hard"): 20, ("b", "easy"): 18}
    alike = {stratum: [0.5] * len(own) for stratum, own in scores.items()}
    assert allocate_strata(20, {}, "neyman", alike) == allocate_strata(20, {}, "available", scores)
    assert allocate_strata(20, {"difficulty": {"hard": 1.0}}, "equal", scores)["a", "hard"] == 20
    assert allocate_strata(20, {}, "equal", {}) == {}


def test_what_cannot_be_chosen_by_is_said_before_anything_runs(tmp_path: Path) -> None:
    said = check_selection(
        spec_of(
            diversity={"strategy": "k_centre"}, novelty={"index": "seen", "version": "gone"}, curriculum={"by": "depth"}
        ),
        tmp_path,
    )
    assert [line.split(":")[0] for line in said] == [
        "select.diversity.strategy", "select.novelty", "select.curriculum.by",
    ]  # fmt: skip
    assert "has no version 'gone'" in said[1]
    blind = spec_of(diversity={"strategy": "dpp", "parameters": {"bandwidth": 0}})
    assert "bandwidth: Input should be greater than or equal to 0.001" in check_selection(blind, tmp_path)[0]
    plain = spec_of(diversity={"parameters": {"relevance": 0.1}})
    assert "'greedy' has none" in check_selection(plain, tmp_path)[0]
    weightless = RunSpec.model_validate(
        {
            **spec_of(diversity={"strategy": "mmr"}).canonical(),
            "score": {"embedding": False, "weights": {"quality": 0.0}},
        }
    )
    said = check_selection(weightless, tmp_path)
    assert "compares embeddings" in said[0]
    assert "add up to 0" in said[1]
    assert check_selection(spec_of(), tmp_path) == []


def test_a_release_says_how_varied_its_window_and_its_rows_are() -> None:
    day = [f"2026-01-{number + 1:02d}T00:00:00Z" for number in range(24)]
    pool = [
        dataclasses.replace(it, domain="ab"[place % 2], created=day[place], detail=0.5) for place, it in enumerate(POOL)
    ]
    pool.append(dataclasses.replace(pool[0], id="9999"))
    release = close(pool, quotas={"domain": {"a": 1.0, "c": 1.0}}, target=4).release
    window, rows = release.statistics["window"], release.statistics["dataset"]
    assert window["duplicate_rate"] == pytest.approx(1 / 25)
    assert (rows["duplicate_rate"], rows["domain_entropy"], rows["domain_coverage"]) == (0.0, 0.0, 0.5)
    assert window["domain_entropy"] == pytest.approx(np.log(2), abs=1e-2)
    assert 1.0 < rows["vendi"] <= 4.0 < window["vendi"] <= 8.0
    assert 0.0 < rows["topic_entropy"] <= np.log(3)
    assert window["freshness"] == pytest.approx(np.mean([2 ** (-age / 365) for age in (*range(24), 23)]), abs=1e-5)
    assert rows["alignment"] == pytest.approx(0.5)
    parts = [rows[name] for name in ("freshness", "scale", "alignment", "granularity")]
    assert rows["flag"] == pytest.approx(np.prod(parts) ** 0.25, rel=1e-5)
    # Neither the run's strategy nor a clock has a say, and without embeddings or details what can be said is said.
    bare = [dataclasses.replace(it, space=None, vector=None, detail=None) for it in pool]
    found = close(bare, target=4).release.statistics["dataset"]
    assert (found["vendi"], found["topic_entropy"], "flag" in found) == (0.0, 0.0, False)
    assert close([], target=4).release.statistics["window"]["duplicate_rate"] == 0.0


def test_undivided_the_best_are_taken_wherever_they_lie() -> None:
    labels, domains = ("hard", "easy", "medium"), ("a", "b")
    pool = [
        dataclasses.replace(it, difficulty=labels[place % 3], domain=domains[place % 2])
        for place, it in enumerate(POOL)
    ]

    def chosen(**rules: object) -> set[str]:
        closing = close(pool, diversity={"strategy": "top_score"}, allocation="none", target=7, **rules)
        assert closing.chosen.keys() | closing.refused.keys() == {it.id for it in pool}
        assert all(
            row.stratum in ("a/hard", "a/easy", "a/medium", "b/hard", "b/easy", "b/medium")
            for row in closing.release.rows
        )
        return set(closing.chosen)

    def best(of: list[Candidate], count: int) -> set[str]:
        return {it.id for it in sorted(of, key=lambda it: (-(it.parts["quality"] or 0.0), it.id))[:count]}

    assert chosen() == best(pool, 7)
    halves = best([it for it in pool if it.domain == "a"], 6) | best([it for it in pool if it.domain == "b"], 1)
    assert chosen(quotas={"domain": {"a": 6.0, "b": 1.0}}) == halves
    assert chosen(quotas={"difficulty": {"hard": 1.0}}) == best([it for it in pool if it.difficulty == "hard"], 7)


STRATEGIES = ["greedy", *known_strategies()]


def diversity_of(name: str) -> dict[str, object]:
    return {} if name == "greedy" else {"strategy": name}


@pytest.mark.parametrize("name", STRATEGIES)
def test_samples_that_are_all_alike_give_one(name: str) -> None:
    alike = [dataclasses.replace(it, instruction="a b c", response="d e f", vector=POOL[0].vector) for it in POOL]
    closing = close(alike, diversity=diversity_of(name))
    best = min(alike, key=lambda it: (-(it.parts["quality"] or 0.0), it.id))
    assert list(closing.chosen) == [best.id]
    assert {(why.reason, why.nearest) for why in closing.refused.values()} == {(explain.EXACT_DUPLICATE, best.id)}
    assert closing.release.shortfall == 5


@pytest.mark.parametrize("name", STRATEGIES)
def test_embeddings_that_are_all_alike_leave_every_sample_a_reason(name: str) -> None:
    same = [dataclasses.replace(it, vector=POOL[0].vector, parts={"quality": 0.5}) for it in POOL]
    closing = close(same, diversity=diversity_of(name))
    assert closing.chosen.keys() | closing.refused.keys() == {it.id for it in POOL}
    assert 1 <= len(closing.chosen) <= 6
    assert close(same[::-1], diversity=diversity_of(name)).release.manifest() == closing.release.manifest()


@pytest.mark.parametrize("name", STRATEGIES)
def test_quotas_that_cannot_be_met_are_taken_up_by_others_or_say_what_is_missing(name: str) -> None:
    rare = [candidate(number, domain="rare") for number in range(100, 102)]
    wanted = {"domain": {"rare": 0.5, "d": 0.25, "nobody": 0.25}}
    release = close([*POOL, *rare], diversity=diversity_of(name), quotas=wanted, target=8).release
    held = {stratum: sum(row.stratum == stratum for row in release.rows) for stratum in release.quotas}
    assert held["rare/easy"] <= 2
    assert sum(held.values()) + release.shortfall == 8
    assert "nobody/easy" not in held
    only = close(POOL, diversity=diversity_of(name), quotas={"domain": {"nobody": 1.0}})
    assert only.release.rows == []
    assert only.release.shortfall == 6
    assert {why.reason for why in only.refused.values()} == {explain.NO_QUOTA}


@pytest.mark.parametrize("combine", ["mean", "rank", "minimum_rank", "product", "pareto"])
def test_weights_that_sum_to_zero_choose_nothing_by_chance(combine: str) -> None:
    score = Score(weights={"quality": 0.0}, combine=combine)
    spec = spec_of().model_copy(update={"score": score})
    closing = close_window(POOL, Elsewhere(), Run(run_id="r", spec=spec), 0)
    assert closing.release.rows == []
    assert {why.reason for why in closing.refused.values()} == {explain.UNSCORED}
