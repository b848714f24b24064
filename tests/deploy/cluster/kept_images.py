"""What the node's containerd has of images, kept from one test to the next: only layers that are new are unpacked."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

CONTENT = Path("io.containerd.content.v1.content")
SNAPSHOTTER = Path("io.containerd.snapshotter.v1.overlayfs")
METADATA = Path("io.containerd.metadata.v1.bolt")
_BLOBS = CONTENT / "blobs" / "sha256"
_SNAPSHOTS = SNAPSHOTTER / "snapshots"
_DATABASES = (METADATA / "meta.db", SNAPSHOTTER / "metadata.db")
_KEPT = Path("kept")
_LIST = _KEPT / "snapshots.json"


def restore(root: Path) -> None:
    """Bring containerd's folder back to what `keep` saw: images and their layers, nothing of pods.

    Before containerd begins. Where a layer is missing everything is removed, and all images are to be imported anew.
    """
    snapshots = _kept_snapshots(root)
    if snapshots is None:
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        return
    stay = {path.name for path in (CONTENT, SNAPSHOTTER, METADATA, _KEPT)}
    unneeded = [path for path in root.iterdir() if path.name not in stay]
    unneeded += [path for path in (root / _SNAPSHOTS).iterdir() if path.name not in snapshots]
    unneeded += [path for path in (root / CONTENT).iterdir() if path.name != "blobs"]
    for path in unneeded:
        shutil.rmtree(path)
    for database in _DATABASES:
        shutil.copyfile(root / _KEPT / database.name, root / database)


def keep(root: Path) -> None:
    """Note what containerd has, while it has nothing to do; no pod may have begun."""
    (root / _LIST).unlink(missing_ok=True)
    (root / _KEPT).mkdir(exist_ok=True)
    for database in _DATABASES:
        # From its beginning, where bolt says which pages are valid: those are not overwritten by the next transaction.
        shutil.copyfile(root / database, root / _KEPT / database.name)
    names = sorted(path.name for path in (root / _SNAPSHOTS).iterdir())
    (root / _LIST).write_text(json.dumps(names), encoding="utf-8")


def share_blobs(blobs: Iterable[Path], root: Path) -> None:
    """Have containerd's copies of an OCI layout's blobs be the same files: it writes its own when it is given one."""
    for blob in blobs:
        place = root / _BLOBS / blob.name
        if not place.exists() or not place.samefile(blob):
            link = place.with_suffix(".link")
            os.link(blob, link)
            link.replace(place)


def is_kept(root: Path) -> bool:
    """Whether there is anything to restore."""
    return (root / _LIST).is_file()


def _kept_snapshots(root: Path) -> set[str] | None:
    if not is_kept(root):
        return None
    names = set(json.loads((root / _LIST).read_bytes()))
    there = {path.name for path in (root / _SNAPSHOTS).iterdir()}
    return names if names <= there else None
