"""A node of the cluster test begins with the images of the one before, and with nothing else of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.cluster.kept_images import CONTENT, METADATA, SNAPSHOTTER, is_kept, keep, restore, share_blobs

LAYER = SNAPSHOTTER / "snapshots" / "1"
METADATA_FILES = (METADATA / "meta.db", SNAPSHOTTER / "metadata.db")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What containerd has after an import of one image with one layer."""
    found = tmp_path / "containerd"
    (found / LAYER / "fs").mkdir(parents=True)
    (found / CONTENT / "blobs" / "sha256").mkdir(parents=True)
    (found / CONTENT / "ingest").mkdir()
    (found / METADATA).mkdir()
    for database in METADATA_FILES:
        (found / database).write_text("one image")
    return found


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_what_pods_left_is_gone_and_images_are_there(root: Path):
    keep(root)
    (root / SNAPSHOTTER / "snapshots" / "2").mkdir()
    (root / "io.containerd.grpc.v1.cri" / "sandboxes").mkdir(parents=True)
    for database in METADATA_FILES:
        (root / database).write_text("one image, one pod")
    restore(root)
    assert (root / LAYER / "fs").is_dir()
    assert not any(name.endswith("snapshots/2") or "cri" in name for name in everything(root))
    assert {(root / database).read_text() for database in METADATA_FILES} == {"one image"}
    assert is_kept(root)


def test_without_a_note_everything_is_imported_anew(root: Path):
    restore(root)
    assert everything(root) == set()


def test_with_a_layer_lost_everything_is_imported_anew(root: Path):
    keep(root)
    (root / LAYER / "fs").rmdir()
    (root / LAYER).rmdir()
    restore(root)
    assert everything(root) == set()


def test_blobs_of_a_layout_take_no_second_place(root: Path, tmp_path: Path):
    blob = tmp_path / "layout" / "blobs" / "sha256" / "ab"
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"layer")
    place = root / CONTENT / "blobs" / "sha256"
    (place / "ab").write_bytes(b"layer")
    for _ in range(2):
        share_blobs([blob], root)
        assert (place / "ab").samefile(blob)
    assert [path.name for path in place.iterdir()] == ["ab"]
