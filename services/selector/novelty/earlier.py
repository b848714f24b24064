"""The novelty index that a run names: found when the run is submitted, read when a window closes."""

from __future__ import annotations

from pathlib import Path

from schemas.run import Run, RunSpec
from services.selector.candidate import read_candidate
from services.selector.novelty.entries import entries_of
from services.selector.novelty.index import NoveltyIndex
from services.selector.novelty.store import load_index, newest_version, save_index

ROLE = "novelty"
"""Under this name a run's models hold the version of the index."""


def pinned_version(spec: RunSpec, folder: Path) -> str | None:
    """Return the version of the index that a spec names, or None where it names none.

    Raises
    ------
    ValueError
        When the index is not there or cannot be read.
    """
    novelty = spec.select.novelty
    if novelty is None:
        return None
    index = load_index(folder / novelty.index, novelty.version or newest_version(folder / novelty.index))
    return index.version


def earlier_releases(run: Run) -> NoveltyIndex | None:
    """Return the index that a run was submitted with, or None where it names none.

    Raises
    ------
    ValueError
        When that version is not there or cannot be read.
    """
    novelty = run.spec.select.novelty
    if novelty is None:
        return None
    version = run.models.get(ROLE, novelty.version)
    folder = Path(run.folder or ".") / novelty.index
    empty = NoveltyIndex()
    return empty if version == empty.version else load_index(folder, version)


def add_release(folder: Path, release_id: str, samples: list[bytes]) -> NoveltyIndex:
    """Add the samples of a release to the index in a folder; return what it is now.

    Raises
    ------
    ValueError
        When the index cannot be read, or the embeddings are of another space than those of the index.
    """
    index = load_index(folder)
    entries, space = entries_of([read_candidate(data, {}) for data in samples], index.shingle)
    grown = index.with_release(release_id, entries, space)
    save_index(grown, folder)
    return grown
