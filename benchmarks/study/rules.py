"""What is compared: recipes (which score decides) and strategies (how what differs is chosen), as RunSpec parts."""

from __future__ import annotations

from typing import Any, Final

Parts = dict[str, dict[str, Any]]

TARGET_SHARE = 0.1
RANDOM_SEEDS = 10


def _recipe(weights: dict[str, float], **select: Any) -> Parts:
    """Return a recipe as it was published: nothing refuses noise or repeats but what it brings itself."""
    return {"score": {"weights": weights}, "select": {"minimum_match": 0.0, "near_duplicates": None, **select}}


def _strategy(name: str, **parameters: Any) -> Parts:
    """Return a strategy behind our noise filter: the better half by match-fluency, no near duplicates."""
    diversity = {"strategy": name, "parameters": parameters}
    return {"score": {"weights": {"answer_match": 1.0}}, "select": {"minimum_match": 0.5, "diversity": diversity}}


_RANDOM: Final = {"strategy": "random"}
_TOP: Final = {"strategy": "top_score"}

RECIPES: Final[dict[str, Parts]] = {
    "random": _recipe({"answer_match": 1.0}, diversity=_RANDOM),
    "limo (depth)": _recipe({"depth": 1.0}, diversity=_TOP),
    "deita (complexity, quality, filter)": _recipe(
        {"complexity": 1.0, "quality": 1.0},
        diversity={"strategy": "representation_filter", "parameters": {"fill": True}},
    ),
    # Both papers discard ratios of 1 and more; the recorded score is the ratio cut at 1.
    "cherry (IFD)": _recipe({"ifd": 1.0}, diversity=_TOP),
    "superfiltering (IFD, facility location)": _recipe(
        {"ifd": 1.0}, minimum_match=0.0, diversity={"strategy": "facility_location"}
    ),
    "match-fluency": _recipe({"answer_match": 1.0}, diversity=_TOP),
    "limoflow's default": {},
}

DISCARDS_IFD_OF_1: Final = ("cherry (IFD)", "superfiltering (IFD, facility location)")

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
