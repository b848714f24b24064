"""Files on local paths, globs and fsspec addresses."""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import gaierror
from typing import Any, BinaryIO

from limoflow.errors import DependencyUnavailable, LimoflowError
from limoflow.settings import from_environment
from schemas.run import Source
from services.ingestor.formats import PARQUET_ROWS, may_swell, reader_of
from services.ingestor.settings import IngestorSettings
from services.ingestor.sources import ImpossibleSource, NothingMatches, Row, SourceError, Unit
from services.ingestor.unpacking import Request, Unpacker

_WILD = frozenset("*?[")
_UNFINISHED = (".tmp", ".part", ".crdownload")
# An object store is asked for this much at once; s3fs would keep blocks of 50 MiB for each open file.
_BLOCK_BYTES = 4 << 20
_LINE_BYTES = 1 << 20
# The first two are what s3fs makes of 503 and 500.
_OUT = (errno.EBUSY, getattr(errno, "EREMOTEIO", errno.EBUSY), errno.EHOSTUNREACH, errno.ENETUNREACH)
_GONE = (404, 410)


class Files:
    """The source kind `files`; Parquet is read by a process of its own, whose memory has a bound."""

    def __init__(self) -> None:
        self._unpacker: Unpacker | None = None

    def units(self, source: Source) -> list[Unit]:
        """Return the matching files; a folder stands for all files below it.

        Hidden files (`.` or `_` first) and unfinished ones (.tmp, .part, .crdownload) are passed over.
        """
        with _outages(source.path):
            filesystem, pattern = _filesystem(source.path)
            # A store's listing is kept for good otherwise, and a followed folder would never have a new file.
            filesystem.invalidate_cache()
            root, found = _matches(filesystem, pattern)
        units = [
            Unit(_relative(name, root), name, int(detail.get("size") or 0))
            for name, detail in found.items()
            if detail.get("type") == "file" and _is_finished(_relative(name, root))
        ]
        if not units:
            raise NothingMatches(
                f"no file matches {source.path!r}: check the path, or wait for files with follow: true"
            )
        return sorted(units)

    def rows(self, unit: Unit, source: Source, position: int, number: int) -> Iterator[Row]:
        """Yield the rows of one file, by its extension."""
        if not may_swell(unit.name):
            yield from read_unit(source.path, unit, position, number)
            return
        if self._unpacker is None:
            self._unpacker = Unpacker(from_environment(IngestorSettings).max_unpacked_bytes)
        yield from self._unpacker.rows(Request(source.path, unit, position, number))


def read_unit(path: str, unit: Unit, position: int, number: int, batch: int = PARQUET_ROWS) -> Iterator[Row]:
    """Yield the rows of one file of the source at `path`, in this process."""
    read = reader_of(unit.name, batch)
    with opened(path, unit) as stream:
        yield from read(stream, unit, position, number)


@contextmanager
def opened(path: str, unit: Unit) -> Iterator[BinaryIO]:
    """Open one file of the source at `path`, for reading; what goes wrong while it is open is told as a source's fault.

    Raises
    ------
    SourceError
        When it is not there, or may not be read.
    DependencyUnavailable
        When a remote store does not answer.
    """
    with _outages(unit.address):
        filesystem, _ = _filesystem(path)
        with _opened(filesystem, unit) as stream:
            yield stream


@contextmanager
def _outages(address: str) -> Iterator[None]:
    """Make an outage or a fault of the source of whatever an address brings about."""
    try:
        yield
    except (LimoflowError, SourceError, MemoryError):
        raise
    # A store's library may raise anything for a hostile address.
    except Exception as error:
        raise _fault(address, error) from error


def _fault(address: str, error: Exception) -> DependencyUnavailable | SourceError:
    # fsspec calls every failure of HTTP a file that is not there.
    if isinstance(error, FileNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    said = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
    if _is_out(error):
        return DependencyUnavailable(f"the store of {address!r} does not answer: {said}")
    if isinstance(error, ValueError | TypeError):
        return ImpossibleSource(f"cannot read {address!r}: {said}")
    return SourceError(f"cannot read {address!r}: {said}")


def _is_out(error: Exception) -> bool:
    # Errors without an answer of the store reach us as its library has them; that is loaded only where it is used.
    s3, http = sys.modules.get("botocore.exceptions"), sys.modules.get("aiohttp")
    if s3 is not None and isinstance(error, s3.BotoCoreError):
        return isinstance(error, s3.HTTPClientError | s3.ConnectionError)
    if http is not None and isinstance(error, http.ClientError):
        status = getattr(error, "status", None)
        return not isinstance(error, http.InvalidURL) and (status is None or status == 429 or status >= 500)
    if isinstance(error, OSError):
        return isinstance(error, ConnectionError | TimeoutError | gaierror) or error.errno in _OUT
    return False


def _filesystem(path: str) -> tuple[Any, str]:
    import fsspec

    try:
        filesystem, pattern = fsspec.core.url_to_fs(path)
    except (ValueError, TypeError, ImportError, AttributeError) as error:
        raise ImpossibleSource(f"cannot open {path!r}: {error}") from error
    return filesystem, str(pattern)


def _matches(filesystem: Any, pattern: str) -> tuple[str, dict[str, dict[str, Any]]]:
    # A name may hold brackets of its own: what exists is taken literally.
    if filesystem.exists(pattern):
        if filesystem.isdir(pattern):
            return pattern.rstrip("/"), filesystem.find(pattern, detail=True)
        return pattern.rpartition("/")[0], {pattern: filesystem.info(pattern)}
    if _WILD & set(pattern):
        return fixed_root(pattern), filesystem.glob(pattern, detail=True)
    _confirm_absence(filesystem, pattern)
    return fixed_root(pattern), {}


def _confirm_absence(filesystem: Any, pattern: str) -> None:
    """Raise what `exists` keeps to itself where a store did not answer, or refused to."""
    try:
        filesystem.info(pattern)
    except FileNotFoundError as error:
        if error.__cause__ is not None and getattr(error.__cause__, "status", None) not in _GONE:
            raise


def fixed_root(pattern: str) -> str:
    """Return the folders of a glob before the first part with a wildcard."""
    parts = pattern.split("/")
    wild = next((at for at, part in enumerate(parts) if _WILD & set(part)), len(parts) - 1)
    return "/".join(parts[:wild])


def _relative(name: str, root: str) -> str:
    return name[len(root) :].lstrip("/") if name.startswith(root) else name.rpartition("/")[2]


def _is_finished(name: str) -> bool:
    return not any(part[:1] in {".", "_"} for part in name.split("/")) and not name.endswith(_UNFINISHED)


def _opened(filesystem: Any, unit: Unit) -> BinaryIO:
    if "file" in filesystem.protocol:
        return Path(unit.address).open("rb")
    # Files of fsspec know no bound for a line.
    return io.BufferedReader(filesystem.open(unit.address, "rb", block_size=_BLOCK_BYTES), _LINE_BYTES)
