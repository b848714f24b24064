"""A folder that is complete or absent: built hidden beside its place, synced, then renamed."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from limoflow.errors import ExportError

PARTIAL_SUFFIX = ".partial"


class Target(Protocol):
    """What a format sees of the folder that it writes into."""

    def open(self, path: str) -> AbstractContextManager[HashedFile]:
        """Open a new file for writing, by its path relative to the release folder, with forward slashes.

        Raises
        ------
        ExportError
            When the path leaves the folder or was written already.
        """
        ...


class HashedFile:
    """A binary file that takes the SHA-256 of what is written, and is on the disk once closed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """The hash of what was written so far, 64 hexadecimal digits."""
        return self._hash.hexdigest()

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._stream.closed

    def write(self, data: bytes) -> int:
        """Append `data`; return its length in bytes."""
        self._hash.update(data)
        written = self._stream.write(data)
        self.size += written
        return written

    def flush(self) -> None:
        """Hand what is buffered to the operating system."""
        self._stream.flush()

    def readable(self) -> bool:
        """Return False: it is written only."""
        return False

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return False: the hash needs the bytes in order."""
        return False

    def tell(self) -> int:
        """Return the position, in bytes."""
        return self.size

    def close(self) -> None:
        """Do nothing: the one who opened the file closes it."""


class StagedFolder:
    """A hidden folder beside `place` that becomes it by one rename.

    Parameters
    ----------
    place : Path
        Where the folder will lie; its parent is created.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._path = place.parent / f".{place.name}.{uuid.uuid4().hex[:12]}{PARTIAL_SUFFIX}"
        self.files: dict[str, str] = {}
        self.sizes: dict[str, int] = {}

    def __enter__(self) -> StagedFolder:
        self._path.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path, ignore_errors=True)

    @contextmanager
    def open(self, path: str) -> Iterator[HashedFile]:
        """Open a new file of the folder for writing; it is hashed and synced when the block ends."""
        name = self._checked(path)
        full = self._path / name
        full.parent.mkdir(parents=True, exist_ok=True)
        with full.open("xb") as stream:
            hashed = HashedFile(stream)
            yield hashed
            stream.flush()
            os.fsync(stream.fileno())
        self.files[name] = hashed.sha256
        self.sizes[name] = hashed.size

    def publish(self) -> None:
        """Put the folder in its place, instead of what may lie there, and make the rename durable."""
        for folder, _, _ in os.walk(self._path):
            _sync_folder(Path(folder))
        if self._place.exists():
            damaged = self._path.with_name(f".{self._place.name}.{uuid.uuid4().hex[:12]}{PARTIAL_SUFFIX}")
            self._place.rename(damaged)
            self._path.rename(self._place)
            shutil.rmtree(damaged, ignore_errors=True)
        else:
            self._path.rename(self._place)
        _sync_folder(self._place.parent)

    def _checked(self, path: str) -> str:
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or not pure.parts:
            raise ExportError(f"path {path!r} leaves the release folder; give a relative path without '..'")
        if str(pure) in self.files:
            raise ExportError(f"file {path!r} was written twice; two formats must not share a file name")
        return str(pure)


def remove_leftovers(root: Path) -> list[Path]:
    """Remove the hidden folders that a killed exporter left anywhere under `root`; return what was removed."""
    left = [path for path in root.glob(f"*/*/.*{PARTIAL_SUFFIX}") if path.is_dir()]
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return sorted(left)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
