"""What is compared: recipes (which score decides) and strategies (how what differs is chosen), as RunSpec parts."""

from __future__ import annotations

from typing import Any, Final

import yaml

from limoflow.spec_file import RECIPES as FILES

Parts = dict[str, dict[str, Any]]

TARGET_SHARE = 0.1
RANDOM_SEEDS = 10


def _recipe(name: str) -> Parts:
    """Return a recipe as its file has it; nothing refuses noise or repeats but what it brings itself."""
    parts: Parts = yaml.safe_load((FILES / f"{name}.yaml").read_text(encoding="utf-8"))
    return parts


def _strategy(name: str, **parameters: Any) -> Parts:
    """Return a strategy behind our noise filter: the better half by match-fluency, no near duplicates."""
    diversity = {"strategy": name, "parameters": parameters}
    return {"score": MODEL_FREE, "select": {"minimum_match": 0.5, "diversity": diversity}}


MODEL_FREE: Final[dict[str, Any]] = {"ifd": None, "weights": {"answer_match": 1.0}}

RECIPES: Final[dict[str, Parts]] = {
    "random": {
        "score": MODEL_FREE,
        "select": {"minimum_match": 0.0, "near_duplicates": None, "diversity": {"strategy": "random"}},
    },
    **{name: _recipe(name) for name in ("limo", "limr", "deita", "cherry", "superfiltering", "match-fluency")},
    "limoflow's default": {},
}

STRATEGIES: Final[dict[str, Parts]] = {
    "random": _strategy("random"),
    "top_score": _strategy("top_score"),
    "representation_filter": _strategy("representation_filter", max_cosine=0.7, fill=True),
    "k_center": _strategy("k_center"),
    "facility_location": _strategy("facility_location"),
    "mmr": _strategy("mmr"),
    "dpp": _strategy("dpp"),
    "semdedup": _strategy("semdedup", epsilon=0.3),
    "dendis": _strategy("dendis"),
    "density": _strategy("density"),
    "cluster_pick": _strategy("cluster_pick", clusters=50),
}
