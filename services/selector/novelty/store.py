"""A novelty index on disk: one immutable file for each version, and the name of the newest.

FOLDER/<version>.npz      written beside its name, then moved into place
FOLDER/newest             the version that the last writer wrote
"""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.selector.candidate import VectorSpace
from services.selector.novelty.index import NoveltyIndex

FORMAT = 1
NEWEST = "newest"


def save_index(index: NoveltyIndex, folder: Path) -> Path:
    """Write an index; return its file. A crash leaves the versions before it whole."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{index.version}.npz"
    if not path.exists():
        _replace(path, index)
    _replace(folder / NEWEST, index.version)
    return path


def load_index(folder: Path, version: str | None = None) -> NoveltyIndex:
    """Read an index, the newest where no version is named; an empty one where the folder has none yet.

    Raises
    ------
    ValueError
        When the version is not there, or its file is damaged or of another format.
    """
    wanted = version or newest_version(folder)
    if wanted is None:
        return NoveltyIndex()
    path = folder / f"{wanted}.npz"
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in folder.glob("*.npz"))) or "none"
        raise ValueError(f"the novelty index {folder} has no version {wanted!r}; it has: {known}")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            index = _read(arrays)
    except (KeyError, TypeError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"the novelty index {path} cannot be read ({error}); delete it and build it again") from error
    if index.version != wanted:
        raise ValueError(f"the novelty index {path} holds version {index.version}; delete it and build it again")
    return index


def newest_version(folder: Path) -> str | None:
    """Return the version that was written last."""
    newest = folder / NEWEST
    return newest.read_text(encoding="utf-8").strip() if newest.is_file() else None


def _read(arrays: Any) -> NoveltyIndex:
    about = json.loads(str(arrays["about"]))
    if about["format"] != FORMAT:
        raise ValueError(f"it has format {about['format']}, this version reads {FORMAT}")
    space = VectorSpace(**about["space"]) if about["space"] else None
    names = tuple((release, sample_id) for release, sample_id in about["names"])
    return NoveltyIndex(about["shingle"], space, names, arrays["vectors"], arrays["signatures"])


def _about(index: NoveltyIndex) -> NDArray[np.str_]:
    space = {"model": index.space.model, "dimensions": index.space.dimensions} if index.space else None
    about = {"format": FORMAT, "shingle": index.shingle, "space": space, "names": index.names}
    return np.array(json.dumps(about, ensure_ascii=True))


def _replace(path: Path, content: NoveltyIndex | str) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if isinstance(content, str):
                file.write(content.encode())
            else:
                np.savez(file, about=_about(content), vectors=content.vectors, signatures=content.signatures)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
