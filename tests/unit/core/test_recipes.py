"""Recipes: plain layers under a user's file."""

from __future__ import annotations

from pathlib import Path

import pytest

from limoflow.errors import RunSpecError
from limoflow.spec_file import RECIPES, load_spec
from services.selector.picking import named_strategy

NAMES = ("cherry", "deita", "limo", "limr", "match-fluency", "superfiltering")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text("name: x\nsources: [{path: a.jsonl}]\n")
    return path


def test_every_recipe_holds_and_is_written_down(spec: Path) -> None:
    assert tuple(path.stem for path in sorted(RECIPES.glob("*.yaml"))) == NAMES
    described = (RECIPES.parent.parent / "docs" / "recipes.md").read_text()
    for name in NAMES:
        found = load_spec(spec, [f"recipe={name}"])
        assert found.recipe == name
        named_strategy(found.select.diversity)
        assert f"## {name}\n" in described


def test_a_user_goes_before_the_recipe(spec: Path) -> None:
    found = load_spec(spec, ["recipe=limr", "score.thresholds.learning_potential.least=0.2", "select.target=7"])
    assert (found.score.thresholds["learning_potential"].least, found.select.target) == (0.2, 7)
    assert found.select.diversity.strategy == "top_score"
    assert load_spec(spec, ["recipe=cherry", "score.weights={depth: 1}"]).score.weights == {"depth": 1.0}
    assert load_spec(spec, ["recipe=cherry", "score.weights.depth=1"]).score.weights == {"ifd": 1.0, "depth": 1.0}


def test_a_recipe_of_ones_own_is_a_file_beside_the_spec(spec: Path) -> None:
    (spec.parent / "mine.yaml").write_text((RECIPES / "deita.yaml").read_text().replace("product", "pareto"))
    assert load_spec(spec, ["recipe=mine.yaml"]).score.combine == "pareto"


def test_an_unknown_recipe_is_refused_with_those_known(spec: Path) -> None:
    with pytest.raises(RunSpecError, match="known: cherry, deita"):
        load_spec(spec, ["recipe=unknown"])
