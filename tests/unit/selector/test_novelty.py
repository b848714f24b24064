"""The novelty index: what it finds, that it is a function of the releases, and that it survives on disk."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest

from services.selector.candidate import VectorSpace
from services.selector.diversity import LENGTH, Vectors
from services.selector.novelty.index import Entry, NoveltyIndex
from services.selector.novelty.rule import repeats
from services.selector.novelty.signatures import signatures_of
from services.selector.novelty.store import load_index, newest_version, save_index

SPACE = VectorSpace("e", 16)


def texts_of(seed: int, size: int) -> list[tuple[str, str]]:
    random = Random(seed)
    vocabulary = [a + b + c for a in "bdfg" for b in "aeiou" for c in "klmnr"]
    return [
        (" ".join(random.choices(vocabulary, k=20)), " ".join(random.choices(vocabulary, k=40))) for _ in range(size)
    ]


def vectors_of(seed: int, size: int, dimensions: int = 16) -> Vectors:
    wide = np.random.default_rng(seed).standard_normal((size, dimensions))
    return np.rint(wide * (LENGTH / np.linalg.norm(wide, axis=1, keepdims=True))).astype(np.float32)


def entries_of(seed: int, size: int) -> list[Entry]:
    signatures = signatures_of(texts_of(seed, size), 5)
    vectors = vectors_of(seed, size).astype(np.int16)
    return [Entry(f"s{seed}-{i}", vectors[i], signatures[i]) for i in range(size)]


def test_the_version_is_a_function_of_the_set_of_releases() -> None:
    releases = {f"r{seed}": entries_of(seed, 5) for seed in range(3)}
    versions = set()
    for order in (["r0", "r1", "r2"], ["r2", "r0", "r1", "r0"]):
        index = NoveltyIndex()
        for name in order:
            index = index.with_release(name, Random(0).sample(releases[name], 5), SPACE)
        versions.add(index.version)
        assert len(index) == 15
        assert index.releases == ["r0", "r1", "r2"]
    assert len(versions) == 1
    assert index.with_release("r3", entries_of(9, 1), SPACE).version not in versions


def test_repeats_are_found_by_text_and_by_meaning_and_nothing_else() -> None:
    index = NoveltyIndex().with_release("r", entries_of(1, 40), SPACE)
    old, new = texts_of(1, 40), texts_of(2, 3)
    edited = (old[7][0], old[7][1] + " and one more")
    signatures = signatures_of([old[3], edited, *new], 5)
    vectors = np.concatenate((vectors_of(5, 4), vectors_of(1, 40)[11:12]))
    found = repeats(index, vectors, SPACE, signatures, max_cosine=0.95, max_jaccard=0.7)
    assert {item: (it.measure, it.known.id, it.known.release) for item, it in found.items()} == {
        0: ("jaccard", "s1-3", "r"),
        1: ("jaccard", "s1-7", "r"),
        4: ("cosine", "s1-11", "r"),
    }
    assert found[0].known.value == 1.0
    assert 0.7 <= found[1].known.value < 1.0
    assert found[4].known.value == pytest.approx(1.0, abs=1e-3)
    assert found[4].bound == 0.95
    exact = (vectors.astype(np.float64) @ index.vectors.astype(np.float64).T).max(axis=1) / LENGTH**2
    assert [it.value if it else 0.0 for it in index.nearest(vectors, SPACE)] == pytest.approx(np.maximum(exact, 0.0))


def test_an_empty_index_refuses_nothing_and_spaces_are_never_mixed() -> None:
    signatures = signatures_of(texts_of(1, 2), 5)
    assert repeats(NoveltyIndex(), vectors_of(1, 2), SPACE, signatures, max_cosine=0.1, max_jaccard=0.1) == {}
    index = NoveltyIndex().with_release("r", entries_of(1, 2), SPACE)
    for other in (VectorSpace("other", 16), VectorSpace("e", 8)):
        with pytest.raises(ValueError, match="build an index with that model"):
            index.nearest(vectors_of(1, 2, other.dimensions), other)
        with pytest.raises(ValueError, match="embeddings of r2"):
            index.with_release("r2", entries_of(2, 2), other)
    without = index.with_release("texts", entries_of(3, 2), None)
    assert without.nearest(vectors_of(3, 2), SPACE)[0].release == "r"  # type: ignore[union-attr]
    late = NoveltyIndex().with_release("texts", entries_of(3, 2), None).with_release("r", entries_of(1, 2), SPACE)
    assert late.version == without.version


def test_versions_live_side_by_side_on_disk(tmp_path: Path) -> None:
    assert newest_version(tmp_path / "none") is None
    assert len(load_index(tmp_path / "none")) == 0
    first = NoveltyIndex().with_release("r1", entries_of(1, 3), SPACE)
    second = first.with_release("r2", entries_of(2, 3), SPACE)
    for index in (first, second):
        save_index(index, tmp_path)
    assert newest_version(tmp_path) == second.version == load_index(tmp_path).version
    assert load_index(tmp_path, first.version).names == first.names
    assert load_index(tmp_path).nearest(vectors_of(2, 1), SPACE)[0].id == "s2-0"  # type: ignore[union-attr]
    with pytest.raises(ValueError, match=r"has no version 'x'; it has: "):
        load_index(tmp_path, "x")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = save_index(NoveltyIndex().with_release("r1", entries_of(1, 3), SPACE), tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=rf"{path.name} cannot be read .*build it again"):
        load_index(tmp_path)
    other = save_index(NoveltyIndex().with_release("r2", entries_of(2, 3), SPACE), tmp_path)
    other.replace(path)
    with pytest.raises(ValueError, match="holds version"):
        load_index(tmp_path, path.stem)
