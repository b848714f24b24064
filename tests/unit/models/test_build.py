"""The embedded model is a function of the set of texts and the recipe, cached, and complete or absent."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limoflow.errors import ModelBuildError
from models import training
from models.block_loss import BlockCrossEntropy
from models.build import BuiltModel, build_embedded_model
from models.corpus import pair_digest, sample_corpus

from .conftest import TINY, tiny_corpus

REPOSITORY = Path(__file__).resolve().parents[3]
texts = st.text(max_size=5)
ELSEWHERE = """
import sys
from pathlib import Path
from tests.unit.models.conftest import TINY, tiny_corpus
from models.build import build_embedded_model
print(build_embedded_model(tiny_corpus()[::-1], Path(sys.argv[1]), settings=TINY).path)
"""


def content(built: BuiltModel) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in built.path.iterdir() if path.name != "build.json"}


def test_any_order_and_repeats_give_the_same_files_and_key(tmp_path: Path) -> None:
    pairs = tiny_corpus()
    shuffled = pairs + pairs[:7]
    random.Random(3).shuffle(shuffled)
    first = build_embedded_model(pairs, tmp_path / "a", settings=TINY)
    second = build_embedded_model(shuffled, tmp_path / "b", settings=TINY)
    assert first.key == second.key
    assert content(first) == content(second)
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "model.json"} <= set(
        content(first)
    )
    manifest = json.loads((first.path / "model.json").read_text())
    assert manifest["key"] == first.path.name == first.key
    assert manifest["pairs"] == len(pairs)
    assert manifest["steps"] == TINY.steps
    assert "seconds" not in manifest
    assert json.loads((first.path / "build.json").read_text())["seconds"] > 0


def test_another_process_with_another_number_of_threads_gives_the_same_weights(
    causal_folder: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "77"},
    )
    path = Path(done.stdout.strip())
    assert path.name == causal_folder.name
    for name in ("model.safetensors", "tokenizer.json"):
        assert (path / name).read_bytes() == (causal_folder / name).read_bytes()


def test_a_second_build_is_found_in_the_cache_and_other_data_or_recipe_is_not(tmp_path: Path) -> None:
    pairs = tiny_corpus(6)
    first = build_embedded_model(pairs, tmp_path, settings=TINY)
    again = build_embedded_model(iter(pairs[::-1]), tmp_path, settings=TINY)
    assert (first.cached, again.cached, again.path) == (False, True, first.path)
    other_data = build_embedded_model(pairs[1:], tmp_path, settings=TINY)
    other_recipe = build_embedded_model(pairs, tmp_path, settings=dataclasses.replace(TINY, seed=1))
    assert len({first.key, other_data.key, other_recipe.key}) == 3
    assert not other_data.cached


def test_training_learns_and_leaves_threads_and_random_state_as_they_were(tmp_path: Path) -> None:
    torch.manual_seed(11)
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    steps: list[tuple[int, int, float]] = []
    recipe = dataclasses.replace(TINY, steps=60, epochs=100)
    built = build_embedded_model(tiny_corpus(), tmp_path, settings=recipe, progress=lambda *step: steps.append(step))
    assert steps[-1][:2] == (60, 60)
    assert steps[-1][2] < 0.7 * steps[0][2]
    assert json.loads((built.path / "model.json").read_text())["final_loss"] < steps[0][2]
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("pairs", [[], [("", "")], [("question", " ")], [("", "answer")]])
def test_without_text_there_is_nothing_to_learn_from(pairs: list[tuple[str, str]], tmp_path: Path) -> None:
    with pytest.raises(ModelBuildError, match="no pair"):
        build_embedded_model(pairs, tmp_path, settings=TINY)


def test_a_single_pair_with_odd_characters_is_enough(tmp_path: Path) -> None:
    built = build_embedded_model([("\ud800 a\0b", "é😀" * 2000)], tmp_path, settings=TINY)
    assert (built.path / "model.safetensors").is_file()


def test_a_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(training, "_save_tokenizer", full_disk)
    with pytest.raises(ModelBuildError, match="No space left"):
        build_embedded_model(tiny_corpus(3), tmp_path, settings=TINY)
    assert list((tmp_path / "models").iterdir()) == []


def test_the_loser_of_a_race_takes_the_winners_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = training._save_tokenizer

    def meanwhile(*args: object) -> None:
        save(*args)  # type: ignore[arg-type]
        monkeypatch.setattr(training, "_save_tokenizer", save)
        build_embedded_model(tiny_corpus(3), tmp_path, settings=TINY)

    monkeypatch.setattr(training, "_save_tokenizer", meanwhile)
    built = build_embedded_model(tiny_corpus(3), tmp_path, settings=TINY)
    assert [path.name for path in (tmp_path / "models").iterdir()] == [built.key]


@given(st.lists(st.tuples(texts, texts), max_size=30), st.integers(1, 8), st.randoms(use_true_random=False))
def test_the_sample_is_the_smallest_digests_of_the_distinct_pairs(
    pairs: list[tuple[str, str]], limit: int, chance: random.Random
) -> None:
    expected = sorted({pair_digest(*pair): pair for pair in pairs}.items())[:limit]
    shuffled = pairs * 2
    chance.shuffle(shuffled)
    sample = sample_corpus(shuffled, limit)
    assert list(sample.pairs) == [pair for _, pair in expected]
    assert sample.digest == sample_corpus(pairs, limit).digest


def test_where_one_text_ends_and_the_other_begins_counts() -> None:
    assert pair_digest("ab", "c") != pair_digest("a", "bc")


@given(st.integers(1, 600), st.integers(2, 40), st.integers(0, 5))
def test_block_loss_equals_cross_entropy_and_its_gradients(tokens: int, vocabulary: int, seed: int) -> None:
    chance = torch.Generator().manual_seed(seed)
    hidden = torch.randn(tokens, 8, generator=chance, requires_grad=True)
    weight = torch.randn(vocabulary, 8, generator=chance, requires_grad=True)
    targets = torch.randint(0, vocabulary, (tokens,), generator=chance)
    expected = torch.nn.functional.cross_entropy(hidden @ weight.T, targets)
    wanted = torch.autograd.grad(2 * expected, [hidden, weight])
    loss = BlockCrossEntropy.apply(hidden, weight, targets)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    for found, right in zip(torch.autograd.grad(2 * loss, [hidden, weight]), wanted, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-3, atol=1e-5)
