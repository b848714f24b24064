"""Writing a release: every format, the manifest and the card into one folder, complete or absent."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import orjson

from limoflow.errors import ExportError
from schemas.base import canonical_json
from schemas.export import Export
from schemas.release import Release
from services.exporter.card import HUB_TABLE, dataset_card
from services.exporter.folder import StagedFolder, file_sha256
from services.exporter.formats import Format
from services.exporter.rows import ReleaseData

MANIFEST, EXPORT, CARD = "manifest.json", "export.json", "README.md"


def release_folder(root: Path, release: Release) -> Path:
    """Return where a release lies: `<root>/<name>/<run id>/window-<number>-<first 12 digits of its id>`."""
    return root / release.name / release.run_id / f"window-{release.window:05d}-{release.release_id[:12]}"


def write_release(data: ReleaseData, folder: Path, formats: Mapping[str, Format]) -> Export:
    """Write a release into `folder`, by one rename at the end.

    Raises
    ------
    OSError
        When the disk is full or refuses; nothing is left behind.
    ExportError
        When a format fails, writes outside the folder or over another format's file.
    """
    with StagedFolder(folder) as staged:
        written: dict[str, list[str]] = {}
        for name, write in sorted(formats.items()):
            before = set(staged.files)
            _write_format(name, write, data, staged)
            written[name] = sorted(staged.files.keys() - before)
        with staged.open(MANIFEST) as file:
            file.write(data.release.manifest())
        with staged.open(CARD) as file:
            hub = HUB_TABLE.replace("00000-of-00001", "*") if HUB_TABLE in staged.files else None
            file.write(dataset_card(data, data_files=hub).encode())
        described = {"files": dict(staged.files), "sizes": dict(staged.sizes), "formats": written}
        with staged.open(EXPORT) as file:
            file.write(canonical_json({"release_id": data.release.release_id, **described}))
        staged.publish()
        return _export(data.release, folder, staged.files)


def existing_export(release: Release, folder: Path, formats: Collection[str]) -> Export | None:
    """Return the export that lies in `folder`; None where it is absent, damaged, or of another release or formats."""
    try:
        if (folder / MANIFEST).read_bytes() != release.manifest():
            return None
        described = orjson.loads((folder / EXPORT).read_bytes())
        files: dict[str, str] = described["files"]
        if set(described["formats"]) != set(formats) or any(
            file_sha256(folder / name) != expected for name, expected in files.items()
        ):
            return None
        return _export(release, folder, {**files, EXPORT: file_sha256(folder / EXPORT)})
    except (FileNotFoundError, NotADirectoryError, orjson.JSONDecodeError, KeyError):
        return None


def _write_format(name: str, write: Format, data: ReleaseData, staged: StagedFolder) -> None:
    try:
        write(data, staged)
    except (OSError, ExportError):
        raise
    except Exception as error:
        raise ExportError(
            f"format {name!r} failed on release {data.release.release_id}: {type(error).__name__}: {error}; "
            "mend the plug-in or leave the format out of export.formats, then replay the dead letter"
        ) from error


def _export(release: Release, folder: Path, files: Mapping[str, str]) -> Export:
    return Export(
        release_id=release.release_id,
        run_id=release.run_id,
        window=release.window,
        folder=str(folder.absolute()),
        rows=len(release.rows),
        files=dict(sorted(files.items())),
    )
