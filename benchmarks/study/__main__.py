"""`python -m benchmarks.study`: score the pools, choose by every rule, write docs/studies/selection.md and charts."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.study.charts import bars
from benchmarks.study.measures import Worth, Yardstick
from benchmarks.study.pools import DATA, ROWS, pools
from benchmarks.study.rules import RANDOM_SEEDS, RECIPES, STRATEGIES, TARGET_SHARE, Parts
from benchmarks.study.scored import run_of, sample_id, scored
from services.selector.candidate import Candidate
from services.selector.choose import Elsewhere, close_window

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "studies"
CACHE = Path(".limoflow/study")
MEASURES = ("precision", "coverage", "diversity")

Results = dict[str, dict[str, Worth]]


def main() -> int:
    """Run the study; return 3 where the data is not there."""
    if not DATA.is_dir():
        sys.stderr.write(f"the data of the study is not there: {DATA}\n")
        return 3
    found: dict[str, Results] = {"recipes": {}, "strategies": {}}
    kinds: dict[str, Counter[str]] = {}
    for pool in pools():
        yardstick = Yardstick(pool)
        kinds[pool.name] = Counter(row.fault or "clean" for row in pool.rows)
        for group, rules in (("recipes", RECIPES), ("strategies", STRATEGIES)):
            found[group][pool.name] = {
                name: _worth(scored(pool, parts, CACHE), yardstick, parts) for name, parts in rules.items()
            }
    FOLDER.mkdir(parents=True, exist_ok=True)
    for group, results in found.items():
        for measure in MEASURES:
            chart = bars(f"{measure} of {group}, equal size", _figures(results, measure))
            (FOLDER / f"selection-{group}-{measure}.svg").write_text(chart, encoding="utf-8")
    text = (FOLDER / "selection.head.md").read_text(encoding="utf-8") + report(found, kinds)
    (FOLDER / "selection.md").write_text(text, encoding="utf-8")
    return 0


def report(found: Mapping[str, Results], kinds: Mapping[str, Counter[str]]) -> str:
    """Return the measured part of the study."""
    lines = ["", "## The pools", "", "| pool | clean | spoilt |", "|---|---:|---|"]
    for name, counts in kinds.items():
        spoilt = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()) if kind != "clean")
        lines.append(f"| {name} | {counts['clean']} | {spoilt} |")
    for group, results in found.items():
        lines += ["", f"## Of the {group}", ""]
        lines += [f"![{measure}](selection-{group}-{measure}.svg)" for measure in MEASURES]
        lines += ["", *_table(results)]
    return "\n".join(lines) + "\n"


def _table(results: Results) -> list[str]:
    """Return a table: a row for each rule, precision / coverage / diversity for each pool, and the means."""
    names = list(next(iter(results.values())))
    head = " | ".join(results)
    lines = [f"| precision / coverage / diversity | {head} | mean |", "|---|" + "---|" * (len(results) + 1)]
    for name in names:
        worths = [of_pool[name] for of_pool in results.values()]
        cells = [" / ".join(f"{getattr(it, measure):.2f}" for measure in MEASURES) for it in worths]
        means = " / ".join(f"{np.mean([getattr(it, measure) for it in worths]):.2f}" for measure in MEASURES)
        lines.append(f"| {name} | {' | '.join(cells)} | {means} |")
    return lines


def _figures(results: Results, measure: str) -> dict[str, dict[str, float]]:
    return {
        pool: {name: float(getattr(worth, measure)) for name, worth in worths.items()}
        for pool, worths in results.items()
    }


def _worth(candidates: Sequence[Candidate], yardstick: Yardstick, parts: Parts) -> Worth:
    """Return the worth of what a rule chooses; for a random one the mean over seeds."""
    chance = parts.get("select", {}).get("diversity", {}).get("strategy") == "random"
    worths = [yardstick.worth(_choose(candidates, parts, seed)) for seed in range(RANDOM_SEEDS if chance else 1)]
    return Worth(*(float(np.mean([getattr(it, measure) for it in worths])) for measure in MEASURES))


def _choose(candidates: Sequence[Candidate], parts: Parts, seed: int) -> list[int]:
    place_of = {sample_id(place): place for place in range(ROWS)}
    select = {**parts.get("select", {}), "target": round(TARGET_SHARE * ROWS)}
    run = run_of(Path("rows.jsonl"), seed=seed, select=select, score=parts.get("score", {}))
    return [place_of[row.id] for row in close_window(candidates, Elsewhere(), run, 0).release.rows]


if __name__ == "__main__":
    sys.exit(main())
